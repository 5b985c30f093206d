import Martlet
import MartletFormats
package import MartletJSON
package import MartletLayers
import MartletModels
import MartletTasks
package import MartletTensors
package import MartletTokenizers

/// The preparation of a run, from a recipe to everything it needs but the learner: the tokenizer, the model's
/// description, the streams of batches.
package struct RunPreparation: Sendable {
    package let recipe: Recipe
    package let tokenizer: Tokenizer
    package let tokenizerJSON: JSON
    /// The contents of the model's config.json.
    package let config: JSONObject
    package let architecture: Architecture
    let family: any Family.Type
    package let settings: RunSettings
    /// The plain texts and what is asked of them; nil where labelled files are learnt from.
    private let texts: Texts?
    let labelled: LabelledPreparation?
    /// The pooling by which vectors are made of texts, where they are trained.
    let sentences: SentencePooling

    /// Streams of plain texts, and what is predicted of them.
    private struct Texts: Sendable {
        let objective: any Objective
        let sources, validation: [DataStream.Source]
    }

    /// The number of epochs that are read, each piece once in each; nil: the data are drawn from without end.
    package let epochs: Int?
    /// The number of pieces of all epochs that nothing is learnt from: pairs that are longer than the recipe's length.
    package let passedOver: Int
    /// The number of pieces of all epochs.
    package let pieces: Int

    /// - Parameters:
    ///   - folder: the run's; token caches go there unless the recipe says otherwise.
    ///   - chat: how the model reads conversations, where some are learnt from.
    ///   - tokenizer: that of a run to be resumed; nil reads or learns the recipe's.
    /// - Throws: ``RecipeError``, ``DataError``, ``RunError``, ``ConfigError``, ``FileError``, ``TokenizerError``.
    package init(
        _ recipe: Recipe, folder: String, tokenizer stored: JSON? = nil, chat: ConversationFormat? = nil,
        on device: Device,
        progress: @escaping @Sendable (Int) -> Void = { _ in }
    ) throws {
        self.recipe = recipe
        tokenizerJSON = try stored ?? RecipeTokenizer.json(recipe)
        tokenizer = try Tokenizer(json: tokenizerJSON.serialized())
        let base = try RunPreparation.config(recipe, tokenizer).keeping(layers: recipe.layers)
        let origin = try ModelFile.describe(base, path: "model.config")
        family = origin.family
        let described = origin.architecture
        if let objective = recipe.objective.labelled {
            let data = try RunPreparation.labelledData(
                objective, recipe, tokenizer, tokenizerJSON, base, described, folder: folder, chat: chat, on: device)
            (config, architecture) = try RunPreparation.labelling(base, objective, data)
            (labelled, texts, sentences) = (data, nil, try RunPreparation.pooling(recipe, objective))
            (epochs, passedOver, pieces) = (nil, 0, 0)
            settings = RunSettings(recipe, tokens: data.rows, counted: try RunPreparation.steps(recipe, data))
        } else {
            (config, architecture, labelled, sentences) = (base, described, nil, SentencePooling())
            let caches = { [tokenizer, tokenizerJSON] in
                try CacheMaker(recipe, tokenizer, tokenizerJSON, folder: folder, on: device, progress: progress)
            }
            let read = try RunPreparation.texts(recipe, tokenizer, tokenizerJSON, base, described, caches)
            (texts, epochs, pieces, passedOver) = (read.texts, read.epochs, read.pieces, read.passedOver)
            settings = RunSettings(recipe, tokens: read.tokens, counted: read.steps)
        }
        guard tokenizer.vocabularySize <= architecture.vocabulary else {
            throw RunPreparation.tooFewTokens(tokenizer, architecture)
        }
        try checkSettings()
    }

    /// The model with a head for the labels of `data`.
    private static func labelling(
        _ base: JSONObject, _ objective: LabelledObjective, _ data: LabelledPreparation
    ) throws -> (config: JSONObject, architecture: Architecture) {
        let config = try NewHead.config(base, objective, data.names)
        let architecture = NewHead.architecture(
            try ModelFile.describe(config, path: "model.config").architecture, objective, data.names)
        let width = data.training.first?.teacher.count ?? 0
        if objective.learnsVectorsOfTeacher, width != architecture.width {
            throw RunError(
                "teacher.from: its vectors have \(width) elements, those of the student \(architecture.width)")
        }
        return (config, architecture)
    }

    /// The pooling of the model that sentence embeddings go on with.
    private static func pooling(_ recipe: Recipe, _ objective: LabelledObjective) throws -> SentencePooling {
        guard case .directory(let path) = recipe.model, objective.kind == .embeddings else { return SentencePooling() }
        return try SentencePooling(directory: path)
    }

    /// Labelled examples, with what a teacher says of them.
    private static func labelledData(
        _ objective: LabelledObjective, _ recipe: Recipe, _ tokenizer: Tokenizer, _ tokenizerJSON: JSON,
        _ base: JSONObject, _ described: Architecture, folder: String, chat: ConversationFormat?, on device: Device
    ) throws -> LabelledPreparation {
        let length = min(recipe.length, described.context ?? .max)
        // By their numbers: a file may have them in any order.
        let numbered = (base["id2label"]?.objectValue?.members ?? []).compactMap { key, name -> (Int, String)? in
            guard let number = Int(key), let name = name.stringValue else { return nil }
            return (number, name)
        }
        let classes = numbered.sorted { $0.0 < $1.0 }.map(\.1)
        var data = try LabelledPreparation(
            objective, recipe, tokenizer, known: objective.kind == .nextSentence ? ["0", "1"] : classes,
            length: length, hasSegments: described.embedding.segments > 1, chat: chat)
        guard let teaching = recipe.teacher else { return data }
        let file = try ModelFile(path: teaching.path)
        let cache = try TeacherCache(of: file, in: teaching.cache ?? folder + "/cache")
        if objective.learnsVectorsOfTeacher {
            try data.learn(from: Embedder(file, ModelText.tokenizer(of: file), on: device), cache)
        } else {
            let teacher = try Teacher(file, names: data.names, tokenizer: tokenizerJSON, on: device)
            try data.learn(from: teacher, cache)
        }
        return data
    }

    /// Plain texts, and what their epochs come to.
    private static func texts(
        _ recipe: Recipe, _ tokenizer: Tokenizer, _ tokenizerJSON: JSON, _ config: JSONObject,
        _ architecture: Architecture, _ caches: () throws -> CacheMaker
    ) throws -> (texts: Texts, tokens: Int, epochs: Int?, steps: Int?, pieces: Int, passedOver: Int) {
        if recipe.data.subwords != nil {
            let kind = tokenizerJSON["model"]?["type"]?.stringValue ?? ""
            guard kind != "WordPiece" && kind != "WordLevel" else {
                throw RunError("data.augmentation.subwords needs a tokenizer of kind BPE or Unigram, this is \(kind)")
            }
        }
        let objective = try ObjectiveBuilder(tokenizer, config).objective(recipe)
        guard tokenizer.vocabularySize <= architecture.vocabulary else { throw tooFewTokens(tokenizer, architecture) }
        if let context = architecture.context, recipe.length > context {
            throw RunError("length is \(recipe.length), but the model's context only \(context)")
        }
        let (sources, validation) = try caches().sources()
        let texts = Texts(objective: objective, sources: sources, validation: validation)
        let tokens = sources.reduce(0) { $0 + $1.view.count }
        guard let epochs = countedEpochs(recipe, tokens: tokens) else { return (texts, tokens, nil, nil, 0, 0) }
        let stream = try DataStream(
            sources, objective, streamSettings(recipe, tokenizer, epochs: epochs),
            vocabulary: architecture.vocabulary, from: nil)
        let (batches, examples) = try count(stream)
        let steps = max(1, (batches + recipe.accumulation - 1) / recipe.accumulation)
        let pieces = stream.end ?? 0
        return (texts, tokens, epochs, steps, pieces, pieces - examples)
    }

    /// The steps of a recipe's epochs over labelled data; nil: as many as their rows fill.
    private static func steps(_ recipe: Recipe, _ data: LabelledPreparation) throws(DataError) -> Int? {
        guard case .epochs(let epochs) = recipe.duration else { return nil }
        let examples = epochs * Double(data.training.count)
        let longest = data.training.reduce(0) { max($0, $1.rows) }
        if let most = recipe.batchExamples, most <= recipe.batchTokens / max(1, longest) {
            return max(1, Int(min(examples / Double(most * recipe.accumulation), 1e15).rounded(.up)))
        }
        // Batches end where the next example does not fit, so that they hold fewer rows than they might.
        guard epochs * Double(data.rows) <= Double(mostCounted) else { return nil }
        var stream = try LabelledStream(data.training, settings(recipe), from: nil)
        var batches = 0
        while Double(stream.cursor.examples) < examples {
            _ = stream.next()
            batches += 1
        }
        return max(1, (batches + recipe.accumulation - 1) / recipe.accumulation)
    }

    private static func tooFewTokens(_ tokenizer: Tokenizer, _ architecture: Architecture) -> RunError {
        RunError(
            "the tokenizer has \(tokenizer.vocabularySize) tokens, the model only \(architecture.vocabulary); raise vocab_size"
        )
    }

    /// - Throws: ``RunError`` for settings that contradict each other once the steps are known.
    private func checkSettings() throws(RunError) {
        if settings.schedule.warmUp > settings.steps {
            throw RunError(
                "schedule.warmup is \(settings.schedule.warmUp) steps, but the run has only \(settings.steps); shorten it"
            )
        }
        let sees = if case .encoder = architecture.body { true } else { false }
        if recipe.objective == .causal, sees {
            throw RunError(
                "the objective is causal, but this model reads in both directions and would see what it is to predict; take masked, or a decoder"
            )
        }
    }

    /// The maximum number of tokens whose batches are counted before the run.
    private static let mostCounted = 1 << 28

    /// The recipe's epochs where every piece is to be seen once in each: whole ones, of sources that are not weighted.
    private static func countedEpochs(_ recipe: Recipe, tokens: Int) -> Int? {
        guard case .epochs(let count) = recipe.duration, let epochs = Int(exactly: count), epochs > 0,
            recipe.data.sources.allSatisfy({ $0.weight == nil }), recipe.data.temperature == 1,
            recipe.data.subwords == nil, count * Double(tokens) <= Double(mostCounted)
        else { return nil }
        return epochs
    }

    /// The batches of a stream that ends, and the examples in them.
    private static func count(_ stream: DataStream) throws(DataError) -> (batches: Int, examples: Int) {
        var stream = stream
        var (batches, examples) = (0, 0)
        while stream.cursor.examples < stream.end ?? 0 {
            let batch = try stream.next()
            guard batch.examples > 0 else { break }
            batches += 1
            examples += batch.examples
        }
        guard examples > 0 else { throw DataError("no document is short enough, or long enough, to learn from") }
        return (batches, examples)
    }

    /// The config.json of the model to be trained; what it leaves open about the vocabulary is the tokenizer's.
    private static func config(_ recipe: Recipe, _ tokenizer: Tokenizer) throws -> JSONObject {
        switch recipe.model {
        case .directory(let path):
            return ModelFile.isGGUF(path) ? try ModelFile(path: path).settings : try ModelFile.config(in: path)
        case .config(var config):
            if config["vocab_size"] == nil { config["vocab_size"] = .integer(tokenizer.vocabularySize) }
            func set(_ key: String, _ token: String?) {
                guard config[key] == nil, let token, let id = tokenizer.id(ofToken: token) else { return }
                config[key] = .integer(Int(id))
            }
            set("bos_token_id", recipe.data.documentStart)
            set("eos_token_id", recipe.data.documentEnd)
            return config
        }
    }

    /// The training batches from a cursor on.
    package func stream(from cursor: DataCursor?) throws(DataError) -> any BatchStream {
        if let labelled { return try LabelledStream(labelled.training, labelledSettings, from: cursor) }
        guard let texts else { throw DataError("there is nothing to train on") }
        let settings = try RunPreparation.streamSettings(recipe, tokenizer, epochs: epochs)
        return try DataStream(
            texts.sources, texts.objective, settings, vocabulary: architecture.vocabulary, from: cursor)
    }

    private static func streamSettings(_ recipe: Recipe, _ tokenizer: Tokenizer, epochs: Int?) throws(DataError)
        -> DataStream.Settings
    {
        var settings = DataStream.Settings(length: recipe.length, rows: recipe.batchTokens, seed: recipe.seed)
        settings.epochs = epochs
        settings.augmentation = recipe.data.augmentation
        if let token = recipe.data.augmentationMask {
            guard let id = tokenizer.id(ofToken: token) else { throw DataError("no token is spelled \(token.quoted)") }
            settings.augmentation.maskToken = id
        }
        return settings
    }

    private var labelledSettings: LabelledStream.Settings { RunPreparation.settings(recipe) }

    private static func settings(_ recipe: Recipe) -> LabelledStream.Settings {
        LabelledStream.Settings(rows: recipe.batchTokens, examples: recipe.batchExamples, seed: recipe.seed)
    }

    /// The validation batches: each piece once, up to the recipe's number of batches; of labelled examples, all.
    package func validation() throws(DataError) -> [Batch] {
        if let labelled { return LabelledStream.batches(of: labelled.validation, labelledSettings) }
        guard let texts, !texts.validation.isEmpty else { return [] }
        let settings = DataStream.Settings(length: recipe.length, rows: recipe.batchTokens, seed: 0)
        var stream = try DataStream(
            texts.validation, texts.objective, settings, vocabulary: architecture.vocabulary, from: nil)
        let pieces = try stream.piecesOfFirstEpoch()
        var batches: [Batch] = []
        while batches.count < recipe.evaluation.batches, stream.cursor.examples < pieces {
            let batch = try stream.next(upTo: pieces)
            if batch.examples > 0 { batches.append(batch) }
        }
        return batches
    }

    /// The number of tokens of one epoch of the training data.
    package var tokens: Int { texts?.sources.reduce(0) { $0 + $1.view.count } ?? labelled?.rows ?? 0 }
    package var validationTokens: Int {
        texts?.validation.reduce(0) { $0 + $1.view.count } ?? labelled?.validationRows ?? 0
    }

    /// The model with all layers of its origin, where it keeps some of them.
    var architectureOfOrigin: Architecture {
        get throws {
            guard recipe.layers != nil, case .directory(let path) = recipe.model else { return architecture }
            var whole = try ModelFile(path: path).architecture
            whole.head = architecture.head
            return whole
        }
    }

    /// The layers that adapters are put on, and how; nil where the model itself is trained.
    var adapters: (targets: AdapterTargets, layout: AdapterLayout)? {
        get throws {
            guard let configuration = recipe.adapters else { return nil }
            let targets = try AdapterTargets(architecture, family)
            return (targets, try targets.layout(configuration))
        }
    }

    /// The examples of labelled data; none of plain texts.
    package var labelledExamples: [Example] { labelled?.training ?? [] }

    /// The first training examples, as a person reads them: of plain texts those of the first batch.
    ///
    /// - Throws: ``DataError``, ``TokenizerError``.
    package func shown(_ count: Int) throws -> [[String]] {
        let text = ExampleText(tokenizer, names: labelled?.names.names ?? [])
        if let labelled { return try labelled.training.prefix(count).map { try text.lines($0) } }
        var stream = try stream(from: nil)
        return try stream.next().parts.prefix(count).map { try text.lines($0) }
    }

    /// Notes on the data that are worth saying before training begins.
    package var notes: [String] { labelled?.notes ?? [] }
}

/// A maker of the caches of a recipe's sources, which says how often each is drawn from.
private struct CacheMaker {
    private let recipe: Recipe
    private let builder: TokenCacheBuilder

    init(
        _ recipe: Recipe, _ tokenizer: Tokenizer, _ json: JSON, folder: String, on device: Device,
        progress: @escaping @Sendable (Int) -> Void
    ) throws {
        self.recipe = recipe
        func token(_ text: String?) throws -> [Int32] {
            guard let text else { return [] }
            guard let id = tokenizer.id(ofToken: text) else { throw DataError("no token is spelled \(text.quoted)") }
            return [id]
        }
        var key = Fingerprint()
        key.add(json.serialized())
        builder = try TokenCacheBuilder(
            tokenizer, key: key, beginning: token(recipe.data.documentStart), end: token(recipe.data.documentEnd),
            folder: recipe.data.cache ?? folder + "/cache", on: device, progress: progress)
    }

    func sources() throws -> (training: [DataStream.Source], validation: [DataStream.Source]) {
        var (training, validation): ([TokenView], [TokenView]) = ([], [])
        for source in recipe.data.sources {
            let view = TokenView(try builder.caches(source.files))
            guard recipe.data.holdout > 0 else {
                training.append(view)
                continue
            }
            let (first, last) = view.split(last: recipe.data.holdout)
            training.append(first)
            validation.append(last)
        }
        validation += try recipe.data.validation.map { TokenView(try builder.caches($0.files)) }
        return (
            weighted(training, recipe.data.sources.map(\.weight), recipe.data.sources.map(resampled)),
            weighted(validation, validation.map { _ in nil }, validation.map { _ in nil })
        )
    }

    /// The sources with their weights: given ones count per source; sources without one share theirs by size and
    /// temperature.
    private func weighted(
        _ views: [TokenView], _ weights: [Double?], _ resampled: [DataStream.Source.Resampled?]
    ) -> [DataStream.Source] {
        let sizes = DataStream.weights(
            tokens: views.map { max(1, $0.count) }, temperature: recipe.data.temperature)
        let total = sizes.reduce(0, +)
        return views.indices.map { index in
            DataStream.Source(
                views[index], weight: weights[index] ?? sizes[index] / total, resampled: resampled[index])
        }
    }

    /// The resampling of a source's tokens for an epoch, where the recipe asks for subword regularisation.
    private func resampled(_ source: Recipe.Source) -> DataStream.Source.Resampled? {
        guard let share = recipe.data.subwords else { return nil }
        let (builder, seed) = (builder, recipe.seed)
        return { epoch throws(DataError) in
            do {
                return TokenView(try builder.caches(source.files, .init(share: share, seed: seed, epoch: epoch)))
            } catch {
                throw DataError("epoch \(epoch) cannot be tokenized: \(error)")
            }
        }
    }
}
