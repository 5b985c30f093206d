import MartletConstraints
import MartletFormats
public import MartletGeneration
public import MartletLayers
package import MartletModels
package import MartletServing
public import MartletTensors
public import MartletTokenizers
import Synchronization

#if canImport(FoundationEssentials)
    public import struct FoundationEssentials.URL
#else
    public import struct Foundation.URL
#endif

/// A language model with its tokenizer, ready to continue texts.
///
/// ```swift
/// let model = try await LanguageModel.load(path: "Qwen/Qwen2.5-0.5B-Instruct")
/// let story = try model.generate("Once upon a time")
/// for try await piece in story { print(piece, terminator: "") }
/// ```
///
/// Safe to share: generations that run at once are batched, so that each weight is read once for all of them, and what
/// one of them gets does not depend on the others. Texts that begin alike share the KV cache of their beginning.
/// Nothing here is global, and no signal handler is installed.
public final class LanguageModel: Sendable {
    /// The description of the model.
    public let architecture: Architecture
    /// The tokenizer that came with the model.
    public let tokenizer: Tokenizer
    /// The end-of-text tokens (EOS), which end a text, as the model's files name them.
    public let endOfTextTokens: Set<Int32>
    /// The generation defaults that the model's makers mean: its generation_config.json.
    package let defaults: GenerationDefaults
    /// The device on which the model computes.
    public let device: Device
    package let decoder: Decoder
    /// A smaller model with the same vocabulary, which guesses what this one writes.
    private let draft: Decoder?
    /// The names of the adapters that generations may select, in the order of their numbers.
    public let adapters: [String]
    /// The selection of adapters by rows, which passes of the decoder read.
    package let selection: AdapterSelection
    /// The chat template, or what is wrong with it; only conversations ask.
    package let chat: Result<ChatFormat, GenerationError>
    /// The engine that batches all generations whose KV cache is f32, and runs other work of the model between their
    /// steps.
    package let engine: Engine
    /// The engines of other KV caches, each made when it is first asked for.
    private let otherEngines = Mutex<[CacheType: Engine]>([:])
    /// The masks of forms that texts are kept to.
    package let constraints: ConstraintCache

    private init(
        file: ModelFile, adapters: [String], decoder: Decoder, draft: Decoder?, tokenizer: Tokenizer,
        _ options: EngineOptions, device: Device
    ) throws {
        architecture = file.architecture
        (self.decoder, self.draft) = (decoder, draft)
        (self.adapters, selection) = (adapters, file.selection)
        self.tokenizer = tokenizer
        self.device = device
        engine = try Engine(
            decoder, options, draft: draft, adapters: EngineAdapters(file.selection, count: adapters.count), on: device)
        constraints = ConstraintCache(tokenizer, vocabulary: file.architecture.vocabulary)
        endOfTextTokens = try ModelText.endOfTextTokens(file, tokenizer)
        defaults = try ModelText.generationDefaults(file)
        chat = ChatFormat.reading(file, tokenizer)
    }

    /// Loads a Hugging Face directory or a GGUF file.
    ///
    /// - Parameter threads: how many compute at once; the physical cores when nil.
    /// - Throws: ``LoadError`` with every cause and its remedy.
    public static func load(from url: URL, threads: Int? = nil) async throws(LoadError) -> LanguageModel {
        try await load(path: url.path, threads: threads)
    }

    /// Loads a Hugging Face directory, a GGUF file, a run of the trainer, or `org/name` in the hub cache.
    ///
    /// - Parameters:
    ///   - adapters: directories of low-rank adapters by the names that ``GenerationOptions/adapter`` selects them by.
    ///     They share the model's weights, and generations by different ones are batched like others.
    ///   - draft: a smaller model with the same vocabulary for speculative decoding: it guesses several tokens ahead,
    ///     which are verified at once. Texts are the same, and faster where it mostly guesses right.
    ///   - files: mapped, or copied where somebody may cut or overwrite them while the model lives.
    /// - Throws: ``LoadError`` with every cause and its remedy.
    public static func load(
        path: String, adapters: [String: String] = [:], draft: String? = nil, threads: Int? = nil,
        files: LoadOptions.Files = .mapped
    ) async throws(LoadError) -> LanguageModel {
        let sets = adapters.sorted { $0.key < $1.key }
        return try await load(path: path, adapters: sets.map(\.key), draft: draft, threads: threads, files: files) {
            var file = try ModelFile(path: ModelLocation.path(of: path), files.access)
            for (_, directory) in sets { try file.add(selectable: [(directory, 1)]) }
            return file
        }
    }

    /// Loads the model that `open` gives, which may have adapters, those to be selected being called `adapters`; `path`
    /// is what messages call it.
    package static func load(
        path: String, adapters: [String] = [], draft: String? = nil, threads: Int? = nil,
        files: LoadOptions.Files = .mapped, engine options: EngineOptions = EngineOptions(),
        _ open: @escaping @Sendable () throws -> ModelFile
    ) async throws(LoadError) -> LanguageModel {
        let thread = ComputeThread()
        guard thread.isRunning else {
            throw LoadError(
                ModelError("\(path): the system grants no thread to compute on; raise its limit (ulimit -u)"))
        }
        let result = await Task(executorPreference: thread) { () -> Result<LanguageModel, LoadError> in
            do {
                let draft = draft.map { ($0, files.access) }
                return .success(try await read(open(), adapters, draft: draft, options, threads: threads))
            } catch {
                return .failure(LoadError(error))
            }
        }.value
        return try result.get()
    }

    /// Reads a model on the thread that calls.
    private static func read(
        _ file: ModelFile, _ adapters: [String], draft: (path: String, access: FileAccess)?, _ options: EngineOptions,
        threads: Int?
    ) async throws -> LanguageModel {
        let smaller = try draft.map { try DraftFile($0.path, $0.access, for: file) }
        // The vocabulary is read while the weights are packed, by a thread of Swift's own.
        let tokenizer = Task.detached {
            let tokenizer = try ModelText.tokenizer(of: file)
            try smaller?.check(tokenizer, of: file)
            return tokenizer
        }
        let device = Device(threads: threads)
        let decoder = try file.decoder(on: device)
        let draft = try smaller?.file.decoder(on: device)
        let model = try LanguageModel(
            file: file, adapters: adapters, decoder: decoder, draft: draft, tokenizer: await tokenizer.value, options,
            device: device)
        file.tensors.release()
        smaller?.file.tensors.release()
        return model
    }

    /// The ids of a text, with the special tokens that the model expects around it.
    public func tokens(of text: String) throws(TokenizerError) -> [Int32] { try tokenizer.encode(text) }

    /// Continues `prompt`, piece by piece, as the model's files say unless told otherwise. Ending the loop, or
    /// cancelling its task, ends the generation within one step.
    ///
    /// - Throws: ``GenerationError`` naming everything that is wrong with the request, before anything is computed.
    public func generate(
        _ prompt: String, _ options: GenerationOptions? = nil
    ) throws(GenerationError) -> GeneratedText {
        let tokens: [Int32]
        do {
            tokens = try self.tokens(of: prompt)
        } catch {
            throw GenerationError(.request, error.offences)
        }
        return try generate(tokens: tokens, options)
    }

    /// Continues the tokens `prompt`.
    ///
    /// - Throws: ``GenerationError`` naming everything that is wrong with the request, before anything is computed.
    public func generate(
        tokens prompt: [Int32], _ options: GenerationOptions? = nil
    ) throws(GenerationError) -> GeneratedText {
        try generate(tokens: prompt, options, continuing: prompt)
    }

    /// Generates what comes after the tokens `prompt`.
    ///
    /// - Parameter continued: the tokens that the text goes on with; none where it is a text of its own, as an answer.
    func generate(
        tokens prompt: [Int32], _ options: GenerationOptions?, continuing continued: [Int32]
    ) throws(GenerationError) -> GeneratedText {
        let options = options ?? GenerationOptions(defaults, after: prompt.count)
        let assembly = TextAssembly(
            tokenizer, prompt: prompt.count, after: continued, stopTexts: options.stopTexts)
        let request = try request(prompt, options)
        do {
            return GeneratedText(try engine(options.cache).submit(request), assembly, of: self)
        } catch let error as EngineError {
            throw GenerationError(refusing: error)
        } catch {
            throw GenerationError(wrapping: error)
        }
    }

    /// The engine of a KV cache.
    ///
    /// - Throws: ``GenerationError`` where this model's cannot be kept so.
    private func engine(_ cache: CacheType) throws(GenerationError) -> Engine {
        guard cache != .f32 else { return engine }
        let made = otherEngines.withLock { engines -> Result<Engine, GenerationError> in
            if let known = engines[cache] { return .success(known) }
            var options = engine.options
            options.cache = cache.elementType
            return Result { () throws(GenerationError) in
                let made = try Engine(
                    decoder, options, draft: draft, adapters: EngineAdapters(selection, count: adapters.count),
                    on: device)
                engines[cache] = made
                return made
            }
        }
        return try made.get()
    }

    private func request(_ prompt: [Int32], _ options: GenerationOptions) throws(GenerationError) -> EngineRequest {
        var request = EngineRequest(
            tokens: prompt, maximumTokens: options.maximumTokens, sampling: options.sampling,
            stopTokens: options.stopTokens.union(options.endOfText == .stops ? endOfTextTokens : []))
        (request.rules, request.guesses, request.scored) = (options.rules, options.guesses, options.logProbabilities)
        request.isDrafted = options.isDrafted
        if let name = options.adapter {
            request.adapter = adapters.firstIndex(of: name)
            guard request.adapter != nil else {
                let known = adapters.isEmpty ? "none" : adapters.joined(separator: ", ")
                throw GenerationError("there is no adapter called \(name); the model has \(known)")
            }
        }
        (request.priority, request.deadline) = (options.priority, options.timeLimit.map { .now + $0 })
        request.namespace = 0
        // The request's own offences come first: a form may take long to compile.
        let offences = engine.offences(of: request)
        guard offences.isEmpty else { throw GenerationError(.request, offences) }
        if let form = options.constraint {
            do throws(ConstraintError) {
                request.constraint = GrammarConstraint(
                    try constraints.masks(of: form), stopTokens: request.stopTokens)
            } catch {
                throw GenerationError(wrapping: error)
            }
        }
        return request
    }
}
