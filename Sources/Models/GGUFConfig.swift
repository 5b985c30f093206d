import MartletFormats
import MartletJSON
import MartletPlatform
import MartletTensors

/// A GGUF's metadata in the words of `config.json`, so that one family file reads both.
///
/// Source: the key names of the GGUF specification. Keys that say something this table does not know are refused by
/// name.
struct GGUFConfig {
    /// The tensors of a GGUF as far as they describe the model: which there are, with their extents, and the numbers of
    /// small ones.
    struct Tensors {
        let extents: (String) -> [Int]?
        let numbers: (String) throws -> [Float]
    }

    let path: String
    let tensors: Tensors
    let dialect: GGUFDialect
    /// The settings of the architecture, without its name before the keys.
    let metadata: JSONObject
    var config = JSONObject()

    /// Keys that are read elsewhere, or repeat what another one says.
    private static let readElsewhere: Set<String> = [
        "vocab_size", "attention.value_length", "attention.sliding_window_pattern",
        "rope.dimension_count", "rope.scaling.type", "rope.scaling.factor", "rope.scaling.original_context_length",
        "rope.scaling.attn_factor", "rope.scaling.finetuned", "rope.scale_linear", "rope.scaling.yarn_beta_fast",
        "rope.scaling.yarn_beta_slow", "rope.scaling.yarn_log_multiplier", "rope.scaling.yarn_attn_factor",
        "tensor_data_layout", "pooling_type", "classifier.output_labels",
    ]

    /// - Throws: ``FormatError`` or ``ModelError`` naming every key that cannot be translated.
    static func translate(_ file: GGUF) throws -> JSONObject {
        let tensors = Tensors(
            extents: { file.tensors[$0]?.extents },
            numbers: { name in
                let tensor = try file.tensors.tensor(name)
                guard tensor.type == .f32 else { throw ModelError("\(file.path): \(name) is \(tensor.type), not f32") }
                return tensor.values
            })
        return try translate(file.metadata, tensors: tensors, path: file.path)
    }

    static func translate(_ metadata: GGUFMetadata, tensors: Tensors, path: String) throws -> JSONObject {
        guard let architecture = try metadata.string("general.architecture") else {
            throw ModelError("\(path): general.architecture is missing, which says what kind of model it is")
        }
        let settings = metadata.json(prefix: architecture + ".")
        let candidates = GGUFDialect.all.filter { $0.architecture == architecture }
        guard let dialect = candidates.first(where: { $0.describes(settings) }) else {
            if let reason = Families.refusal(architecture) {
                throw ModelError("\(path): the architecture \(architecture) is not supported: \(reason)")
            }
            let known = Set(GGUFDialect.all.map(\.architecture)).sorted().joined(separator: ", ")
            throw ModelError("\(path): the architecture \(architecture) is not supported. Known are \(known)")
        }
        var config = GGUFConfig(path: path, tensors: tensors, dialect: dialect, metadata: settings)
        try config.readKeys()
        config.readFromTensors()
        config.readHead()
        config.readExperts()
        try config.readWidths()
        try config.readReach()
        try config.readGemma3n()
        try config.readGemma4()
        if let scaling = try config.scaling() { config.config["rope_scaling"] = scaling }
        return config.config
    }

    private init(path: String, tensors: Tensors, dialect: GGUFDialect, metadata: JSONObject) {
        (self.path, self.tensors, self.dialect, self.metadata) = (path, tensors, dialect, metadata)
        config["model_type"] = .string(dialect.modelType)
    }

    private mutating func readKeys() throws {
        var unknown: [String] = []
        for (key, value) in metadata.members where !value.isNull && value.integerValue != 0 {
            // The usual share of extrapolation, and what reads one way.
            if key == "rope.scaling.yarn_ext_factor" && value.doubleValue == 1 { continue }
            if key == "attention.causal" && value.boolValue == true { continue }
            if let name = dialect.configKey(key) {
                config[name] = try size(key, value) ?? GGUFConfig.tidy(value)
            } else if !GGUFConfig.readElsewhere.contains(key) && !dialect.otherKeys.keys.contains(key) {
                unknown.append("\(dialect.architecture).\(key)")
            }
        }
        guard unknown.isEmpty else {
            throw ModelError(
                "\(path): unknown settings: \(unknown.joined(separator: ", ")). They may change what the model computes"
            )
        }
        if let rows = tensors.extents("token_embd.weight")?.first { config["vocab_size"] = .integer(rows) }
        if dialect.modelType == "mpt", let limit = metadata["attention.clamp_kqv"] {
            config["attn_config"] = ["clip_qkv": GGUFConfig.tidy(limit)]
        }
        // What ggml takes the base for where nothing is said; some families would take another.
        if dialect.positions == .rotary, let key = dialect.configKey("rope.freq_base"), config[key] == nil {
            config[key] = 10_000
        }
    }

    /// A float32 as its shortest decimal spelling, which reads back as the same float32.
    static func tidy(_ value: JSON) -> JSON {
        guard value.integerValue == nil, let number = value.doubleValue, Double(Float(number)) == number else {
            return value
        }
        return Double("\(Float(number))").map { .number($0) } ?? value
    }

    /// Values as wide as keys; of each head a share rotated.
    private mutating func readWidths() throws {
        guard metadata["attention.kv_lora_rank"] == nil else { return try readLatentWidths() }
        guard dialect.modelType != "gemma4_text" else { return }
        guard let heads = config["num_attention_heads"]?.integerValue, heads > 0 else { return }
        let width = config["head_dim"]?.integerValue ?? (config["hidden_size"]?.integerValue ?? 0) / heads
        if let value = metadata["attention.value_length"]?.integerValue, value != width {
            throw ModelError(
                "\(path): attention.value_length is \(value), but keys are \(width) wide, and nothing else is supported"
            )
        }
        let rotated = metadata["rope.dimension_count"]?.integerValue ?? width
        guard dialect.positions == .rotary, (1...Int(Int32.max)).contains(width), rotated > 0, rotated <= width else {
            return
        }
        // Families that rotate a part by default must be told.
        if let key = dialect.shareKey, rotated != width || dialect.rotatesPart {
            config[key] = .number(GGUFConfig.share(rotated, of: width))
        } else if rotated != width {
            throw ModelError(
                "\(path): \(rotated) of \(width) elements of each head are rotated, which is not supported here")
        }
    }

    /// The share whose product with the width, rounded down, is the part again.
    private static func share(_ part: Int, of width: Int) -> Double {
        let share = Double(part) / Double(width)
        return Int(Double(width) * share) == part ? share : share.nextUp
    }

    /// Windows and scales that GGUF leaves to the reader's knowledge of Gemma.
    private mutating func readReach() throws {
        guard dialect.modelType == "gemma2" || dialect.modelType == "gemma3_text" else { return }
        if dialect.architecture == "gemma-embedding" {
            config["architectures"] = [.string(dialect.className)]
            config["use_bidirectional_attention"] = true
        }
        let (layers, heads) = (
            config["num_hidden_layers"]?.integerValue ?? 0, config["num_attention_heads"]?.integerValue ?? 1
        )
        let largest = dialect.modelType == "gemma2" ? 46 : 62
        if layers == largest, heads > 0 {
            config["query_pre_attn_scalar"] = .integer((config["hidden_size"]?.integerValue ?? 0) / heads)
        } else {
            config["query_pre_attn_scalar"] = config["head_dim"]
        }
        if let pattern = metadata["attention.sliding_window_pattern"]?.arrayValue?.compactMap(\.boolValue) {
            config["layer_types"] = .array(pattern.map { $0 ? "sliding_attention" : "full_attention" })
        } else if let period = metadata["attention.sliding_window_pattern"]?.integerValue {
            config["sliding_window_pattern"] = .integer(period)
        }
        if dialect.modelType == "gemma3_text", config["sliding_window"] == nil { config["sliding_window"] = .null }
    }

    private func scaling() throws -> JSON? {
        var scaling = JSONObject()
        func set(_ key: String, _ name: String) {
            if let value = metadata[name] { scaling[key] = value }
        }
        func numbers(_ name: String) throws -> JSON? {
            guard tensors.extents(name) != nil else { return nil }
            return .array(try tensors.numbers(name).map { .number(Double($0)) })
        }
        if let short = try numbers("rope_factors_short.weight"), let long = try numbers("rope_factors_long.weight") {
            scaling["rope_type"] = "longrope"
            scaling["short_factor"] = short
            scaling["long_factor"] = long
            set("attention_factor", "rope.scaling.attn_factor")
            if dialect.modelType == "phimoe" {
                set("short_mscale", "rope.scaling.attn_factor")
                set("long_mscale", "rope.scaling.attn_factor")
            }
            return .object(scaling)
        }
        if dialect.modelType == "gemma4_text" { return nil }
        if let divisors = try numbers("rope_freqs.weight") {
            scaling["rope_type"] = "divided"
            scaling["divisors"] = divisors
            return .object(scaling)
        }
        if let factor = metadata["rope.scale_linear"], factor.doubleValue != 1 {
            scaling["rope_type"] = "linear"
            scaling["factor"] = factor
            return .object(scaling)
        }
        guard let type = metadata["rope.scaling.type"]?.stringValue, type != "none" else { return nil }
        scaling["rope_type"] = .string(type)
        set("factor", "rope.scaling.factor")
        if type == "yarn" { readYarn(&scaling) }
        return .object(scaling)
    }

    private func readYarn(_ scaling: inout JSONObject) {
        scaling["original_max_position_embeddings"] = metadata["rope.scaling.original_context_length"]
        // ggml multiplies what it computes from the factor itself.
        if let own = metadata["rope.scaling.attn_factor"]?.doubleValue, own != 1,
            let factor = scaling["factor"]?.doubleValue, factor > 1
        {
            scaling["attention_factor"] = .number(own * (1 + 0.1 * log(factor)))
        }
        // Newer files have the whole of it, as config.json has.
        if let whole = metadata["rope.scaling.yarn_attn_factor"] { scaling["attention_factor"] = whole }
        if let fast = metadata["rope.scaling.yarn_beta_fast"] { scaling["beta_fast"] = fast }
        if let slow = metadata["rope.scaling.yarn_beta_slow"] { scaling["beta_slow"] = slow }
        // Its makers do not round the ends of the ramp; the format has no word for that.
        if dialect.modelType == "gpt_oss" { scaling["truncate"] = false }
        readGrowth(&scaling)
    }
}
