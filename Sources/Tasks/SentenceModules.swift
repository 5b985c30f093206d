import MartletFormats
import MartletJSON
package import MartletModels
import MartletPlatform
import MartletTensors

/// The modules of a sentence-transformers model: how its rows become one vector, and what stands before the texts.
///
/// Source: sentence-transformers 1 to 6. Names of modules are those of its classes, whichever package they stand in.
package struct SentenceModules: Sendable {
    /// The poolings of rows, whose vectors are joined where there are several.
    package var poolings: [Pooling] = [.mean]
    /// True where the rows of the prompt count too.
    package var poolsPrompt = true
    /// The steps after pooling, in order.
    package var steps: [SentenceStep] = []
    /// The longest input in tokens.
    package var limit: Int?
    /// True where texts are read in lower case.
    package var lowercases = false
    /// The prompts that stand before a text, by name: "query", "passage".
    package var prompts: [String: String] = [:]
    /// The prompt of texts for which none is chosen.
    package var defaultPrompt: String?
    package var similarity = Embedder.Similarity.cosine

    /// The pooling of a text's rows to one vector.
    package enum Pooling: String, Sendable, CaseIterable {
        /// The first row.
        case cls
        /// The largest of each element.
        case max
        case mean
        /// The sum divided by the square root of the number of rows.
        case meanOfRoot = "mean_sqrt_len_tokens"
        /// The mean of the rows, each times its place from 1 on.
        case weightedMean = "weightedmean"
        /// The last row.
        case last = "lasttoken"
    }

    /// The numbers of poolings in GGUF, `pooling_type`.
    private static let numbers: [Pooling: Int] = [.mean: 1, .cls: 2, .last: 3]

    /// The number of the pooling in GGUF; nil where it has none.
    package var numberOfPooling: UInt32? {
        poolings.count == 1 ? SentenceModules.numbers[poolings[0]].map { UInt32($0) } : nil
    }

    /// The plain mean: what a model without `modules.json` is pooled by.
    package init() {}

    /// The modules that the files of a model name; a GGUF says how its rows are pooled, and its vectors have length 1,
    /// as llama.cpp's.
    package init(_ file: ModelFile) throws {
        guard case .gguf(let gguf) = file.container else {
            try self.init(directory: file.path)
            return
        }
        self.init()
        for name in ["dense_2.weight", "dense_3.weight"] where gguf.tensors[name] != nil {
            steps.append(.dense(try SentenceDense(gguf.tensors.tensor(name), path: file.path)))
        }
        guard let name = try gguf.metadata.string("general.architecture"),
            let type = try gguf.metadata.integer(name + ".pooling_type")
        else { return }
        // Made to rank or label: its rows are pooled as those of a model that says nothing.
        if type == GGUFHead.pooling { return }
        guard let pooling = SentenceModules.numbers.first(where: { $0.value == type })?.key else {
            throw TaskError("\(file.path): \(name).pooling_type is \(type); 1 (mean), 2 (first) and 3 (last) are known")
        }
        poolings = [pooling]
        steps.append(.normalize)
    }

    /// Reads the files of the folder `directory`.
    ///
    /// - Throws: ``TaskError`` for modules that are not known here, and what reading throws.
    package init(directory: String) throws {
        self.init()
        let settings = directory + "/config_sentence_transformers.json"
        try readPrompts(settings)
        if fileExists(directory + "/modules.json") { try readModules(directory) }
        if limit == nil { limit = try SentenceModules.tokenizerLimit(directory) }
        try readTruncation(settings)
    }

    private mutating func readModules(_ directory: String) throws {
        try readLimits(directory)
        let modules = try JSON(contentsOf: directory + "/modules.json", as: .python).arrayValue ?? []
        for module in modules {
            let kind = (module["type"]?.stringValue ?? "").split(separator: ".").last.map(String.init) ?? ""
            let place = directory + "/" + (module["path"]?.stringValue ?? "")
            switch kind {
            case "Transformer":
                if place != directory + "/" { try readLimits(place) }
                limit = try limit ?? SentenceModules.tokenizerLimit(place)
            case "Dropout": continue
            case "Pooling": try readPooling(place + "/config.json")
            case "Normalize": steps.append(.normalize)
            case "Dense": steps.append(.dense(try SentenceDense(directory: place)))
            case "LayerNorm": steps.append(.layerNorm(try SentenceNorm(directory: place)))
            default:
                throw TaskError(
                    "\(directory)/modules.json: the module \(kind) is not known. Known are Transformer, Pooling, Dense, "
                        + "LayerNorm, Normalize, Dropout")
            }
        }
    }

    /// Reads how many elements of a vector are kept (Matryoshka embeddings), behind all modules.
    private mutating func readTruncation(_ path: String) throws {
        guard fileExists(path) else { return }
        let config = ConfigReader(try JSON(contentsOf: path, as: .python).objectValue ?? JSONObject(), path: path)
        if let count = config.optionalInteger("truncate_dim") { steps.append(.truncate(count)) }
        try config.finish(reference: JSONObject())
    }

    /// The longest input of a folder's tokenizer, where it has one: some write a number that no text reaches.
    static func tokenizerLimit(_ directory: String) throws -> Int? {
        let path = directory + "/tokenizer_config.json"
        guard fileExists(path) else { return nil }
        let limit = try JSON(contentsOf: path, as: .python)["model_max_length"]?.doubleValue
        return limit.flatMap { (1...Double(Int32.max)).contains($0) ? Int($0) : nil }
    }

    private mutating func readLimits(_ directory: String) throws {
        for name in ["sentence_bert_config.json", "sentence_roberta_config.json", "sentence_distilbert_config.json"] {
            let path = directory + "/" + name
            guard fileExists(path), let object = try JSON(contentsOf: path, as: .python).objectValue else { continue }
            let config = ConfigReader(object, path: path)
            limit = config.optionalInteger("max_seq_length", in: 1...Int(Int32.max)) ?? limit
            lowercases = config.bool("do_lower_case", default: false)
            try config.finish(reference: JSONObject())
        }
    }

    private mutating func readPrompts(_ path: String) throws {
        guard fileExists(path), let config = try JSON(contentsOf: path, as: .python).objectValue else { return }
        for (name, text) in config["prompts"]?.objectValue?.members ?? [] { prompts[name] = text.stringValue ?? "" }
        defaultPrompt = config["default_prompt_name"]?.stringValue
        if let name = defaultPrompt, prompts[name] == nil {
            throw TaskError("\(path): default_prompt_name is \(name.quoted), but there is no such prompt")
        }
        guard let name = config["similarity_fn_name"]?.stringValue else { return }
        guard let known = Embedder.Similarity(rawValue: name) else {
            throw TaskError("\(path): similarity_fn_name is \(name.quoted), which is not known here")
        }
        similarity = known
    }

    /// The newer spelling names modes; the older has a truth value for each, of which several are joined in an order of
    /// their own.
    private mutating func readPooling(_ path: String) throws {
        let config = try JSON(contentsOf: path, as: .python).objectValue ?? JSONObject()
        poolsPrompt = config["include_prompt"]?.boolValue ?? true
        if let mode = config["pooling_mode"] {
            let names = (mode.arrayValue ?? [mode]).map { $0.stringValue ?? $0.text() }
            poolings = try names.map { name in
                guard let pooling = Pooling(rawValue: name) else { throw SentenceModules.unknown(name, path) }
                return pooling
            }
            return
        }
        let flags: KeyValuePairs<String, Pooling> = [
            "pooling_mode_cls_token": .cls, "pooling_mode_max_tokens": .max, "pooling_mode_mean_tokens": .mean,
            "pooling_mode_mean_sqrt_len_tokens": .meanOfRoot, "pooling_mode_weightedmean_tokens": .weightedMean,
            "pooling_mode_lasttoken": .last,
        ]
        for (key, value) in config.members where key.hasPrefix("pooling_mode_") && value.boolValue == true {
            if !flags.contains(where: { $0.key.utf8.elementsEqual(key.utf8) }) {
                throw SentenceModules.unknown(key, path)
            }
        }
        let chosen = flags.filter { config[$0.key]?.boolValue == true }.map(\.value)
        poolings = chosen.isEmpty ? [.mean] : chosen
    }

    private static func unknown(_ name: String, _ path: String) -> TaskError {
        TaskError("\(path): the pooling \(name) is not known. Known are \(Pooling.allCases.map(\.rawValue))")
    }
}
