import MartletJSON

/// A setting that a GGUF tells only by whether it has a tensor.
private struct TensorSetting {
    /// The key of config.json.
    let key: String
    /// The tensor that is there where the setting is true.
    let tensor: String
    /// True where absence says false; otherwise it says nothing, and the family's default counts.
    let saysAbsence: Bool

    init(_ key: String, _ tensor: String, saysAbsence: Bool = true) {
        (self.key, self.tensor, self.saysAbsence) = (key, tensor, saysAbsence)
    }

    /// The settings of model types.
    static let all: [(modelTypes: Set<String>, settings: [TensorSetting])] = [
        (
            [
                "llama", "qwen3", "qwen3_moe", "gemma", "gemma2", "gemma3_text", "gemma3n_text", "granite",
                "granitemoe", "smollm3", "olmo", "olmo2", "olmoe", "cohere", "cohere2", "nemotron", "arcee",
                "hunyuan_v1_dense", "apertus", "qwen3_vl_moe_text",
            ],
            [
                TensorSetting("attention_bias", "blk.0.attn_output.bias", saysAbsence: false),
                TensorSetting("mlp_bias", "blk.0.ffn_up.bias", saysAbsence: false),
            ]
        ),
        (["cohere"], [TensorSetting("use_qk_norm", "blk.0.attn_q_norm.weight", saysAbsence: false)]),
        (["gpt_oss", "gpt_neox"], [TensorSetting("attention_bias", "blk.0.attn_output.bias")]),
        (
            ["glm", "glm4", "glm4_moe", "phimoe", "seed_oss"],
            [TensorSetting("attention_bias", "blk.0.attn_q.bias")]
        ),
        (["glm4_moe"], [TensorSetting("use_qk_norm", "blk.0.attn_q_norm.weight")]),
        (["phimoe"], [TensorSetting("lm_head_bias", "output.bias")]),
        (["seed_oss"], [TensorSetting("attention_out_bias", "blk.0.attn_output.bias")]),
        (["starcoder2", "ernie4_5", "ernie4_5_moe"], [TensorSetting("use_bias", "blk.0.attn_output.bias")]),
        (
            ["stablelm"],
            [
                TensorSetting("use_qkv_bias", "blk.0.attn_q.bias"),
                TensorSetting("qk_layernorm", "blk.0.attn_q_norm.weight"),
            ]
        ),
        (["qwen2_moe"], [TensorSetting("qkv_bias", "blk.0.attn_q.bias")]),
    ]
}

extension GGUFConfig {
    /// The rows of a matrix; one where it is kept as a vector, as llama.cpp keeps all that have one row.
    func rows(_ name: String) -> Int? { tensors.extents(name).map { $0.count > 1 ? $0[0] : 1 } }

    private func has(_ name: String) -> Bool { tensors.extents(name) != nil }

    /// Reads the settings that a GGUF says only by which tensors it has.
    mutating func readFromTensors() {
        config["tie_word_embeddings"] = .bool(!has("output.weight"))
        for (modelTypes, settings) in TensorSetting.all where modelTypes.contains(dialect.modelType) {
            for setting in settings where setting.saysAbsence || has(setting.tensor) {
                config[setting.key] = .bool(has(setting.tensor))
            }
        }
        switch dialect.modelType {
        case "gpt_bigcode": config["multi_query"] = .bool(config["num_key_value_heads"]?.integerValue == 1)
        // Absence would mean a window of the usual size.
        case "exaone4" where config["sliding_window"] == nil: config["sliding_window"] = .null
        case "bert", "nomic_bert", "nomic_bert_moe", "jina_embeddings_v3": readEncoder()
        case "eurobert": config["architectures"] = [.string(dialect.className)]
        case "jina_bert_v2":
            readEncoder()
            config["feed_forward_type"] = "geglu"
            if has("blk.0.attn_q_norm.weight") { config[JinaBERT.secondKind] = true }
        case "modernbert": readModernBERT()
        case "t5": readT5()
        case "falcon": readFalcon()
        // ggml renormalises the chosen experts of Qwen3-MoE always, those of Qwen2-MoE never.
        case "qwen3_moe", "qwen3_vl_moe_text": config["norm_topk_prob"] = true
        default: break
        }
    }

    /// BERT and its relatives: how many segments there are.
    private mutating func readEncoder() {
        config["architectures"] = [.string(dialect.className)]
        // DistilBERT, which goes by the same name as BERT, has no segments.
        config["type_vocab_size"] = .integer(rows("token_types.weight") ?? (dialect.modelType == "bert" ? 0 : 1))
    }

    private mutating func readModernBERT() {
        config["architectures"] = [.string(dialect.className)]
        if let period = metadata["attention.sliding_window_pattern"]?.integerValue {
            config["global_attn_every_n_layers"] = .integer(period)
        }
        // The pooling that a head of ggml's reads.
        config["classifier_pooling"] = "mean"
        // The base that ggml takes where nothing is said.
        if config["local_rope_theta"] == nil { config["local_rope_theta"] = config["global_rope_theta"] }
    }

    /// T5 and its kin: buckets of each layer's own, gates, and a decoder.
    private mutating func readT5() {
        if has("enc.blk.1.attn_rel_b.weight") { config["model_type"] = "umt5" }
        let found = GGUFDialect.all.first {
            $0.architecture == dialect.architecture && $0.modelType == config["model_type"]?.stringValue
        }
        config["architectures"] = [.string((found ?? dialect).className)]
        // Readers take the one activation for gated layers, the other for plain ones.
        config["feed_forward_proj"] = has("enc.blk.0.ffn_gate.weight") ? "gated-gelu" : "relu"
        config["is_encoder_decoder"] = .bool(has("dec.output_norm.weight"))
        config["decoder_start_token_id"] = metadata["decoder_start_token_id"] ?? 0
    }

    /// Falcon: the newer decoder with key heads in groups, and its norms.
    private mutating func readFalcon() {
        let isGrouped = (config["num_kv_heads"]?.integerValue ?? 1) > 1 || has("blk.0.attn_norm_2.weight")
        config["new_decoder_architecture"] = .bool(isGrouped)
        config["num_ln_in_parallel_attn"] = has("blk.0.attn_norm_2.weight") ? 2 : 1
        config["bias"] = .bool(has("blk.0.attn_qkv.bias"))
    }
}
