import MartletFormats
import MartletJSON
import MartletLayers
import MartletTensors

/// Jina's BERT (jina-embeddings-v2, jina-reranker-v1), published with code of its own as a `bert` with ALiBi: BERT's
/// layers with slopes on both sides in place of positions, and gated feed-forwards. The second kind (German, Chinese,
/// Spanish, code) has norms over queries and keys, and a second sum and norm behind attention.
///
/// Source: arXiv:2310.19923 and the published configurations.
enum JinaBERT: Family {
    static let modelTypes = ["jina_bert_v2"]

    /// The key of the second kind, which no published configuration has: it is known by its tensors.
    static let secondKind = "qk_post_norm"

    /// The settings of a `bert` as those of this family where its positions are ALiBi; nil for any other.
    static func settings(_ config: JSONObject) -> JSONObject? {
        guard config["model_type"]?.stringValue == "bert", config["position_embedding_type"]?.stringValue == "alibi"
        else { return nil }
        var own = config
        own["model_type"] = .string(modelTypes[0])
        return own
    }

    /// `config`, which says of which kind `tensors` are.
    static func completed(_ config: JSONObject, _ tensors: StoredTensors) -> JSONObject {
        guard config["model_type"]?.stringValue == modelTypes[0], config[secondKind] == nil,
            tensors.names.contains(where: { $0.hasSuffix("attention.self.layer_norm_q.weight") })
        else { return config }
        var whole = config
        whole[secondKind] = true
        return whole
    }

    /// The settings as publishers spell them.
    static func published(_ config: JSONObject) -> JSONObject {
        guard config["model_type"]?.stringValue == modelTypes[0] else { return config }
        var own = config
        let code = config[secondKind] == nil ? "jina-bert-implementation" : "jina-bert-v2-qk-post-norm"
        own["model_type"] = "bert"
        own["position_embedding_type"] = "alibi"
        own[secondKind] = nil
        if own["auto_map"] == nil {
            let modeling = "jinaai/\(code)--modeling_bert."
            own["auto_map"] = [
                "AutoConfig": .string("jinaai/\(code)--configuration_bert.JinaBertConfig"),
                "AutoModel": .string(modeling + "JinaBertModel"),
                "AutoModelForSequenceClassification": .string(modeling + "JinaBertForSequenceClassification"),
            ]
        }
        return own
    }

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("hidden_size", default: 768)
        let norm = Architecture.Norm.layer(epsilon: Float(config.number("layer_norm_eps", default: 1e-12)))
        let isSecond = config.bool(secondKind, default: false)
        config.ignore("position_embedding_type")
        let hidden = config.integer("intermediate_size", default: 3_072)
        let layers = config.bertLayers(width: width, norm: norm).map { plain in
            var layer = plain
            layer.attention.positions = .linearBias(.bothWays)
            layer.feedForward = feedForward(config, hidden: hidden) ?? plain.feedForward
            if isSecond {
                layer.arrangement = .afterTwice
                layer.attention.queryKeyNorm = norm
                layer.attention.queryKeyNormSpan = .allHeads
            }
            return layer
        }
        if isSecond, case .plain? = layers.first?.feedForward {
            config.reject("feed_forward_type must be geglu or reglu where queries and keys have norms")
        }
        return Architecture(
            vocabulary: config.integer("vocab_size", default: 30_522), width: width,
            context: config.integer("max_position_embeddings", default: 512),
            embedding: .init(segments: config.integer("type_vocab_size", default: 2)),
            body: .encoder(.init(inputNorm: norm, layers: layers)), head: BERT.head(config, width: width, norm: norm))
    }

    /// The gated feed-forward; nil for BERT's own.
    private static func feedForward(_ config: ConfigReader, hidden: Int) -> Architecture.FeedForward? {
        let gates: KeyValuePairs<String, Architecture.Activation?> = [
            "geglu": .gelu, "reglu": .relu, "original": nil,
        ]
        let gate = config.choice("feed_forward_type", of: gates, default: nil)
        return gate.map { .gated(hidden: hidden, $0, bias: .down) }
    }

    /// How vectors are made of rows is read elsewhere.
    static let harmlessKeys = ["emb_pooler"]
    static let publishedKeys = (["is_decoder": false, "add_cross_attention": false] as JSON).objectValue

    static let prefixes = BERT.prefixes
    static let unprefixed = BERT.unprefixed

    static func names(_ architecture: Architecture) -> WeightNames {
        let layer = "encoder.layer.#"
        guard case .encoder(let stack) = architecture.body, case .gated? = stack.layers.first?.feedForward else {
            return BERT.names(architecture)
        }
        func gates(_ name: String, _ parts: [String]) -> WeightNames {
            let fused = WeightName("\(layer).mlp.\(name)", .rows(of: parts.map { "encoder.#.feedForward.\($0)" }))
            return ["encoder.#.feedForward.gate": fused, "encoder.#.feedForward.up": fused]
        }
        guard stack.layers.first?.arrangement == .afterTwice else {
            return BERT.names(architecture).adding(gates("gated_layers", ["gate", "up"])).adding([
                "encoder.#.feedForward.down": WeightName("\(layer).mlp.wo"),
                "encoder.#.feedForward.normAfter": WeightName("\(layer).mlp.layernorm"),
            ])
        }
        return BERT.names(architecture).adding(gates("up_gated_layer", ["up", "gate"])).adding([
            "encoder.#.attention.queryNorm": WeightName("\(layer).attention.self.layer_norm_q"),
            "encoder.#.attention.keyNorm": WeightName("\(layer).attention.self.layer_norm_k"),
            "encoder.#.attention.secondNorm": WeightName("\(layer).layer_norm_1"),
            "encoder.#.feedForward.down": WeightName("\(layer).mlp.down_layer"),
            "encoder.#.feedForward.normAfter": WeightName("\(layer).layer_norm_2"),
        ])
    }

    static let unused = BERT.unused

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        GGUFNames.encoder(architecture).adding([
            "encoder.#.attention.queryNorm": "blk.#.attn_q_norm",
            "encoder.#.attention.keyNorm": "blk.#.attn_k_norm",
            "encoder.#.attention.secondNorm": "blk.#.attn_norm_2",
        ])
    }

    /// The two halves of the gated feed-forward in one tensor, as newer converters write them.
    static func fusedGates(storedAs tensors: StoredTensors) -> WeightNames {
        guard tensors["blk.0.ffn_gate.weight"] == nil, let up = tensors["blk.0.ffn_up.weight"],
            let down = tensors["blk.0.ffn_down.weight"], up.extents.first != down.extents.last
        else { return [:] }
        let fused = WeightName("blk.#.ffn_up", .rows(of: ["gate", "up"].map { "encoder.#.feedForward.\($0)" }))
        return ["encoder.#.feedForward.gate": fused, "encoder.#.feedForward.up": fused]
    }
}
