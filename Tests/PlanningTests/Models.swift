import MartletJSON
import MartletLayers
import MartletPlanning
import MartletTensors

extension GroundTruth {
    /// The model a case names by its configuration, or, for nanoGPT's GPT-2 without biases, by its sizes.
    var blueprint: Blueprint {
        get throws {
            if let configuration = given["model"] { return try DescribedModel(configuration: configuration).blueprint }
            return try GroundTruth.gpt(
                heads: integer("n_head"), width: integer("n_embd"), layers: integer("n_layer"),
                vocabulary: integer("vocab_size"), positions: integer("block_size"), bias: .absent)
        }
    }

    /// PaLM: one key-value head, a gated feed-forward beside the attention, no biases.
    var palm: Blueprint {
        get throws {
            let layer = Architecture.Layer(
                norm: .layerWithoutBias(epsilon: 1e-5), arrangement: .parallelShared,
                attention: .init(
                    queryHeads: integer("n_heads"), keyHeads: integer("n_kv_heads"), headWidth: integer("head_dim"),
                    scale: 1, reach: .past),
                feedForward: .gated(hidden: integer("d_ff"), .silu, bias: .absent))
            return try GroundTruth.decoder(
                width: integer("d_model"), layers: integer("num_layers"), vocabulary: integer("vocab"), layer)
        }
    }

    /// A model whose layers are alike and whose output projection is the token table.
    private static func decoder(
        width: Int, layers: Int, vocabulary: Int, positions: Int = 0, _ layer: Architecture.Layer
    ) throws -> Blueprint {
        let architecture = Architecture(
            vocabulary: vocabulary, width: width, context: positions > 0 ? positions : nil,
            body: .decoder(
                .init(
                    positions: positions > 0 ? .learned(positions) : .none,
                    layers: Array(repeating: layer, count: layers), outputNorm: layer.norm)),
            head: .tokens(.init(weights: .tied)))
        return try Blueprint(architecture, modelType: "gpt2")
    }

    /// A GPT with biases everywhere, or with none, and a feed-forward of four widths.
    static func gpt(
        heads: Int, width: Int, layers: Int, vocabulary: Int = 1, positions: Int = 0,
        bias: Architecture.Presence = .present
    ) throws -> Blueprint {
        let isBiased = bias == .present
        return try decoder(
            width: width, layers: layers, vocabulary: vocabulary, positions: positions,
            .init(
                norm: isBiased ? .layer(epsilon: 1e-5) : .layerWithoutBias(epsilon: 1e-5), arrangement: .before,
                attention: .init(
                    queryHeads: heads, keyHeads: heads, headWidth: width / heads, scale: 1, reach: .past,
                    bias: isBiased ? .all : .none),
                feedForward: .plain(hidden: 4 * width, .gelu, bias: bias)))
    }

    var korthikanti: Blueprint {
        get throws {
            try GroundTruth.gpt(
                heads: integer("heads"), width: integer("hidden"), layers: integer("layers"),
                vocabulary: max(1, integer("vocab")), positions: integer("seq"))
        }
    }

    var megatron: MegatronShape {
        MegatronShape(
            layers: integer("layers"), width: integer("hidden"), vocabulary: integer("vocab"), sequence: integer("seq"))
    }

    var layout: ParallelLayout {
        ParallelLayout(
            tensor: integer("tp"), pipeline: integer("pp"),
            sequenceParallel: flag("sequence_parallel") ? .present : .absent,
            schedule: .alternating(interleave: integer("interleave")),
            recomputation: Recomputation(rawValue: text("recompute")) ?? .none, microBatch: integer("micro_batch"))
    }

    /// An encoder-decoder's cases name the source `seq` and the target `decoder_seq`.
    var workload: Workload {
        let target = given["decoder_seq"]?.integerValue
        return Workload(
            sequences: integer("batch"), tokens: target ?? integer("seq"),
            sourceTokens: target == nil ? nil : integer("seq"))
    }

    var quantizedFile: QuantizedFile {
        get throws {
            guard let type = FileType(named: text("file_type")) else { throw Answer.Unanswered(ask: text("file_type")) }
            return try QuantizedFile(try blueprint, fileType: type)
        }
    }
}
