import MartletJSON

extension GGUFConfig {
    /// Reads the settings that a GGUF says only by which tensors it has.
    mutating func readFromTensors() {
        func has(_ name: String) -> Bool { tensors.extents(name) != nil }
        config["tie_word_embeddings"] = .bool(!has("output.weight"))
        switch dialect.modelType {
        case "llama", "qwen3", "qwen3_moe", "gemma", "gemma2", "gemma3_text", "gemma3n_text", "granite", "granitemoe",
            "smollm3",
            "olmo", "olmo2", "olmoe", "cohere", "cohere2", "nemotron", "arcee", "hunyuan_v1_dense", "apertus",
            "qwen3_vl_moe_text":
            if has("blk.0.attn_output.bias") { config["attention_bias"] = true }
            if has("blk.0.ffn_up.bias") { config["mlp_bias"] = true }
            if dialect.modelType == "cohere", has("blk.0.attn_q_norm.weight") { config["use_qk_norm"] = true }
        case "gpt_oss": config["attention_bias"] = .bool(has("blk.0.attn_output.bias"))
        case "phimoe":
            config["attention_bias"] = .bool(has("blk.0.attn_q.bias"))
            config["lm_head_bias"] = .bool(has("output.bias"))
        case "starcoder2", "ernie4_5", "ernie4_5_moe": config["use_bias"] = .bool(has("blk.0.attn_output.bias"))
        case "gpt_bigcode": config["multi_query"] = .bool(config["num_key_value_heads"]?.integerValue == 1)
        case "stablelm":
            config["use_qkv_bias"] = .bool(has("blk.0.attn_q.bias"))
            config["qk_layernorm"] = .bool(has("blk.0.attn_q_norm.weight"))
        case "glm", "glm4": config["attention_bias"] = .bool(has("blk.0.attn_q.bias"))
        case "glm4_moe":
            config["attention_bias"] = .bool(has("blk.0.attn_q.bias"))
            config["use_qk_norm"] = .bool(has("blk.0.attn_q_norm.weight"))
        case "seed_oss":
            config["attention_bias"] = .bool(has("blk.0.attn_q.bias"))
            config["attention_out_bias"] = .bool(has("blk.0.attn_output.bias"))
        // Absence would mean a window of the usual size.
        case "exaone4" where config["sliding_window"] == nil: config["sliding_window"] = .null
        case "gpt_neox": config["attention_bias"] = .bool(has("blk.0.attn_output.bias"))
        case "modernbert":
            config["architectures"] = [.string(dialect.className)]
            if let period = metadata["attention.sliding_window_pattern"]?.integerValue {
                config["global_attn_every_n_layers"] = .integer(period)
            }
            // What ggml takes where nothing is said.
            if config["local_rope_theta"] == nil { config["local_rope_theta"] = config["global_rope_theta"] }
        case "t5":
            if has("enc.blk.1.attn_rel_b.weight") { config["model_type"] = "umt5" }
            let found = GGUFDialect.all.first {
                $0.architecture == dialect.architecture && $0.modelType == config["model_type"]?.stringValue
            }
            config["architectures"] = [.string((found ?? dialect).className)]
            // Readers take the one activation for gated layers, the other for plain ones.
            config["feed_forward_proj"] = has("enc.blk.0.ffn_gate.weight") ? "gated-gelu" : "relu"
            config["is_encoder_decoder"] = .bool(has("dec.output_norm.weight"))
            config["decoder_start_token_id"] = metadata["decoder_start_token_id"] ?? 0
        case "jina_bert_v2":
            config["architectures"] = [.string(dialect.className)]
            config["type_vocab_size"] = .integer(tensors.extents("token_types.weight")?.first ?? 1)
            config["feed_forward_type"] = "geglu"
            if has("blk.0.attn_q_norm.weight") { config[JinaBERT.secondKind] = true }
        case "bert", "nomic_bert":
            config["architectures"] = [.string(dialect.className)]
            config["type_vocab_size"] = .integer(tensors.extents("token_types.weight")?.first ?? 1)
        case "qwen2_moe": config["qkv_bias"] = .bool(has("blk.0.attn_q.bias"))
        case "falcon":
            let isGrouped = (config["num_kv_heads"]?.integerValue ?? 1) > 1 || has("blk.0.attn_norm_2.weight")
            config["new_decoder_architecture"] = .bool(isGrouped)
            config["num_ln_in_parallel_attn"] = has("blk.0.attn_norm_2.weight") ? 2 : 1
            config["bias"] = .bool(has("blk.0.attn_qkv.bias"))
        default: break
        }
        // ggml renormalises the chosen experts of Qwen3-MoE always, those of Qwen2-MoE never.
        if ["qwen3_moe", "qwen3_vl_moe_text"].contains(dialect.modelType) { config["norm_topk_prob"] = true }
    }
}
