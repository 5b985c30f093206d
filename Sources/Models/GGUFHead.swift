import MartletFormats
import MartletJSON
import MartletLayers

/// The head of a GGUF's encoder that labels or ranks whole texts: `cls`, a dense layer with a norm where the family has
/// one, then `cls.output`; either may be alone.
///
/// Source: llama.cpp's names of tensors and its graph of the pooling `rank`.
enum GGUFHead {
    /// The number of the pooling of a head that ranks.
    static let pooling = 4

    /// The setting by which a classifier without a dense layer is told; no config.json has it.
    static let transformKey = "classifier_transform"

    /// Tensors that a bare encoder leaves unread.
    static let unused = ["cls.weight", "cls.bias", "cls.norm.weight", "cls.output.weight", "cls.output.bias"]

    /// Returns whether a classifier has the family's dense layer before its classes, as all but some GGUFs' have.
    static func hasTransform(_ config: ConfigReader) -> Bool { config.bool(transformKey, default: true) }

    /// The names of the head's weights.
    static func names(_ architecture: Architecture) -> WeightNames {
        ["sequence.transform": "cls", "sequence.transform.norm": "cls.norm", "sequence": "cls.output"]
    }

    /// The names of a head whose classes are the only layer, `cls`.
    static func single(storedAs tensors: StoredTensors) -> WeightNames {
        tensors["cls.output.weight"] == nil && tensors["cls.weight"] != nil ? ["sequence": "cls"] : [:]
    }
}

extension GGUFConfig {
    /// Reads the head that an encoder has, and the names of its classes.
    mutating func readHead() {
        guard let name = config["architectures"]?.arrayValue?.first?.stringValue, name.hasSuffix("Model"),
            dialect.otherKeys.keys.contains("classifier.output_labels"),
            let classes = tensors.extents("cls.output.weight") ?? tensors.extents("cls.weight"),
            let count = classes.first, (1...1 << 20).contains(count)
        else { return }
        config["architectures"] = [.string(name.dropLast("Model".utf8.count) + "ForSequenceClassification")]
        let labels = metadata["classifier.output_labels"]?.arrayValue?.compactMap(\.stringValue) ?? []
        var names = JSONObject()
        for index in 0..<count {
            names["\(index)"] = .string(index < labels.count ? labels[index] : "LABEL_\(index)")
        }
        config["id2label"] = .object(names)
        if tensors.extents("cls.output.weight") == nil || tensors.extents("cls.weight") == nil {
            config[GGUFHead.transformKey] = false
        }
    }
}

extension Architecture {
    /// True where the head labels whole texts.
    var classifies: Bool { if case .sequence = head { true } else { false } }
}
