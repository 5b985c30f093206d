import MartletFormats
import MartletJSON
import MartletTensors

/// A GGUF's metadata in the words of `config.json`, so that one family file reads both.
///
/// Source: the key names of the GGUF specification. Keys that say something this table does not know are refused by name.
enum GGUFConfig {
    /// `<architecture>.` key to config key.
    private static let keys: [String: String] = [
        "context_length": "max_position_embeddings",
        "embedding_length": "hidden_size",
        "block_count": "num_hidden_layers",
        "attention.head_count": "num_attention_heads",
        "attention.head_count_kv": "num_key_value_heads",
        "attention.key_length": "head_dim",
        "attention.layer_norm_rms_epsilon": "rms_norm_eps",
        "attention.layer_norm_epsilon": "layer_norm_epsilon",
        "rope.freq_base": "rope_theta",
    ]

    /// Keys that are read elsewhere, or repeat what another one says.
    private static let readElsewhere: Set<String> = [
        "vocab_size", "feed_forward_length", "attention.value_length", "rope.dimension_count", "rope.scaling.type",
        "rope.scaling.factor", "rope.scaling.original_context_length", "rope.scaling.attn_factor",
        "rope.scaling.finetuned", "rope.scale_linear", "rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_slow",
        "rope.scaling.yarn_log_multiplier", "tensor_data_layout",
    ]

    /// - Throws: ``FormatError`` or ``ModelError`` naming every key that cannot be translated.
    static func translate(_ file: GGUF) throws -> JSONObject {
        guard let architecture = try file.metadata.string("general.architecture") else {
            throw ModelError("\(file.path): general.architecture is missing, which says what kind of model it is")
        }
        let metadata = file.metadata.json(prefix: architecture + ".")
        var config = JSONObject()
        config["model_type"] = .string(architecture)
        var unknown: [String] = []
        for (key, value) in metadata.members where !value.isNull {
            if let name = keys[key] {
                config[name] = value
            } else if !readElsewhere.contains(key) {
                unknown.append("\(architecture).\(key)")
            }
        }
        guard unknown.isEmpty else {
            throw ModelError(
                "\(file.path): unknown settings: \(unknown.joined(separator: ", ")). They may change what the model computes"
            )
        }
        config[architecture == "gpt2" ? "n_inner" : "intermediate_size"] = metadata["feed_forward_length"]
        if let rows = file.tensors["token_embd.weight"]?.extents.first { config["vocab_size"] = .integer(rows) }
        readFromTensors(file, architecture, &config)
        try checkWidths(file, metadata, config)
        config["rope_scaling"] = try scaling(file, metadata)
        return config
    }

    /// What a GGUF says only by which tensors it has.
    private static func readFromTensors(_ file: GGUF, _ architecture: String, _ config: inout JSONObject) {
        func has(_ name: String) -> Bool { file.tensors[name] != nil }
        config["tie_word_embeddings"] = .bool(!has("output.weight"))
        if has("blk.0.attn_output.bias") && architecture != "gpt2" { config["attention_bias"] = true }
        if has("blk.0.ffn_gate.bias") { config["mlp_bias"] = true }
    }

    /// Values as wide as keys, and whole heads rotated: nothing else is known here.
    private static func checkWidths(_ file: GGUF, _ metadata: JSONObject, _ config: JSONObject) throws {
        guard let heads = config["num_attention_heads"]?.integerValue, heads > 0 else { return }
        let width = config["head_dim"]?.integerValue ?? (config["hidden_size"]?.integerValue ?? 0) / heads
        for key in ["attention.value_length", "rope.dimension_count"] {
            if let value = metadata[key]?.integerValue, value != width {
                throw ModelError(
                    "\(file.path): \(key) is \(value), but heads are \(width) wide, and nothing else is supported")
            }
        }
    }

    private static func scaling(_ file: GGUF, _ metadata: JSONObject) throws -> JSON? {
        var scaling = JSONObject()
        func set(_ key: String, _ name: String) {
            if let value = metadata[name] { scaling[key] = value }
        }
        if let divisors = file.tensors["rope_freqs.weight"] {
            let values = try divisors.tensor()
            guard values.type == .f32 else {
                throw ModelError("\(file.path): rope_freqs.weight is \(values.type), not f32")
            }
            scaling["rope_type"] = "divided"
            scaling["divisors"] = .array(values.values.map { .number(Double($0)) })
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
        if type == "yarn" {
            set("original_max_position_embeddings", "rope.scaling.original_context_length")
            set("attention_factor", "rope.scaling.attn_factor")
            set("beta_fast", "rope.scaling.yarn_beta_fast")
            set("beta_slow", "rope.scaling.yarn_beta_slow")
        }
        return .object(scaling)
    }
}
