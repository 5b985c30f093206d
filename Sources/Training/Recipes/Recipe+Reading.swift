package import MartletJSON
import MartletModels
import MartletTensors
import MartletTokenizers

extension Recipe {
    /// Reads a recipe.
    ///
    /// - Throws: ``RecipeError`` with everything that is missing, wrong or not known.
    package init(yaml text: String, path: String, overrides: [String] = []) throws(RecipeError) {
        let object = try RecipeOverrides.apply(overrides, to: RecipeText.parse(text, path: path))
        try self.init(object, path: path)
    }

    package init(_ object: JSONObject, path: String) throws(RecipeError) {
        let reader = RecipeReader(object)
        document = object
        let section = reader.section("model")
        model = Recipe.model(reader, section)
        layers = section?.integers("layers", in: 0...1 << 16)
        weights = section?.choice("weights", Recipe.roundedTypes)
        objective = Recipe.objective(reader)
        (data, labelled) = Recipe.data(reader, isLabelled: objective.isLabelled)
        training = Recipe.training(reader.sectionOrEmpty("train"))
        adapters = reader.section("adapters").map { Recipe.adapters($0) }
        let learnsVectors = objective.labelled?.learnsVectorsOfTeacher ?? false
        teacher = reader.section("teacher").map { Recipe.teaching($0, learnsVectors: learnsVectors) }
        tokenizer = Recipe.tokenizer(reader.section("tokenizer"), reader, model)
        labelSmoothing = reader.number("label_smoothing", in: 0...0.99) ?? 0
        let given = reader.integer("length", in: 1...1 << 24)
        length = objective.isLabelled ? given ?? 128 : reader.required("length", given, 1)
        let batch = Recipe.batch(reader.sectionOrEmpty("batch"), length, objective)
        (batchTokens, batchExamples, accumulation, shards) = batch
        optimizer = Recipe.optimizer(reader.sectionOrEmpty("optimizer"))
        schedule = Recipe.schedule(reader.sectionOrEmpty("schedule"))
        precision = reader.choice("precision", ["f32": .f32, "bf16": .bf16]) ?? .f32
        recomputation = reader.bool("recomputation") ?? false
        dropout = reader.number("dropout", in: 0...0.99)
        attentionDropout = reader.number("attention_dropout", in: 0...0.99)
        activationDropout = reader.number("activation_dropout", in: 0...0.99)
        expertBalance = reader.number("expert_balance", in: 0...100) ?? 0
        duration = Recipe.duration(reader)
        evaluation = Recipe.evaluation(reader.sectionOrEmpty("evaluation"))
        checkpoints = Recipe.checkpoints(reader.sectionOrEmpty("checkpoints"))
        nonFinite = reader.choice("non_finite", ["stop": .stop, "skip": .skip]) ?? .stop
        gguf = reader.sectionOrEmpty("export").choice("gguf", ["f32": .f32, "f16": .f16, "bf16": .bf16])
        seed = UInt64(reader.integer("seed", in: 0...Int.max) ?? 1)
        threads = reader.integer("threads", in: 1...1024)
        output = reader.string("output")
        rejectContradictions(reader)
        try reader.finish(path)
    }

    /// Settings that contradict one another.
    private func rejectContradictions(_ reader: RecipeReader) {
        let hasValidation =
            objective.isLabelled
            ? !labelled.validation.isEmpty || labelled.holdout > 0 : !data.validation.isEmpty || data.holdout > 0
        if evaluation.every > 0 || evaluation.patience > 0, !hasValidation, reader.has("data") {
            reader.reject(
                "\"evaluation\" has nothing to evaluate on: give \"data.validation\" or \"data.holdout\"")
        }
        if evaluation.patience > 0 && evaluation.every == 0 {
            reader.reject(
                "\"evaluation.patience\" counts evaluations, of which there are none without \"evaluation.every\"")
        }
        if labelSmoothing > 0 && objective != .sequenceToSequence && !objective.isLabelled {
            reader.reject("\"label_smoothing\" belongs to the objective sequence-to-sequence, and to labels")
        }
        if shards > 1 && objective.labelled?.comparesWholeSteps == true {
            reader.reject("\"objective.negatives\" of a whole step need \"batch.shards\" of 1")
        }
        if teacher != nil && objective.labelled?.kind != .classification
            && !(objective.labelled?.learnsVectorsOfTeacher ?? false)
        {
            reader.reject("\"teacher\" is of the objectives classification, and embeddings with the loss teacher")
        }
        if teacher == nil && objective.labelled?.learnsVectorsOfTeacher == true {
            reader.reject("\"objective.loss\" teacher needs \"teacher.from\"")
        }
        rejectContradictionsOfModel(reader)
    }

    /// Settings of the model that contradict one another: layers left out, adapters, and rounded weights.
    private func rejectContradictionsOfModel(_ reader: RecipeReader) {
        if case .config = model, layers != nil { reader.reject("\"model.layers\" are those of \"model.from\"") }
        if layers != nil && adapters != nil {
            reader.reject("\"model.layers\" makes another model, whose base \"adapters\" would not have")
        }
        if weights != nil {
            if adapters == nil {
                reader.reject(
                    "\"model.weights\" is of a base under \"adapters\"; martlet quantize rounds a whole model")
            }
            if case .directory(let path) = model, ModelFile.isGGUF(path) {
                reader.reject("\"model.weights\" is of a model directory; the blocks of a GGUF are taken as they are")
            }
        }
        if adapters != nil {
            if case .config = model { reader.reject("\"adapters\" need \"model.from\", a model that they change") }
            if gguf != nil {
                reader.reject(
                    "\"export.gguf\" is of whole models; a trained adapter becomes one by martlet convert --merge")
            }
        }
    }

    private static func teaching(_ section: RecipeReader, learnsVectors: Bool) -> Teaching {
        let distillation = Distillation(
            temperature: section.number("temperature", in: 0.01...1e3) ?? 2,
            weight: section.number("weight", in: 0...1) ?? 0.5)
        if learnsVectors {
            for key in ["temperature", "weight"] where section.has(key) {
                section.reject("\(section.name(key)) is of teachers that classify")
            }
        }
        return Teaching(
            path: section.required("from", section.string("from"), ""), distillation: distillation,
            cache: section.string("cache"))
    }

    private static let roundedTypes: KeyValuePairs<String, ElementType> = [
        "q8_0": .q8_0, "q4_0": .q4_0, "q4_1": .q4_1, "q5_0": .q5_0, "q5_1": .q5_1, "q4_k": .q4_K, "q5_k": .q5_K,
        "q6_k": .q6_K, "f16": .f16, "bf16": .bf16,
    ]

    private static func model(_ root: RecipeReader, _ section: RecipeReader?) -> ModelOrigin {
        if section == nil && !root.has("model") { root.reject("\"model\" is missing") }
        let config = section?.json("config")
        let folder = section?.string("from")
        if let folder, config == nil { return .directory(folder) }
        if section != nil && (config == nil) == (folder == nil) {
            root.reject(
                "\"model\" needs either \"config\", for a new model, or \"from\", a model directory to go on with")
        }
        guard let object = config?.objectValue else {
            if let config {
                root.reject("\"model.config\" should be the contents of a config.json, it is \(config.kind)")
            }
            return .config(JSONObject())
        }
        return .config(object)
    }

    private static func tokenizer(_ section: RecipeReader?, _ root: RecipeReader, _ model: ModelOrigin)
        -> TokenizerOrigin
    {
        guard let section else {
            if case .directory = model { return .ofModel }
            if !root.has("tokenizer") { root.reject("\"tokenizer\" is missing") }
            return .ofModel
        }
        let file = section.string("file")
        let kinds: KeyValuePairs<String, TokenizerKind> = [
            "byte-bpe": .trainer(.byteLevelBytePair), "bpe": .trainer(.bytePair), "unigram": .trainer(.unigram),
            "wordpiece": .trainer(.wordPiece), "characters": .characters,
        ]
        let kind = section.choice("kind", kinds)
        let vocabulary = section.integer("vocabulary", in: 1...1 << 24)
        let specials = section.strings("special_tokens") ?? []
        if let file {
            if kind != nil || vocabulary != nil { section.reject("\"tokenizer\" has both a file and a kind to learn") }
            return .file(file)
        }
        let learnt = section.required("kind", kind, .characters)
        let isLearnt = kind != nil && kind != .characters
        let size = isLearnt ? section.required("vocabulary", vocabulary, 1) : vocabulary ?? 0
        return .trained(kind: learnt, vocabulary: size, specialTokens: specials)
    }

    private static func data(_ root: RecipeReader, isLabelled: Bool) -> (Data, LabelledData) {
        guard let section = root.section("data") else {
            if !root.has("data") { root.reject("\"data\" is missing") }
            return (Data(), LabelledData())
        }
        return isLabelled ? (Data(), LabelledData.read(section)) : (data(section), LabelledData())
    }

    private static func adapters(_ section: RecipeReader) -> AdapterConfiguration {
        var adapters = AdapterConfiguration()
        adapters.rank = section.integer("rank", in: 1...65_535) ?? adapters.rank
        adapters.alpha = section.number("alpha", in: 0...1e6) ?? 2 * Double(adapters.rank)
        adapters.isRankStabilized = section.bool("rank_stabilised") ?? false
        adapters.dropout = section.number("dropout", in: 0...0.99) ?? 0
        let targets = section.strings("targets") ?? ["all"]
        adapters.targets = targets == ["all"] ? [] : targets
        adapters.savedModules = section.strings("save") ?? []
        func pattern<Value>(_ key: String, _ expected: String, _ read: (JSON) -> Value?) -> [(String, Value)] {
            (section.json(key)?.objectValue?.members ?? []).compactMap { module, value in
                if let value = read(value) { return (module, value) }
                section.reject("\(section.name(key + "." + module)) should be \(expected)")
                return nil
            }
        }
        adapters.ranks = pattern("ranks", "a rank") { $0.integerValue.flatMap { (1...65_535).contains($0) ? $0 : nil } }
            .map { (pattern: $0, rank: $1) }
        adapters.alphas = pattern("alphas", "a number") { $0.doubleValue }.map { (pattern: $0, alpha: $1) }
        return adapters
    }

    private static func training(_ section: RecipeReader) -> Training {
        Training(
            frozen: section.strings("freeze") ?? [],
            layerDecay: section.number("layer_decay", in: 0.01...1) ?? 1,
            average: section.number("average", in: 0...0.999999))
    }

    private static func data(_ section: RecipeReader) -> Data {
        var data = Data()
        let folder = section.string("folder")
        if let sources = section.sections("sources") {
            data.sources = sources.map { source($0, folder) }
        } else if !section.has("sources") {
            section.reject("\(section.name("sources")) is missing")
        }
        data.validation = (section.sections("validation") ?? []).map { source($0, folder) }
        data.holdout = section.number("holdout", in: 0...0.9) ?? 0
        data.temperature = section.number("temperature", in: 0.01...100) ?? 1
        data.documentStart = section.string("document_start")
        data.documentEnd = section.string("document_end")
        data.cache = section.string("cache")
        if let changes = section.section("augmentation") {
            data.augmentation.masking = changes.number("masking", in: 0...1) ?? 0
            data.augmentation.dropping = changes.number("dropping", in: 0...1) ?? 0
            data.augmentation.shuffling = changes.integer("shuffling", in: 0...1000) ?? 0
            data.augmentationMask = changes.string("mask_token")
            data.subwords = changes.number("subwords", in: 0.001...100)
            if data.augmentation.masking > 0 && data.augmentationMask == nil {
                changes.reject("\(changes.name("masking")) needs \(changes.name("mask_token"))")
            }
        }
        if data.holdout > 0 && data.subwords != nil {
            section.reject(
                "\(section.name("holdout")) needs the same tokens in every epoch: with "
                    + "\(section.name("augmentation.subwords")) name sources for \(section.name("validation"))")
        }
        if data.holdout > 0 && !data.validation.isEmpty {
            section.reject("\(section.name("holdout")) and \(section.name("validation")) exclude each other")
        }
        return data
    }

    private static func source(_ section: RecipeReader, _ folder: String?) -> Source {
        func path(_ name: String) -> String {
            name.utf8.first == 47 || folder == nil ? name : "\(folder ?? "")/\(name)"
        }
        let paths = section.required("paths", section.strings("paths"), [])
        let parallel = section.strings("parallel_paths") ?? []
        let format = textFormat(section)
        if !parallel.isEmpty && parallel.count != paths.count {
            section.reject(
                "\(section.name("parallel_paths")) has \(parallel.count) files, \(section.name("paths")) \(paths.count)"
            )
        }
        let weight = section.number("weight", in: 1e-9...1e9)
        let pairs = parallel.count == paths.count ? parallel : []
        return Source(files: TextFiles(paths.map(path), parallelTo: pairs.map(path), format), weight: weight)
    }

    private static func textFormat(_ section: RecipeReader) -> TextFormat {
        let kind = section.choice("format", ["text": 0, "jsonl": 1, "tsv": 2]) ?? 0
        let boundary = section.choice("documents", ["file": 0, "line": 1, "paragraph": 2])
        let marker = section.string("document_marker")
        let fields = section.strings("fields")
        let columns = section.integers("columns", in: 0...10_000)
        switch kind {
        case 1: return .jsonLines(fields: fields ?? ["text"])
        case 2: return .tabSeparated(columns: columns ?? [0])
        default:
            if let marker { return .text(.marker(marker)) }
            return .text(boundary == 1 ? .line : boundary == 2 ? .paragraph : .file)
        }
    }

    private static func objective(_ root: RecipeReader) -> Objective {
        let section = root.sectionOrEmpty("objective")
        if let kind = section.string("name").flatMap({ LabelledObjective.Kind(rawValue: $0) }) {
            return .labelled(LabelledObjective.read(section, kind))
        }
        let name = section.choice("name", Recipe.objectiveNames)
        let share = section.number("share", in: 0.01...0.9) ?? 0.15
        let words = section.bool("whole_words") ?? false
        let length = section.number("mean_length", in: 1...1000) ?? 3
        switch section.required("name", name, 0) {
        case 1: return .sequenceToSequence
        case 2: return .masked(share: share, wholeWords: words)
        case 3: return .spanCorruption(share: share, meanLength: length)
        default: return .causal
        }
    }

    /// The names of objectives: those of plain texts by number, and those of labelled ones, which are read before.
    private static let objectiveNames: KeyValuePairs<String, Int> = [
        "causal": 0, "sequence-to-sequence": 1, "masked": 2, "span-corruption": 3, "classification": -1,
        "regression": -1, "multi-label": -1, "tagging": -1, "answering": -1, "embeddings": -1, "next-sentence": -1,
        "instructions": -1, "preferences": -1,
    ]

    private static func batch(
        _ section: RecipeReader, _ length: Int, _ objective: Objective
    ) -> (tokens: Int, examples: Int?, accumulation: Int, shards: Int) {
        let accumulation = section.integer("accumulation", in: 1...1 << 20) ?? 1
        let shards = section.integer("shards", in: 1...1 << 20) ?? 1
        if shards & (shards - 1) != 0 { section.reject("\"batch.shards\" is \(shards), but must be a power of two") }
        if accumulation % shards != 0 {
            section.reject(
                "\"batch.shards\" is \(shards), which does not divide \"batch.accumulation\", \(accumulation)")
        }
        if objective.isLabelled {
            let examples = section.integer("examples", in: 1...1 << 20)
            let tokens = section.integer("tokens", in: 1...1 << 30)
            if examples == nil && tokens == nil {
                section.reject("\"batch\" needs \"examples\" or \"tokens\", the most of a pass")
            }
            let rows = (examples ?? 1).multipliedReportingOverflow(by: length * 3)
            return (
                max(length, tokens ?? (rows.overflow ? Int.max : rows.partialValue)), examples, accumulation, shards
            )
        }
        let sequences = section.integer("sequences", in: 1...1 << 20)
        let tokens = section.integer("tokens", in: 1...1 << 30)
        if (sequences == nil) == (tokens == nil) {
            section.reject("\"batch\" needs either \"sequences\" or \"tokens\"")
        }
        if let tokens, tokens < length { section.reject("\"batch.tokens\" is under \"length\"") }
        let rows = tokens ?? (sequences ?? 1).multipliedReportingOverflow(by: length).partialValue
        return (max(rows, length), nil, accumulation, shards)
    }

    private static func optimizer(_ section: RecipeReader) -> Optimizer {
        var optimizer = Optimizer()
        let names: KeyValuePairs<String, String> = [
            "adamw": "adamw", "adafactor": "adafactor", "sgd": "sgd", "lion": "lion", "muon": "muon",
        ]
        optimizer.name = section.choice("name", names) ?? optimizer.name
        optimizer.learningRate = section.required(
            "learning_rate", section.number("learning_rate", in: 0...1e3), optimizer.learningRate)
        if let betas = section.numbers("betas", count: 2, in: 0...0.99999) { optimizer.betas = (betas[0], betas[1]) }
        optimizer.epsilon = section.number("epsilon", in: 0...1) ?? optimizer.epsilon
        optimizer.weightDecay = section.number("weight_decay", in: 0...10) ?? 0
        optimizer.momentum = section.number("momentum", in: 0...0.99999) ?? optimizer.momentum
        if let clip = section.number("clip", in: 0...1e9) { optimizer.clip = clip == 0 ? nil : clip }
        return optimizer
    }

    private static func schedule(_ section: RecipeReader) -> ScheduleSettings {
        var schedule = ScheduleSettings()
        let names: KeyValuePairs<String, String> = [
            "constant": "constant", "linear": "linear", "cosine": "cosine",
            "inverse-square-root": "inverse-square-root", "warmup-stable-decay": "warmup-stable-decay",
        ]
        schedule.name = section.choice("name", names) ?? schedule.name
        if let text = section.json("warmup")?.stringValue {
            schedule.warmUpShare = share(text)
            if schedule.warmUpShare == nil {
                section.reject(
                    "\(section.name("warmup")) is \(text.quoted): a number of steps, or a share as in \"10%\"")
            }
        } else {
            schedule.warmUp = section.integer("warmup", in: 0...1 << 30) ?? 0
        }
        schedule.final = section.number("final", in: 0...1) ?? 0
        schedule.decay = section.integer("decay", in: 1...1 << 30)
        return schedule
    }

    /// 0.1 of "10%".
    private static func share(_ text: String) -> Double? {
        guard text.utf8.last == UInt8(ascii: "%"), let percent = Double(text.dropLast()), (0...100).contains(percent)
        else { return nil }
        return percent / 100
    }

    private static func duration(_ root: RecipeReader) -> Duration {
        let steps = root.integer("steps", in: 1...1 << 40)
        let tokens = root.integer("tokens", in: 1...1 << 60)
        let epochs = root.number("epochs", in: 1e-6...1e9)
        let given = ["steps", "tokens", "epochs"].filter(root.has).count
        if given != 1 { root.reject("a recipe needs one of \"steps\", \"tokens\" and \"epochs\"") }
        if let tokens { return .tokens(tokens) }
        if let epochs { return .epochs(epochs) }
        return .steps(steps ?? 1)
    }

    private static func evaluation(_ section: RecipeReader) -> Evaluation {
        Evaluation(
            every: section.integer("every", in: 0...1 << 40) ?? 0,
            batches: section.integer("batches", in: 1...1 << 30) ?? 50,
            patience: section.integer("patience", in: 0...1 << 30) ?? 0, metric: section.string("metric"))
    }

    private static func checkpoints(_ section: RecipeReader) -> Checkpoints {
        Checkpoints(
            every: section.integer("every", in: 1...1 << 40) ?? 500, keep: section.integer("keep", in: 1...1000) ?? 2)
    }
}
