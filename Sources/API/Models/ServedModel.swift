package import Martlet
import MartletConstraints
import MartletFormats
package import MartletGeneration
package import MartletLayers
package import MartletModels
import MartletPlatform
import MartletServing
package import MartletTasks
import MartletTensors
package import MartletTokenizers

/// A model that is loaded and can be asked: what its files say, and what it does by its architecture and head.
package final class ServedModel: Sendable {
    /// The work that a model does.
    package enum Work: Sendable {
        /// A decoder: continues texts.
        case text(LanguageModel, any TextEngine)
        case classes(Classifier)
        case tags(Tagger)
        case answers(Answerer)
        /// An encoder without a head of its own: vectors.
        case vectors
        /// An encoder-decoder: translations, summaries.
        case writing(WritingModel)
    }

    /// The name that requests call it by.
    package let name: String
    package let path: String
    /// The time at which it was loaded, in seconds since 1970.
    package let created: Int
    package let work: Work
    package let architecture: Architecture
    package let modelType: String
    /// The tokenizer; nil for models whose vocabulary is a list of words.
    package let tokenizer: Tokenizer?
    package let chat: ConversationFormat?
    package let endOfTextTokens: Set<Int32>
    /// The sampling where a request says nothing.
    package let sampling: Sampling
    /// The generation defaults that generation_config.json says besides: rules of what may come, lengths, texts that
    /// end an answer.
    package let defaults: GenerationDefaults
    /// The longest text in tokens; nil where nothing limits it.
    package let context: Int?
    package let fingerprint: String
    let embedder: Embedder?
    package let inspector: ModelInspector
    /// The engine that batches all requests to the model, whoever asks.
    let engine: ModelEngine
    /// Bytes of all parameters as they are stored, and how many there are.
    let size: (bytes: Int, parameters: Int)
    /// The type in which most bytes are stored, as the format spells it: "Q4_K".
    let storedType: String

    /// The settings by which a model is loaded to be served.
    package struct Settings: Sendable {
        /// The number of threads that compute; the physical cores when nil.
        package var threads: Int?
        /// The number of texts that are written at once.
        package var slots = 8
        /// The element type of the KV cache.
        package var cache = CacheType.f32
        /// The maximum size of the KV cache in bytes; nil for what the slots need.
        package var cacheBytes: Int?
        /// The longest text in tokens; nil for the model's own.
        package var context: Int?
        /// The path of a draft model, a smaller one that guesses what this one writes; nil for none.
        package var draft: String?
        /// The cache that keeps packed matrices for later starts; nil keeps none.
        package var packedCache: PackedCache?

        package init(threads: Int? = nil) { self.threads = threads }

        /// The service counts what waits; the engine takes all of it.
        ///
        /// - Parameter writes: whether the model continues texts: keys and values of others are f32.
        func engine(writes: Bool = true) -> EngineOptions {
            var options = EngineOptions()
            (options.maximumSequences, options.cacheBytes) = (slots, cacheBytes)
            if writes { options.cache = cache.elementType }
            (options.waitingRequests, options.waitingRequestsPerTenant) = (1 << 20, 1 << 20)
            options.waitingTokens = 1 << 40
            return options
        }
    }

    /// Loads the model at `path`.
    ///
    /// - Throws: what loading throws: every cause with its remedy.
    package static func load(
        name: String, path: String, _ settings: Settings = Settings()
    ) async throws -> ServedModel {
        try await load(name: name, ModelFile(path: path), settings)
    }

    /// Loads the model of `file`, with the adapters that were added to it.
    ///
    /// - Parameter shared: what a decoder shares with other names; nil for weights of its own.
    /// - Throws: what loading throws: every cause with its remedy.
    package static func load(
        name: String, _ file: ModelFile, _ settings: Settings = Settings(), shared: SharedModel? = nil
    ) async throws -> ServedModel {
        if case .decoder = file.architecture.body, file.architecture.writes {
            return try await decoder(name, file, settings, shared)
        }
        if let draft = settings.draft {
            throw ModelError("\(draft), to draft for \(file.path): this model does not continue texts")
        }
        let device = Device(threads: settings.threads)
        let model = try await Task(executorPreference: ComputeThread()) { try file.model(on: device) }.value
        let engine = ModelEngine(try Engine(model, settings.engine(writes: false), on: device))
        let inspector = ModelInspector(file, model, on: device)
        if case .encoderDecoder(let writer) = model, file.architecture.writes {
            let writing = try WritingModel(file, writer, on: device)
            return try await ServedModel(
                name, file, .writing(writing), writing.vocabulary as? Tokenizer, nil, inspector, engine,
                context: settings.context)
        }
        let tokenizer = try ModelText.tokenizer(of: file)
        let encoder = try TextEncoder(file, model, tokenizer, on: device)
        return try await ServedModel(
            name, file, reading(file, encoder), tokenizer, try Embedder(file, encoder), inspector, engine,
            context: settings.context)
    }

    /// Loads a decoder, or takes what is shared of it.
    private static func decoder(
        _ name: String, _ file: ModelFile, _ settings: Settings, _ shared: SharedModel?
    ) async throws -> ServedModel {
        let model =
            if let shared {
                try await shared.model(settings)
            } else {
                try await LanguageModel.load(
                    path: file.path, draft: settings.draft, threads: settings.threads, engine: settings.engine()
                ) { file }
            }
        let adapter = shared?.number(of: name)
        let encoder = try TextEncoder(file, .decoder(model.decoder), model.tokenizer, on: model.device)
        return try await ServedModel(
            name, file, .text(model, BatchEngine(model.engine, adapter: adapter)), model.tokenizer,
            try Embedder(file, encoder), ModelInspector(file, .decoder(model.decoder), on: model.device),
            ModelEngine(model.engine, adapter: adapter, of: model.selection), context: settings.context)
    }

    /// The work of a model that reads texts whole, by its head.
    private static func reading(_ file: ModelFile, _ encoder: TextEncoder) throws -> Work {
        switch file.architecture.head {
        case .sequence: .classes(try Classifier(file, encoder))
        case .answers: .answers(try Answerer(file, encoder))
        case .rows(_, let count) where count > 1: .tags(try Tagger(file, encoder))
        default: .vectors
        }
    }

    private init(
        _ name: String, _ file: ModelFile, _ work: Work, _ tokenizer: Tokenizer?, _ embedder: Embedder?,
        _ inspector: ModelInspector, _ engine: ModelEngine, context limit: Int?
    ) async throws {
        (self.name, path, created) = (name, file.path, UnixTime.now)
        (self.work, self.tokenizer, self.embedder, self.inspector, self.engine) =
            (work, tokenizer, embedder, inspector, engine)
        (architecture, modelType) = (file.architecture, file.modelType)
        chat = if case .text = work, let tokenizer { try ConversationFormat(file, tokenizer) } else { nil }
        endOfTextTokens = try tokenizer.map { try ModelText.endOfTextTokens(file, $0) } ?? []
        defaults = try ModelText.generationDefaults(file)
        // OpenAI's temperature of 1 where the file does not sample.
        sampling = defaults.sampling == .greedy ? Sampling(temperature: 1) : defaults.sampling
        context = limit.map { min($0, file.architecture.context ?? $0) } ?? file.architecture.context
        size = (file.tensors.bytes, try file.inventory().total)
        let bytes = Dictionary(file.tensors.all.map { ($0.type.name, $0.bytes) }, uniquingKeysWith: +)
        storedType = bytes.max { ($0.value, $1.key) < ($1.value, $0.key) }?.key ?? "unknown"
        let cache = if case .text(let model, _) = work { model.engine.options.cache } else { ElementType.f32 }
        fingerprint = try await engine.run { try ModelFingerprint.of(file, cache: cache) }
    }

    /// True where it is made to turn texts into vectors.
    var makesVectors: Bool { if case .vectors = work { true } else { false } }

    /// True where it scores how well a text answers another: a cross-encoder, one that is asked by a template, or one
    /// that makes vectors.
    var ranksTexts: Bool {
        guard case .classes(let classifier) = work else { return makesVectors }
        return classifier.labels.count == 1 || classifier.ranker != nil
    }

    /// The masks of a form beside this model's vocabulary; those of the last few forms are kept.
    ///
    /// - Throws: ``ConstraintError``.
    func masks(of form: OutputConstraint) throws -> ConstraintMasks {
        guard case .text(let model, _) = work else { throw wrongTask("write texts") }
        return try model.constraints.masks(of: form)
    }

    /// The ids that the model knows.
    package var vocabularySize: Int { architecture.vocabulary }
}
