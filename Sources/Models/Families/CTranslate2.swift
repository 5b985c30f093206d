import MartletFormats
import MartletJSON
import MartletLayers
import MartletTensors

/// The Transformer as OpenNMT-tf trained it and CTranslate2 stored it: pre-LayerNorm, fused projections, a vocabulary
/// for each side.
///
/// A worked example of a foreign checkpoint: everything but the number of heads can be read off the tensors, and that
/// follows from the specification's name. Positions count from 1, and their frequencies fall over width/2 − 1 steps, as
/// in tensor2tensor.
enum CTranslate2: Family {
    static let modelTypes = ["ctranslate2"]

    /// The configuration that the tensors tell, in the words of config.json.
    ///
    /// - Throws: ``ModelError`` for a specification that is not known, or whose first tensors are missing.
    static func translate(_ file: CTranslate2File) throws(ModelError) -> JSONObject {
        let heads = ["TransformerBase": 8, "TransformerBig": 16]
        guard let count = heads.first(where: { $0.key == file.specification })?.value else {
            throw ModelError(
                "\(file.tensors.path): the specification \(file.specification) is not known. Known are \(heads.keys.sorted())"
            )
        }
        func layers(_ side: String) -> Int {
            (0...file.tensors.count).first { file.tensors["\(side).layer_\($0).ffn.linear_0.weight"] == nil } ?? 0
        }
        guard let source = file.tensors["encoder.embeddings.weight"]?.extents, source.count == 2,
            let target = file.tensors["decoder.embeddings.weight"]?.extents.first,
            let hidden = file.tensors["encoder.layer_0.ffn.linear_0.weight"]?.extents.first
        else { throw ModelError("\(file.tensors.path): the embeddings or the first layer are missing") }
        var config = JSONObject()
        config["model_type"] = "ctranslate2"
        config["num_heads"] = .integer(count)
        config["vocab_size"] = .integer(source[0])
        config["target_vocab_size"] = .integer(target)
        config["d_model"] = .integer(source[1])
        config["d_ff"] = .integer(hidden)
        config["encoder_layers"] = .integer(layers("encoder"))
        config["decoder_layers"] = .integer(layers("decoder"))
        return config
    }

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("d_model")
        let heads = config.integer("num_heads")
        let headWidth = config.headWidth(width, heads)
        if width < 4 || width % 2 != 0 { config.reject("a width of \(width) cannot hold pairs of sines and cosines") }
        let norm = Architecture.Norm.layer(epsilon: 1e-5)
        let attention = Architecture.Attention(
            queryHeads: heads, keyHeads: heads, headWidth: headWidth, scale: 1 / Float(headWidth).squareRoot(),
            reach: .all, bias: .all)
        let encoder = Architecture.Layer(
            norm: norm, arrangement: .before, attention: attention,
            feedForward: .plain(hidden: config.integer("d_ff"), .relu, bias: .present))
        var decoder = encoder
        decoder.attention.reach = .past
        decoder.crossAttention = attention
        let positions = Architecture.InputPositions.sinusoidal(
            .init(order: .halves, start: 1, denominator: Float(width) / 2 - 1))
        func stack(_ layer: Architecture.Layer, _ key: String) -> Architecture.Stack {
            .init(
                positions: positions,
                layers: Array(repeating: layer, count: config.integer(key, in: ConfigReader.layers)), outputNorm: norm)
        }
        return Architecture(
            vocabulary: config.integer("vocab_size"), width: width,
            embedding: .init(scale: Float(width).squareRoot(), targetVocabulary: config.integer("target_vocab_size")),
            body: .encoderDecoder(stack(encoder, "encoder_layers"), stack(decoder, "decoder_layers")),
            head: .tokens(.init(weights: .own, bias: .present)))
    }

    static func names(_ architecture: Architecture) -> WeightNames {
        guard case .encoderDecoder(let encoder, let decoder) = architecture.body else { return [:] }
        var names: WeightNames = [
            "tokens": "encoder.embeddings", "targetTokens": "decoder.embeddings", "head": "decoder.projection",
            "encoder.outputNorm": "encoder.layer_norm", "decoder.outputNorm": "decoder.layer_norm",
        ]
        for (stack, count) in [("encoder", encoder.layers.count), ("decoder", decoder.layers.count)] {
            for index in 0..<count { names = names.adding(layer("\(stack).\(index)", "\(stack).layer_\(index)")) }
        }
        return names
    }

    private static func layer(_ ours: String, _ theirs: String) -> WeightNames {
        func rows(_ name: String, _ attention: String, _ parts: [String]) -> WeightName {
            WeightName("\(theirs).\(name)", .rows(of: parts.map { "\(ours).\(attention).\($0)" }))
        }
        let fused = rows("self_attention.linear_0", "attention", ["query", "key", "value"])
        let source = rows("attention.linear_1", "crossAttention", ["key", "value"])
        return [
            "\(ours).attention.normBefore": WeightName("\(theirs).self_attention.layer_norm"),
            "\(ours).attention.query": fused,
            "\(ours).attention.key": fused,
            "\(ours).attention.value": fused,
            "\(ours).attention.output": WeightName("\(theirs).self_attention.linear_1"),
            "\(ours).crossAttention.normBefore": WeightName("\(theirs).attention.layer_norm"),
            "\(ours).crossAttention.query": WeightName("\(theirs).attention.linear_0"),
            "\(ours).crossAttention.key": source,
            "\(ours).crossAttention.value": source,
            "\(ours).crossAttention.output": WeightName("\(theirs).attention.linear_2"),
            "\(ours).feedForward.normBefore": WeightName("\(theirs).ffn.layer_norm"),
            "\(ours).feedForward.up": WeightName("\(theirs).ffn.linear_0"),
            "\(ours).feedForward.down": WeightName("\(theirs).ffn.linear_1"),
        ]
    }
}
