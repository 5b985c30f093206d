import MartletJSON
import MartletLayers

/// The dialect in which GGUF spells one model type: its `general.architecture`, and where its words for `config.json`
/// keys differ from the common ones.
///
/// Source: the key names of the GGUF specification; what absent keys mean, as llama.cpp's loaders have it.
struct GGUFDialect: Sendable {
    /// The value of `general.architecture`; the prefix of the model's keys.
    let architecture: String
    /// The `model_type` of config.json.
    let modelType: String
    /// The name in transformers of the class with a head over the vocabulary.
    let className: String
    /// The setting that tells this model from others of the same architecture.
    var marker: Marker?
    /// Words of config.json in place of the common ones; nil for what it does not say.
    var otherKeys: [String: String?] = [:]
    /// The key of config.json for the rotated share of a head; nil where it does not say it.
    var shareKey: String? = "partial_rotary_factor"
    /// True where absence of that key means a part of each head.
    var rotatesPart = false
    var positions = Positions.rotary
    var experts = Experts.counted

    /// The kind of positions: rotary ones, whose keys are then read, or others.
    enum Positions { case rotary, others }

    /// A setting that is there and not 0, or that has one value.
    struct Marker: Sendable {
        let key: String
        var value: Int?
    }

    /// The settings that routers have beside the number of experts.
    enum Experts {
        /// None.
        case counted
        /// Every setting of DeepSeek's routers.
        case routed
        /// Experts in every so many layers.
        case interleaved
    }

    /// The keys of `config.json` for the settings of most architectures.
    static let keys: [String: String] = [
        "context_length": "max_position_embeddings",
        "embedding_length": "hidden_size",
        "block_count": "num_hidden_layers",
        "feed_forward_length": "intermediate_size",
        "attention.head_count": "num_attention_heads",
        "attention.head_count_kv": "num_key_value_heads",
        "attention.key_length": "head_dim",
        "attention.layer_norm_rms_epsilon": "rms_norm_eps",
        "attention.layer_norm_epsilon": "layer_norm_epsilon",
        "attention.sliding_window": "sliding_window",
        "attention.clamp_kqv": "clip_qkv",
        "attn_logit_softcapping": "attn_logit_softcapping",
        "final_logit_softcapping": "final_logit_softcapping",
        "expert_count": "num_experts",
        "expert_used_count": "num_experts_per_tok",
        "expert_feed_forward_length": "moe_intermediate_size",
        "expert_shared_feed_forward_length": "shared_expert_intermediate_size",
        "rope.freq_base": "rope_theta",
        "rope.freq_base_swa": "rope_local_base_freq",
        "use_parallel_residual": "use_parallel_residual",
    ]

    static let all = others + t5

    private static let others: [GGUFDialect] = [
        .init(
            architecture: "llama", modelType: "mixtral", className: "MixtralForCausalLM",
            marker: .init(key: "expert_count"),
            otherKeys: ["expert_count": "num_local_experts"], shareKey: nil),
        .init(
            architecture: "llama", modelType: "mistral", className: "MistralForCausalLM",
            marker: .init(key: "attention.sliding_window"), shareKey: nil),
        .init(architecture: "llama", modelType: "llama", className: "LlamaForCausalLM", shareKey: nil),
        .init(architecture: "qwen2", modelType: "qwen2", className: "Qwen2ForCausalLM", shareKey: nil),
        .init(architecture: "qwen3", modelType: "qwen3", className: "Qwen3ForCausalLM", shareKey: nil),
        .init(architecture: "qwen2moe", modelType: "qwen2_moe", className: "Qwen2MoeForCausalLM", shareKey: nil),
        .init(architecture: "qwen3moe", modelType: "qwen3_moe", className: "Qwen3MoeForCausalLM", shareKey: nil),
        .init(architecture: "gemma", modelType: "gemma", className: "GemmaForCausalLM", shareKey: nil),
        .init(architecture: "gemma2", modelType: "gemma2", className: "Gemma2ForCausalLM", shareKey: nil),
        .init(
            architecture: "gemma3", modelType: "gemma3_text", className: "Gemma3ForCausalLM", shareKey: nil),
        .init(
            architecture: "gemma-embedding", modelType: "gemma3_text", className: "Gemma3TextModel",
            otherKeys: ["attention.causal": nil].merging(
                ["dense_2_feat_in", "dense_2_feat_out", "dense_3_feat_in", "dense_3_feat_out"].map { ($0, nil) }
            ) { $1 },
            shareKey: nil),
        .init(
            architecture: "gemma3n", modelType: "gemma3n_text", className: "Gemma3nForCausalLM",
            otherKeys: [
                "attention.shared_kv_layers": nil, "embedding_length_per_layer_input": "hidden_size_per_layer_input",
                "altup.active_idx": "altup_active_idx", "altup.num_inputs": "altup_num_inputs",
                "activation_sparsity_scale": nil,
            ], shareKey: nil),
        .init(
            architecture: "gemma4", modelType: "gemma4_text", className: "Gemma4ForCausalLM",
            otherKeys: [
                "attention.key_length": "global_head_dim", "attention.key_length_swa": "head_dim",
                "attention.value_length_swa": nil, "attention.shared_kv_layers": "num_kv_shared_layers",
                "embedding_length_per_layer_input": "hidden_size_per_layer_input",
                "expert_used_count": "top_k_experts", "expert_shared_feed_forward_length": nil,
                "rope.freq_base": nil, "rope.freq_base_swa": nil, "rope.dimension_count_swa": nil,
            ], shareKey: nil),
        .init(
            architecture: "phi3", modelType: "phi3", className: "Phi3ForCausalLM",
            otherKeys: ["rope.scaling.original_context_length": "original_max_position_embeddings"]),
        .init(
            architecture: "phi2", modelType: "phi", className: "PhiForCausalLM",
            otherKeys: ["attention.layer_norm_epsilon": "layer_norm_eps"], rotatesPart: true),
        .init(
            architecture: "gptneox", modelType: "gpt_neox", className: "GPTNeoXForCausalLM",
            otherKeys: ["attention.layer_norm_epsilon": "layer_norm_eps", "rope.freq_base": "rotary_emb_base"],
            shareKey: "rotary_pct", rotatesPart: true),
        .init(
            architecture: "falcon", modelType: "falcon", className: "FalconForCausalLM",
            otherKeys: ["feed_forward_length": "ffn_hidden_size", "attention.head_count_kv": "num_kv_heads"],
            shareKey: nil),
        .init(
            architecture: "bloom", modelType: "bloom", className: "BloomForCausalLM",
            otherKeys: ["context_length": nil, "feed_forward_length": nil, "attention.head_count_kv": nil],
            positions: .others),
        .init(
            architecture: "bert", modelType: "bert", className: "BertModel", otherKeys: encoderKeys, shareKey: nil,
            positions: .others),
        .init(
            architecture: "nomic-bert", modelType: "nomic_bert", className: "NomicBertModel", otherKeys: encoderKeys,
            shareKey: nil),
        .init(
            architecture: "jina-bert-v2", modelType: "jina_bert_v2", className: "JinaBertModel",
            otherKeys: encoderKeys, shareKey: nil, positions: .others),
        .init(
            architecture: "gpt2", modelType: "gpt2", className: "GPT2LMHeadModel",
            otherKeys: ["feed_forward_length": "n_inner"], positions: .others),
        .init(
            architecture: "granite", modelType: "granite", className: "GraniteForCausalLM", otherKeys: multipliers,
            shareKey: nil),
        .init(
            architecture: "granitemoe", modelType: "granitemoe", className: "GraniteMoeForCausalLM",
            otherKeys: multipliers.merging(["expert_count": "num_local_experts"]) { $1 }, shareKey: nil),
        .init(architecture: "smollm3", modelType: "smollm3", className: "SmolLM3ForCausalLM", shareKey: nil),
        .init(
            architecture: "olmo", modelType: "olmo", className: "OlmoForCausalLM",
            otherKeys: ["attention.layer_norm_epsilon": nil], shareKey: nil),
        .init(architecture: "olmo2", modelType: "olmo2", className: "Olmo2ForCausalLM", shareKey: nil),
        .init(architecture: "olmoe", modelType: "olmoe", className: "OlmoeForCausalLM", shareKey: nil),
        .init(
            architecture: "command-r", modelType: "cohere", className: "CohereForCausalLM",
            otherKeys: ["attention.layer_norm_epsilon": "layer_norm_eps", "logit_scale": "logit_scale"], shareKey: nil),
        .init(
            architecture: "cohere2", modelType: "cohere2", className: "Cohere2ForCausalLM",
            otherKeys: ["attention.layer_norm_epsilon": "layer_norm_eps", "logit_scale": "logit_scale"], shareKey: nil),
        .init(architecture: "glm4", modelType: "glm4", className: "Glm4ForCausalLM", rotatesPart: true),
        .init(architecture: "chatglm", modelType: "glm", className: "GlmForCausalLM", rotatesPart: true),
        .init(
            architecture: "starcoder2", modelType: "starcoder2", className: "Starcoder2ForCausalLM",
            otherKeys: ["attention.layer_norm_epsilon": "norm_epsilon"], shareKey: nil),
        .init(
            architecture: "starcoder", modelType: "gpt_bigcode", className: "GPTBigCodeForCausalLM",
            otherKeys: ["feed_forward_length": "n_inner"], positions: .others),
        .init(
            architecture: "stablelm", modelType: "stablelm", className: "StableLmForCausalLM",
            otherKeys: ["attention.layer_norm_epsilon": "layer_norm_eps"], rotatesPart: true),
        .init(architecture: "exaone4", modelType: "exaone4", className: "Exaone4ForCausalLM", shareKey: nil),
        .init(
            architecture: "nemotron", modelType: "nemotron", className: "NemotronForCausalLM",
            otherKeys: ["attention.layer_norm_epsilon": "norm_eps"], rotatesPart: true),
        .init(architecture: "arcee", modelType: "arcee", className: "ArceeForCausalLM", shareKey: nil),
        .init(architecture: "ernie4_5", modelType: "ernie4_5", className: "Ernie4_5ForCausalLM", shareKey: nil),
        .init(
            architecture: "hunyuan-dense", modelType: "hunyuan_v1_dense", className: "HunYuanDenseV1ForCausalLM",
            shareKey: nil),
        .init(architecture: "seed_oss", modelType: "seed_oss", className: "SeedOssForCausalLM", shareKey: nil),
        .init(
            architecture: "gpt-oss", modelType: "gpt_oss", className: "GptOssForCausalLM",
            otherKeys: [
                "expert_count": "num_local_experts", "expert_feed_forward_length": "intermediate_size",
                "feed_forward_length": nil,
            ], shareKey: nil),
        .init(
            architecture: "qwen2vl", modelType: "qwen2_5_vl_text", className: "Qwen2_5_VLForConditionalGeneration",
            otherKeys: ["rope.dimension_sections": nil], shareKey: nil),
        .init(
            architecture: "qwen3vl", modelType: "qwen3_vl_text", className: "Qwen3VLForConditionalGeneration",
            otherKeys: ["rope.dimension_sections": nil, "n_deepstack_layers": nil], shareKey: nil),
        .init(
            architecture: "mpt", modelType: "mpt", className: "MptForCausalLM",
            otherKeys: [
                "context_length": "max_seq_len", "embedding_length": "d_model", "block_count": "n_layers",
                "attention.head_count": "n_heads", "attention.head_count_kv": nil, "feed_forward_length": nil,
                "attention.max_alibi_bias": nil, "attention.clamp_kqv": nil,
            ], positions: .others),
        .init(
            architecture: "deepseek2", modelType: "deepseek_v3", className: "DeepseekV3ForCausalLM",
            marker: .init(key: "expert_gating_func", value: 2), otherKeys: latentKeys, shareKey: nil, experts: .routed),
        .init(
            architecture: "deepseek2", modelType: "deepseek_v2", className: "DeepseekV2ForCausalLM",
            otherKeys: latentKeys, shareKey: nil, experts: .routed),
        .init(
            architecture: "glm4moe", modelType: "glm4_moe", className: "Glm4MoeForCausalLM", otherKeys: routedKeys,
            rotatesPart: true, experts: .routed),
        .init(
            architecture: "ernie4_5-moe", modelType: "ernie4_5_moe", className: "Ernie4_5_MoeForCausalLM",
            otherKeys: [
                "expert_count": "moe_num_experts", "expert_used_count": "moe_k",
                "interleave_moe_layer_step": "moe_layer_interval", "expert_shared_count": "moe_num_shared_experts",
                "leading_dense_block_count": "moe_layer_start_index", "expert_shared_feed_forward_length": nil,
                "expert_gating_func": nil,
            ], shareKey: nil, experts: .interleaved),
        .init(
            architecture: "phimoe", modelType: "phimoe", className: "PhimoeForCausalLM",
            otherKeys: [
                "expert_count": "num_local_experts", "expert_feed_forward_length": nil,
                "rope.scaling.original_context_length": "original_max_position_embeddings",
            ], shareKey: nil),
        .init(
            architecture: "llama4", modelType: "llama4_text", className: "Llama4ForCausalLM",
            otherKeys: [
                "expert_count": "num_local_experts", "expert_feed_forward_length": "intermediate_size",
                "feed_forward_length": "intermediate_size_mlp",
                "interleave_moe_layer_step": "interleave_moe_layer_step", "attention.sliding_window": nil,
                "expert_shared_feed_forward_length": nil, "expert_gating_func": nil,
            ], shareKey: nil, experts: .interleaved),
        .init(architecture: "apertus", modelType: "apertus", className: "ApertusForCausalLM", shareKey: nil),
        .init(
            architecture: "mistral3", modelType: "ministral3", className: "Ministral3ForCausalLM",
            otherKeys: ["attention.temperature_scale": nil], shareKey: nil),
        .init(
            architecture: "qwen3vlmoe", modelType: "qwen3_vl_moe_text",
            className: "Qwen3VLMoeForConditionalGeneration",
            otherKeys: ["rope.dimension_sections": nil, "n_deepstack_layers": nil], shareKey: nil),
        .init(
            architecture: "modern-bert", modelType: "modernbert", className: "ModernBertModel",
            otherKeys: encoderKeys.merging([
                "attention.layer_norm_epsilon": "norm_eps", "attention.sliding_window": "local_attention",
                "rope.freq_base": "global_rope_theta", "rope.freq_base_swa": "local_rope_theta",
                "hidden_act": "hidden_activation", "embedding_length_out": nil,
            ]) { $1 }, shareKey: nil),
        .init(
            architecture: "nomic-bert-moe", modelType: "nomic_bert_moe", className: "NomicBertModel",
            otherKeys: encoderKeys.merging([
                "moe_every_n_layers": "moe_every_n_layers", "expert_used_count": "moe_top_k",
            ]) { $1 }, shareKey: nil),
        .init(
            architecture: "jina-bert-v3", modelType: "jina_embeddings_v3", className: "JinaEmbeddingsV3Model",
            otherKeys: encoderKeys, shareKey: nil),
        .init(
            architecture: "eurobert", modelType: "eurobert", className: "EuroBertModel",
            otherKeys: ["attention.causal": nil], shareKey: nil),
    ]

    /// The keys of Granite's multipliers.
    private static let multipliers: [String: String?] = [
        "embedding_scale": "embedding_multiplier", "residual_scale": "residual_multiplier",
        "logit_scale": "logits_scaling", "attention.scale": "attention_multiplier",
    ]

    /// The keys of the routers of DeepSeek and GLM-4.5; further tokens that an extra layer predicts are left out.
    private static let routedKeys: [String: String?] = [
        "expert_count": "n_routed_experts", "expert_shared_count": "n_shared_experts",
        "leading_dense_block_count": "first_k_dense_replace", "expert_weights_scale": "routed_scaling_factor",
        "expert_weights_norm": "norm_topk_prob", "expert_group_count": "n_group",
        "expert_group_used_count": "topk_group", "expert_gating_func": nil, "nextn_predict_layers": nil,
    ]

    /// The widths of latent attention are read together.
    private static let latentKeys: [String: String?] = routedKeys.merging([
        "attention.q_lora_rank": "q_lora_rank", "attention.kv_lora_rank": "kv_lora_rank", "attention.key_length": nil,
        "attention.key_length_mla": nil, "attention.value_length_mla": nil, "attention.head_count_kv": nil,
    ]) { $1 }

    /// The keys of BERT and its relatives; how rows become one vector is read where they are pooled.
    private static let encoderKeys: [String: String?] = [
        "attention.layer_norm_epsilon": "layer_norm_eps", "attention.causal": nil, "pooling_type": nil,
        "attention.head_count_kv": nil, "classifier.output_labels": nil,
    ]

    /// T5 and its kin, whole and their encoders alone.
    private static let t5: [GGUFDialect] = [("t5", "ForConditionalGeneration"), ("t5encoder", "EncoderModel")].flatMap {
        (architecture, ending) in
        [("t5", "T5"), ("umt5", "UMT5"), ("mt5", "MT5")].map { modelType, name in
            .init(
                architecture: architecture, modelType: modelType, className: name + ending, otherKeys: t5Keys,
                shareKey: nil, positions: .others)
        }
    }

    /// The keys of T5; how far its buckets reach is not said.
    private static let t5Keys: [String: String?] = [
        "context_length": "n_positions", "embedding_length": "d_model", "feed_forward_length": "d_ff",
        "block_count": "num_layers", "decoder_block_count": "num_decoder_layers", "attention.head_count": "num_heads",
        "attention.head_count_kv": nil, "attention.key_length": "d_kv", "attention.layer_norm_epsilon": nil,
        "attention.layer_norm_rms_epsilon": "layer_norm_epsilon",
        "attention.relative_buckets_count": "relative_attention_num_buckets",
        "decoder_start_token_id": "decoder_start_token_id",
    ]

    /// The word of config.json for a setting; nil when it has none.
    func configKey(_ key: String) -> String? {
        if let other = otherKeys[key] { return other }
        return GGUFDialect.keys[key]
    }

    /// Returns whether `settings`, those of a file of this architecture, are of this model.
    func describes(_ settings: JSONObject) -> Bool {
        guard let marker else { return true }
        guard let value = settings[marker.key]?.integerValue else { return false }
        return marker.value.map { $0 == value } ?? (value > 0)
    }

    /// The dialect for a model type; nil where GGUF has no name for it.
    ///
    /// - Parameter body: of the model, where T5's encoder alone goes by another name than the whole.
    static func writing(_ modelType: String, _ body: Architecture.Body? = nil) -> GGUFDialect? {
        let candidates = all.filter { $0.modelType == modelType }
        if case .encoder? = body, let other = candidates.first(where: { $0.architecture == "t5encoder" }) {
            return other
        }
        return candidates.first
    }
}
