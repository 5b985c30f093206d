import MartletFormats
import MartletLayers
import MartletTensors

/// Longformer: RoBERTa with attention windows and global positions.
///
/// Source: arXiv:2004.05150. Without a word from the pass, the first row of a classified sequence is global, and no row
/// elsewhere.
enum Longformer: Family {
    static let modelTypes = ["longformer"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let layers = config.integer("num_hidden_layers", default: 12, in: ConfigReader.layers)
        let windows = config.optionalIntegers("attention_window") ?? [512]
        if windows.count != 1 && windows.count != layers {
            config.reject("attention_window has \(windows.count) entries for \(layers) layers")
        }
        if windows.contains(where: { $0 % 2 != 0 }) { config.reject("attention_window \(windows): windows are even") }
        let first = config.encoderHead() == .sequence ? 1 : 0
        return RoBERTa.robertaLike(config) { layer in
            .aroundAndGlobal((layer < windows.count ? windows[layer] : windows.first ?? 2) / 2, first: first)
        }
    }

    /// A mask that is all ones, the only computation there is, and the format of an export.
    static let harmlessKeys = ["ignore_attention_mask", "attention_mode", "onnx_export", "sep_token_id"]

    static let prefixes = ["longformer.", ""]
    static let unprefixed = RoBERTa.unprefixed

    static func names(_ architecture: Architecture) -> WeightNames {
        BERTNames.encoder.adding(RoBERTa.heads).adding([
            "encoder.#.attention.globalQuery": "encoder.layer.#.attention.self.query_global",
            "encoder.#.attention.globalKey": "encoder.layer.#.attention.self.key_global",
            "encoder.#.attention.globalValue": "encoder.layer.#.attention.self.value_global",
        ])
    }

    static let unused = RoBERTa.unused
}
