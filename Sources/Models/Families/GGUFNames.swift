import MartletFormats
import MartletLayers

/// The names in GGUF of the weights that decoders share. Source: the tensor names of the GGUF specification.
enum GGUFNames {
    static let decoder: WeightNames = [
        "tokens": "token_embd",
        "decoder.#.attention.normBefore": "blk.#.attn_norm",
        "decoder.#.attention.query": "blk.#.attn_q",
        "decoder.#.attention.key": "blk.#.attn_k",
        "decoder.#.attention.value": "blk.#.attn_v",
        "decoder.#.attention.output": "blk.#.attn_output",
        "decoder.#.attention.queryNorm": "blk.#.attn_q_norm",
        "decoder.#.attention.keyNorm": "blk.#.attn_k_norm",
        "decoder.#.feedForward.normBefore": "blk.#.ffn_norm",
        "decoder.#.feedForward.gate": "blk.#.ffn_gate",
        "decoder.#.feedForward.up": "blk.#.ffn_up",
        "decoder.#.feedForward.down": "blk.#.ffn_down",
        "decoder.outputNorm": "output_norm",
        "head": "output",
    ]

    /// Norms behind the sublayers: Gemma 2, OLMo 2, GLM-4.
    static let normsAfter: WeightNames = [
        "decoder.#.attention.normAfter": "blk.#.post_attention_norm",
        "decoder.#.feedForward.normAfter": "blk.#.post_ffw_norm",
    ]

    /// Norms with weights of their own for each head of queries and keys: Command R+, StableLM 2 12B.
    static func headNorms(_ architecture: Architecture) -> WeightNames {
        .headNorms(of: architecture, query: "blk.#.attn_q_norm", key: "blk.#.attn_k_norm")
    }

    /// BERT and its relatives, with the head that labels whole texts, where there is one.
    static func encoder(_ architecture: Architecture) -> WeightNames {
        encoder.adding(GGUFHead.names(architecture))
    }

    private static let encoder: WeightNames = [
        "tokens": "token_embd",
        "encoder.positions": "position_embd",
        "encoder.segments": "token_types",
        "encoder.inputNorm": "token_embd_norm",
        "encoder.#.attention.query": "blk.#.attn_q",
        "encoder.#.attention.key": "blk.#.attn_k",
        "encoder.#.attention.value": "blk.#.attn_v",
        "encoder.#.attention.output": "blk.#.attn_output",
        "encoder.#.attention.normAfter": "blk.#.attn_output_norm",
        "encoder.#.feedForward.gate": "blk.#.ffn_gate",
        "encoder.#.feedForward.up": "blk.#.ffn_up",
        "encoder.#.feedForward.down": "blk.#.ffn_down",
        "encoder.#.feedForward.normAfter": "blk.#.layer_output_norm",
    ]

    /// The names of decoders with query, key and value one after the other in one tensor.
    static let fusedDecoder: WeightNames = {
        let parts = ["query", "key", "value"].map { "decoder.#.attention.\($0)" }
        let fused = WeightName("blk.#.attn_qkv", .rows(of: parts))
        return decoder.adding([
            "decoder.#.attention.query": fused,
            "decoder.#.attention.key": fused,
            "decoder.#.attention.value": fused,
        ])
    }()

    /// The older spellings in which files of one architecture come: Mixtral's first converters wrote every expert by
    /// itself, Phi-2's one tensor of query, key and value.
    static func older(_ modelType: String, storedAs tensors: StoredTensors) -> WeightNames {
        if modelType == "mixtral", tensors["blk.0.ffn_gate.0.weight"] != nil {
            return [
                "decoder.#.feedForward.experts.##.gate": "blk.#.ffn_gate.##",
                "decoder.#.feedForward.experts.##.up": "blk.#.ffn_up.##",
                "decoder.#.feedForward.experts.##.down": "blk.#.ffn_down.##",
            ]
        }
        if modelType == "jina_bert_v2" { return JinaBERT.fusedGates(storedAs: tensors) }
        if modelType == "phi", tensors["blk.0.attn_qkv.weight"] != nil { return fusedDecoder }
        return [:]
    }

    /// Mixtures of experts: each kind of matrix stacked in one tensor.
    static func experts(_ architecture: Architecture) -> WeightNames {
        guard case .decoder(let stack) = architecture.body else { return [:] }
        let counts = stack.layers.compactMap { layer in
            if case .experts(let experts) = layer.feedForward { experts.count } else { nil }
        }
        let layout = WeightName.Layout.stacked(count: counts.first ?? 0)
        return [
            "decoder.#.feedForward.router": "blk.#.ffn_gate_inp",
            "decoder.#.feedForward.router.correction": "blk.#.exp_probs_b.bias",
            "decoder.#.feedForward.experts.##.gate": WeightName("blk.#.ffn_gate_exps", layout),
            "decoder.#.feedForward.experts.##.up": WeightName("blk.#.ffn_up_exps", layout),
            "decoder.#.feedForward.experts.##.down": WeightName("blk.#.ffn_down_exps", layout),
            "decoder.#.feedForward.sharedGate": "blk.#.ffn_gate_inp_shexp",
            "decoder.#.feedForward.shared.gate": "blk.#.ffn_gate_shexp",
            "decoder.#.feedForward.shared.up": "blk.#.ffn_up_shexp",
            "decoder.#.feedForward.shared.down": "blk.#.ffn_down_shexp",
        ]
    }
}
