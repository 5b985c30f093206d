import MartletFormats
import MartletJSON
import MartletLayers
import MartletTensors

/// Nomic BERT: BERT's layers with rotary positions, SwiGLU and no biases. The second, which is read from GGUF only, has
/// biases, no gates, and experts in every so many layers, beginning with the second.
///
/// Sources: arXiv:2402.01613, arXiv:2502.07972. Checkpoints keep queries, keys and values in one tensor.
enum NomicBERT: Family {
    static let modelTypes = ["nomic_bert", "nomic_bert_moe"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        // Its publishers' words count where transformers' are not there.
        func key(_ own: String, _ older: String) -> String { config.has(own) || !config.has(older) ? own : older }
        let width = config.integer(key("hidden_size", "n_embd"), default: 768)
        let heads = config.integer(key("num_attention_heads", "n_head"), default: 12)
        let norm = Architecture.Norm.layer(
            epsilon: Float(config.number(key("layer_norm_eps", "layer_norm_epsilon"), default: 1e-12)))
        let context = config.integer(key("max_position_embeddings", "n_positions"), default: 2_048)
        let headWidth = config.optionalInteger("head_dim") ?? config.headWidth(width, heads)
        let baseKey = config.has("rotary_emb_base") ? "rotary_emb_base" : "rope_theta"
        let isMixed = config.string("model_type") == "nomic_bert_moe"
        if !isMixed, config.json("moe_every_n_layers")?.integerValue ?? 0 > 0 {
            config.reject("moe_every_n_layers asks for experts, which are read from a GGUF of this model only")
        }
        let attention = Architecture.Attention(
            queryHeads: heads, keyHeads: heads, headWidth: headWidth, scale: 1 / Float(headWidth).squareRoot(),
            reach: .all,
            positions: .rotary(config.rotary(headWidth: headWidth, context: context, base: 1_000, baseKey: baseKey)),
            bias: isMixed ? .all : .none)
        let hidden = config.integer(key("intermediate_size", "n_inner"), default: 3_072)
        let count = config.integer(key("num_hidden_layers", "n_layer"), default: 12, in: ConfigReader.layers)
        let dense: Architecture.FeedForward =
            isMixed
            ? .plain(hidden: hidden, .gelu, bias: .present)
            : .gated(hidden: hidden, config.activation("hidden_act", default: .silu), bias: .absent)
        let layer = Architecture.Layer(norm: norm, arrangement: .after, attention: attention, feedForward: dense)
        var layers = Array(repeating: layer, count: count)
        if isMixed { addExperts(config, hidden: hidden, to: &layers) }
        return Architecture(
            vocabulary: config.integer("vocab_size", default: 30_528), width: width, context: context,
            embedding: .init(segments: config.integer("type_vocab_size", default: 2)),
            body: .encoder(.init(inputNorm: norm, layers: layers)),
            head: head(config, width: width, norm: norm))
    }

    /// Puts experts into every so many layers, beginning with the second.
    private static func addExperts(_ config: ConfigReader, hidden: Int, to layers: inout [Architecture.Layer]) {
        guard let period = config.optionalInteger("moe_every_n_layers") else { return }
        var experts = Architecture.Experts(
            count: config.integer("num_experts", default: 8, in: ConfigReader.experts),
            active: config.integer("moe_top_k", default: 2), hidden: hidden, activation: .gelu, routing: .asTheyAre)
        experts.gate = .absent
        for index in layers.indices where index % period == 1 { layers[index].feedForward = .experts(experts) }
    }

    private static func head(_ config: ConfigReader, width: Int, norm: Architecture.Norm) -> Architecture.Head {
        let pooler = Architecture.Transform(width: width, activation: .tanh)
        switch config.encoderHead() {
        case .model: return .pooled(pooler)
        case .maskedTokens, .pretraining:
            let activation = config.activation("hidden_act", default: .silu)
            return .tokens(config.tokenHead(.init(width: width, activation: activation, norm: norm)))
        case .sequence: return .sequence(GGUFHead.hasTransform(config) ? pooler : nil, labels: config.labels())
        case .tokens: return .rows(nil, labels: config.labels())
        case .answers, .nextSentence:
            config.reject("architectures names a head that this family does not have")
            return .none
        }
    }

    static let prefixes = ["nomic_bert.", "bert.", ""]
    static let unprefixed = BERT.unprefixed

    static func names(_ architecture: Architecture) -> WeightNames {
        let fused = WeightName(
            "encoder.layers.#.attn.Wqkv", .rows(of: ["query", "key", "value"].map { "encoder.#.attention.\($0)" }))
        return BERT.names(architecture).adding([
            "encoder.inputNorm": "emb_ln",
            "encoder.#.attention.query": fused,
            "encoder.#.attention.key": fused,
            "encoder.#.attention.value": fused,
            "encoder.#.attention.output": "encoder.layers.#.attn.out_proj",
            "encoder.#.attention.normAfter": "encoder.layers.#.norm1",
            "encoder.#.feedForward.gate": "encoder.layers.#.mlp.fc12",
            "encoder.#.feedForward.up": "encoder.layers.#.mlp.fc11",
            "encoder.#.feedForward.down": "encoder.layers.#.mlp.fc2",
            "encoder.#.feedForward.normAfter": "encoder.layers.#.norm2",
            "head.transform.norm": "cls.predictions.transform.layer_norm",
        ])
    }

    /// The names of weights as transformers holds them in memory, in files that it did not write itself.
    static func names(_ architecture: Architecture, storedAs tensors: StoredTensors) -> WeightNames {
        guard prefixes.contains(where: { tensors[$0 + "layers.0.self_attn.q_proj.weight"] != nil }) else {
            return names(architecture)
        }
        return names(architecture).adding([
            "encoder.inputNorm": "embeddings.LayerNorm",
            "encoder.#.attention.query": "layers.#.self_attn.q_proj",
            "encoder.#.attention.key": "layers.#.self_attn.k_proj",
            "encoder.#.attention.value": "layers.#.self_attn.v_proj",
            "encoder.#.attention.output": "layers.#.self_attn.o_proj",
            "encoder.#.attention.normAfter": "layers.#.post_attention_layernorm",
            "encoder.#.feedForward.gate": "layers.#.mlp.gate_proj",
            "encoder.#.feedForward.up": "layers.#.mlp.up_proj",
            "encoder.#.feedForward.down": "layers.#.mlp.down_proj",
            "encoder.#.feedForward.normAfter": "layers.#.post_mlp_layernorm",
        ])
    }

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        let fused = WeightName(
            "blk.#.attn_qkv", .rows(of: ["query", "key", "value"].map { "encoder.#.attention.\($0)" }))
        return GGUFNames.encoder(architecture).adding(expertNames(architecture)).adding([
            "encoder.#.attention.query": fused,
            "encoder.#.attention.key": fused,
            "encoder.#.attention.value": fused,
        ])
    }

    /// Experts without gates: each kind of matrix stacked in one tensor.
    private static func expertNames(_ architecture: Architecture) -> WeightNames {
        guard
            let count = architecture.firstStack.layers.lazy.compactMap({ layer in
                if case .experts(let experts) = layer.feedForward { experts.count } else { nil }
            }).first
        else { return [:] }
        return [
            "encoder.#.feedForward.router": "blk.#.ffn_gate_inp",
            "encoder.#.feedForward.experts.##.up": WeightName("blk.#.ffn_up_exps", .stacked(count: count)),
            "encoder.#.feedForward.experts.##.down": WeightName("blk.#.ffn_down_exps", .stacked(count: count)),
        ]
    }

    static let unused = BERT.unused
}
