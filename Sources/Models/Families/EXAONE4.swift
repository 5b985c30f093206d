import MartletFormats
import MartletJSON
import MartletLayers
import MartletTensors

/// EXAONE 4: norms behind the sublayers and over each head of queries and keys; in the larger model three of four
/// layers slide, and the fourth has no positions (arXiv:2507.11407).
enum EXAONE4: Family {
    static let modelTypes = ["exaone4"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        var model = LlamaLike(
            config, .init(vocabulary: 102_400, hidden: 16_384, keyHeads: 32, epsilon: 1e-5, biasKey: nil))
        model.layer.arrangement = .afterSublayer
        model.layer.attention.queryKeyNorm = model.norm
        // The larger model spells its pattern "LLLG".
        let pattern = config.json("sliding_window_pattern")?.stringValue?.utf8.count
        let window = config.integer(orNull: "sliding_window", absent: 4_096)
        // Where nothing slides, it may be 0.
        let period = pattern ?? max(1, config.integer("sliding_window_pattern", default: 4, in: 0...Int(Int32.max)))
        let sliding = model.sliding(allBut: window == nil ? 0 : period)
        return model.architecture { index, layer in
            guard let window else { return }
            guard sliding[index] else { return layer.attention.positions = .none }
            layer.attention.reach = .window(window)
        }
    }

    static let prefixes = Llama.prefixes
    static let unused = Llama.unused
    static func names(_ architecture: Architecture) -> WeightNames {
        Llama.names(architecture).adding(.llamaWithNormsAfter(before: false))
    }
    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        GGUFNames.decoder.adding(GGUFNames.normsAfter)
    }
}
