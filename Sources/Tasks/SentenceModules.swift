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
        guard let name = try gguf.metadata.string("general.architecture"),
            let type = try gguf.metadata.integer(name + ".pooling_type")
        else { return }
        guard let pooling = SentenceModules.numbers.first(where: { $0.value == type })?.key else {
            throw TaskError("\(file.path): \(name).pooling_type is \(type); 1 (mean), 2 (first) and 3 (last) are known")
        }
        (poolings, steps) = ([pooling], [.normalize])
    }

    /// Reads the files of the folder `directory`.
    ///
    /// - Throws: ``TaskError`` for modules that are not known here, and what reading throws.
    package init(directory: String) throws {
        self.init()
        try readPrompts(directory + "/config_sentence_transformers.json")
        guard fileExists(directory + "/modules.json") else { return }
        try readLimits(directory)
        for module in try JSON(contentsOf: directory + "/modules.json", as: .python).arrayValue ?? [] {
            let kind = (module["type"]?.stringValue ?? "").split(separator: ".").last.map(String.init) ?? ""
            let place = directory + "/" + (module["path"]?.stringValue ?? "")
            switch kind {
            case "Transformer": if place != directory + "/" { try readLimits(place) }
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

/// A step on a text's vector after pooling.
package enum SentenceStep: Sendable {
    case normalize
    case dense(SentenceDense)
    case layerNorm(SentenceNorm)

    func callAsFunction(_ vector: [Float]) throws -> [Float] {
        switch self {
        case .normalize: SentenceStep.unit(vector)
        case .dense(let dense): try dense(vector)
        case .layerNorm(let norm): try norm(vector)
        }
    }

    /// A vector of length 1.
    static func unit(_ vector: [Float]) -> [Float] {
        let norm = vector.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        return vector.map { Float(Double($0) / max(norm, 1e-12)) }
    }
}

/// A dense layer, f(W x + b), perhaps plus x or a projection of it: sentence-transformers' `Dense`.
package struct SentenceDense: Sendable {
    private let weight: [Float]
    private let bias: [Float]?
    private let residual: Residual
    private let activation: Activation
    private let inputs: Int
    private let path: String

    private enum Residual { case none, same, projected([Float]) }

    private enum Activation: String {
        case identity = "Identity", tanh = "Tanh", relu = "ReLU", gelu = "GELU", sigmoid = "Sigmoid", silu = "SiLU"
    }

    init(directory: String) throws {
        path = directory
        let file = directory + "/config.json"
        let config = ConfigReader(try JSON(contentsOf: file, as: .python).objectValue ?? JSONObject(), path: file)
        inputs = config.integer("in_features")
        let outputs = config.integer("out_features")
        let name = config.string("activation_function", default: "torch.nn.modules.activation.Tanh")
        let (hasBias, isResidual) = (config.bool("bias", default: true), config.bool("use_residual", default: false))
        let source = config.string("module_input_name", default: "sentence_embedding")
        if source != "sentence_embedding" {
            config.reject("module_input_name is \(source); only whole texts are projected")
        }
        let known = Activation(rawValue: name.split(separator: ".").last.map(String.init) ?? "")
        if known == nil { config.reject("activation_function is \(name), which is not known here") }
        try config.finish(reference: JSONObject())
        activation = known ?? .identity
        let tensors = try Safetensors(directory: directory).tensors
        func numbers(_ name: String, _ extents: [Int]) throws -> [Float] {
            let tensor = try tensors.tensor(name)
            guard tensor.shape.array == extents else {
                throw TaskError("\(directory): \(name) is \(tensor.shape), but the configuration asks for \(extents)")
            }
            return tensor.type == .f32 ? tensor.values : tensor.decoded(on: Device(threads: 1)).values
        }
        weight = try numbers("linear.weight", [outputs, inputs])
        bias = hasBias ? try numbers("linear.bias", [outputs]) : nil
        if isResidual {
            residual = inputs == outputs ? .same : .projected(try numbers("residual.weight", [outputs, inputs]))
        } else {
            residual = .none
        }
    }

    func callAsFunction(_ x: [Float]) throws -> [Float] {
        guard x.count == inputs else {
            throw TaskError("\(path): vectors have \(x.count) elements, but \(inputs) are projected")
        }
        var y = product(weight, x)
        if let bias { for i in y.indices { y[i] += bias[i] } }
        y = y.map(activated)
        switch residual {
        case .none: return y
        case .same: return zip(y, x).map { $0 + $1 }
        case .projected(let matrix): return zip(y, product(matrix, x)).map { $0 + $1 }
        }
    }

    private func product(_ matrix: [Float], _ x: [Float]) -> [Float] {
        (0..<matrix.count / inputs).map { row in
            var sum = 0.0
            for i in 0..<inputs { sum += Double(matrix[row * inputs + i]) * Double(x[i]) }
            return Float(sum)
        }
    }

    private func activated(_ x: Float) -> Float {
        let value = Double(x)
        return switch activation {
        case .identity: x
        case .tanh: Float(tanh(value))
        case .relu: max(0, x)
        case .gelu: Float(0.5 * value * (1 + erf(value / 2.0.squareRoot())))
        case .sigmoid: Float(1 / (1 + exp(-value)))
        case .silu: Float(value / (1 + exp(-value)))
        }
    }
}

/// A layer norm over a text's vector: sentence-transformers' `LayerNorm`.
package struct SentenceNorm: Sendable {
    private let weight: [Float]
    private let bias: [Float]
    private let path: String

    init(directory: String) throws {
        path = directory
        let tensors = try Safetensors(directory: directory).tensors
        func numbers(_ name: String) throws -> [Float] {
            let tensor = try tensors.tensor(name)
            return tensor.type == .f32 ? tensor.values : tensor.decoded(on: Device(threads: 1)).values
        }
        (weight, bias) = (try numbers("norm.weight"), try numbers("norm.bias"))
    }

    func callAsFunction(_ x: [Float]) throws -> [Float] {
        guard x.count == weight.count, bias.count == weight.count else {
            throw TaskError("\(path): vectors have \(x.count) elements, but the norm has \(weight.count)")
        }
        let mean = x.reduce(0.0) { $0 + Double($1) } / Double(x.count)
        let variance = x.reduce(0.0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / Double(x.count)
        let scale = 1 / (variance + 1e-5).squareRoot()
        return x.indices.map { Float((Double(x[$0]) - mean) * scale) * weight[$0] + bias[$0] }
    }
}
