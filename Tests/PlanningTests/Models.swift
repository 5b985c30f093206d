import MartletJSON
import MartletLayers
import MartletPlanning

extension GroundTruth {
    /// The model a case names by its configuration, or, for nanoGPT's GPT-2 without biases, by its sizes.
    var blueprint: Blueprint {
        get throws {
            if let configuration = given["model"] { return try DescribedModel(configuration: configuration).blueprint }
            let width = integer("n_embd")
            let heads = integer("n_head")
            return DecoderShape(
                width: width, layers: integer("n_layer"), vocabulary: integer("vocab_size"),
                context: integer("block_size"),
                attention: .init(
                    queryHeads: heads, keyHeads: heads, headWidth: width / heads, reach: .past, projections: .fused),
                feedForward: .plain(hidden: 4 * width, bias: .absent), normVectors: .weight, head: .tied(bias: .absent),
                positions: integer("block_size")
            ).blueprint("gpt2 without biases")
        }
    }

    /// PaLM: one key-value head, a gated feed-forward beside the attention, no biases.
    var palm: Blueprint {
        DecoderShape(
            width: integer("d_model"), layers: integer("num_layers"), vocabulary: integer("vocab"),
            context: integer("seq_len"),
            attention: .init(
                queryHeads: integer("n_heads"), keyHeads: integer("n_kv_heads"), headWidth: integer("head_dim"),
                reach: .past),
            feedForward: .gated(hidden: integer("d_ff"), bias: .absent, fused: .absent), normVectors: .weight,
            norms: ["attention.normBefore"], head: .tied(bias: .absent)
        ).blueprint("palm")
    }

    /// A GPT with biases everywhere and a feed-forward of four widths.
    static func gpt(heads: Int, width: Int, layers: Int, vocabulary: Int = 1, positions: Int = 0) -> Blueprint {
        DecoderShape(
            width: width, layers: layers, vocabulary: vocabulary, context: nil,
            attention: .init(
                queryHeads: heads, keyHeads: heads, headWidth: width / heads, reach: .past, biases: .all,
                projections: .fused),
            feedForward: .plain(hidden: 4 * width, bias: .present), normVectors: .weightAndBias,
            head: .tied(bias: .absent),
            positions: positions
        ).blueprint("gpt2")
    }

    var korthikanti: Blueprint {
        GroundTruth.gpt(
            heads: integer("heads"), width: integer("hidden"), layers: integer("layers"),
            vocabulary: max(1, integer("vocab")), positions: integer("seq"))
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
