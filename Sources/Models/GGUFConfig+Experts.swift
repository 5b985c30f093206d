import MartletJSON
import MartletPlatform

/// The settings of routers, latent attention and growing queries.
extension GGUFConfig {
    /// Translates the settings of a router, and fills in what absent ones mean to ggml, where a family would take
    /// another default; layers beyond the model's own, which predict further tokens, are left out.
    mutating func readExperts() {
        func setDefault(_ key: String, _ value: JSON) { if config[key] == nil { config[key] = value } }
        switch dialect.experts {
        case .counted: break
        case .routed:
            setDefault("norm_topk_prob", false)
            setDefault("routed_scaling_factor", 1)
            setDefault("first_k_dense_replace", 0)
            readGroups()
            let further = metadata["nextn_predict_layers"]?.integerValue ?? 0
            if let layers = config["num_hidden_layers"]?.integerValue, further > 0, further < layers {
                config["num_hidden_layers"] = .integer(layers - further)
            }
        case .interleaved where dialect.modelType == "ernie4_5_moe":
            setDefault("moe_layer_start_index", 0)
            setDefault("moe_num_shared_experts", 0)
        case .interleaved:
            // The format has no word for the norms of queries and keys; ggml knows Maverick by its experts.
            config["use_qk_norm"] = .bool(config["num_local_experts"]?.integerValue != 128)
        }
    }

    /// The first converters of DeepSeek-V3 wrote no groups; of that size there is one kind.
    private mutating func readGroups() {
        let isThird = dialect.modelType == "deepseek_v3"
        if isThird, config["n_group"] == nil, config["n_routed_experts"]?.integerValue != 256 {
            (config["n_group"], config["topk_group"]) = (1, 1)
        }
        if dialect.modelType == "deepseek_v2", config["n_group"]?.integerValue ?? 1 > 1 {
            config["topk_method"] = "group_limited_greedy"
        }
    }

    /// The widths of latent attention. Files that cut its matrices by heads give keys and values the width of the
    /// narrow row, and say their own beside it.
    ///
    /// - Throws: ``ModelError`` where they are missing or contradict each other.
    mutating func readLatentWidths() throws {
        func width(_ name: String) -> Int? {
            (metadata["attention.\(name)_length_mla"] ?? metadata["attention.\(name)_length"])?.integerValue
        }
        guard let key = width("key"), let value = width("value"),
            let rotated = metadata["rope.dimension_count"]?.integerValue, rotated < key
        else {
            throw ModelError(
                "\(path): the widths of keys, values and the rotated part are missing, which latent attention needs")
        }
        config["qk_nope_head_dim"] = .integer(key - rotated)
        config["qk_rope_head_dim"] = .integer(rotated)
        config["v_head_dim"] = .integer(value)
        config["num_key_value_heads"] = config["num_attention_heads"]
        if config["q_lora_rank"] == nil { config["q_lora_rank"] = .null }
    }

    /// The settings of YaRN that act on the scores of latent attention, and the growth of Ministral 3's queries.
    func readGrowth(_ scaling: inout JSONObject) {
        if dialect.modelType == "ministral3" {
            scaling["llama_4_scaling_beta"] = metadata["attention.temperature_scale"].map(GGUFConfig.tidy)
        }
        guard let multiplier = metadata["rope.scaling.yarn_log_multiplier"]?.doubleValue, multiplier != 0 else {
            return
        }
        let weight =
            dialect.modelType == "ministral3" ? multiplier : GGUFConfig.weight(ofMultiplier: Float(multiplier))
        (scaling["mscale"], scaling["mscale_all_dim"]) = (.number(weight), .number(weight))
    }

    /// DeepSeek's `mscale_all_dim`, of which files hold a tenth.
    static func weight(ofMultiplier multiplier: Float) -> Double {
        let weight = Float(Double(multiplier) / 0.1)
        return Double("\(weight)") ?? Double(weight)
    }
}
