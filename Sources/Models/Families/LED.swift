import MartletFormats
import MartletJSON
import MartletLayers
import MartletTensors

/// LED: BART whose encoder reads as Longformer does, a window for each layer and global tokens where a pass names such.
///
/// Source: arXiv:2004.05150.
enum LED: Family {
    static let modelTypes = ["led"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("d_model", "hidden_size", default: 1_024)
        let sources = config.integer("max_encoder_position_embeddings", default: 16_384)
        let targets = config.integer("max_decoder_position_embeddings", default: 1_024)
        let vocabulary = config.integer("vocab_size", default: 50_265)
        let tied = config.bool("tie_word_embeddings", default: true)
        let tokens = Architecture.TokenHead(weights: tied || config.isBareModel ? .tied : .own, bias: .constant)
        let (head, start) = config.encoderDecoderHead(tokens, dense: .init(width: width, activation: .tanh))
        var architecture = Architecture(
            vocabulary: vocabulary, width: width, context: targets,
            embedding: .init(targetVocabulary: tied ? nil : vocabulary),
            body: .encoderDecoder(
                stack(config, "encoder", width: width, positions: sources),
                stack(config, "decoder", width: width, positions: targets)),
            head: head, rereadsBehind: start)
        architecture.sourceContext = sources
        return architecture
    }

    private static func stack(
        _ config: ConfigReader, _ side: String, width: Int, positions: Int
    ) -> Architecture.Stack {
        let norm = Architecture.Norm.layer(epsilon: 1e-5)
        let heads = config.integer("\(side)_attention_heads", default: 16)
        let headWidth = config.headWidth(width, heads)
        let isDecoder = side == "decoder"
        let attention = Architecture.Attention(
            queryHeads: heads, keyHeads: heads, headWidth: headWidth, scale: 1 / Float(headWidth).squareRoot(),
            reach: .all, bias: .all)
        let hidden = config.integer("\(side)_ffn_dim", default: 4_096)
        let activation = config.activation("activation_function", default: .gelu)
        let count = config.depth(of: side, default: 12)
        let windows = isDecoder ? [] : windows(config, count)
        let layers = (0..<count).map { index in
            var own = attention
            own.reach = isDecoder ? .past : .aroundAndGlobal(windows[index] / 2, first: 0)
            return Architecture.Layer(
                norm: norm, arrangement: .after, attention: own, crossAttention: isDecoder ? attention : nil,
                feedForward: .plain(hidden: hidden, activation, bias: .present))
        }
        return .init(positions: .learned(positions), inputNorm: norm, layers: layers)
    }

    private static func windows(_ config: ConfigReader, _ layers: Int) -> [Int] {
        let isList = config.json("attention_window")?.arrayValue != nil
        let listed = isList ? config.optionalIntegers("attention_window") ?? [] : []
        let windows =
            isList ? listed : Array(repeating: config.integer("attention_window", default: 512), count: layers)
        guard windows.count == layers else {
            config.reject("attention_window has \(windows.count) entries for \(layers) layers")
            return Array(repeating: 2, count: layers)
        }
        if let odd = windows.first(where: { $0 % 2 != 0 }) {
            config.reject("attention_window \(odd) is odd, but a row stands in the middle of its window")
        }
        return windows
    }

    static let harmlessKeys = BART.harmlessKeys + ["num_attention_heads", "max_position_embeddings", "attention_mode"]
    static let prefixes = ["led.", "model.", ""]
    static let unused = BART.unused

    static func names(_ architecture: Architecture, storedAs tensors: StoredTensors) -> WeightNames {
        names(architecture).adding(BART.sharedTable(architecture, prefixes, tensors))
    }

    static func names(_ architecture: Architecture) -> WeightNames {
        let own = "encoder.layers.#.self_attn"
        var names = BART.names(architecture).adding(["encoder.#.attention.output": WeightName("\(own).output")])
        for part in ["query", "key", "value"] {
            let capital = part.prefix(1).uppercased() + part.dropFirst()
            names = names.adding([
                "encoder.#.attention.\(part)": WeightName("\(own).longformer_self_attn.\(part)"),
                "encoder.#.attention.global\(capital)": WeightName("\(own).longformer_self_attn.\(part)_global"),
            ])
        }
        return names
    }
}
