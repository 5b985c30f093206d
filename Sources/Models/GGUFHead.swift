import MartletFormats
import MartletJSON
import MartletLayers

/// The head of a GGUF's encoder that labels or ranks whole texts: `cls`, a dense layer with a norm where the family has
/// one, then `cls.output`; either may be alone. A decoder that ranks has `cls.output`: the rows of the vocabulary's
/// projection for its answers.
///
/// Source: llama.cpp's names of tensors and its graph of the pooling `rank`.
package enum GGUFHead {
    /// The number of the pooling of a head that ranks.
    package static let pooling = 4

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

    /// The names of a decoder's head that ranks.
    static func ranking(_ architecture: Architecture) -> WeightNames {
        if case .decoder = architecture.body, architecture.classifies { ["sequence": "cls.output"] } else { [:] }
    }

    /// The names of a head whose classes are the only layer, `cls`.
    static func single(storedAs tensors: StoredTensors) -> WeightNames {
        tensors["cls.output.weight"] == nil && tensors["cls.weight"] != nil ? ["sequence": "cls"] : [:]
    }
}

extension GGUFConfig {
    /// The class of the model with a head that labels whole texts; nil where its class has no such head.
    private var labellingClass: String? {
        let (bare, writing) = ("Model", "ForCausalLM")
        if let name = config["architectures"]?.arrayValue?.first?.stringValue, name.hasSuffix(bare),
            dialect.otherKeys.keys.contains("classifier.output_labels")
        {
            return name.dropLast(bare.utf8.count) + "ForSequenceClassification"
        }
        guard metadata["pooling_type"]?.integerValue == GGUFHead.pooling, dialect.className.hasSuffix(writing) else {
            return nil
        }
        return dialect.className.dropLast(writing.utf8.count) + "ForSequenceClassification"
    }

    /// Reads the head that labels whole texts, and the names of its classes.
    mutating func readHead() {
        guard let name = labellingClass,
            let count = rows("cls.output.weight") ?? rows("cls.weight"), (1...1 << 20).contains(count)
        else { return }
        config["architectures"] = [.string(name)]
        let labels = metadata["classifier.output_labels"]?.arrayValue?.compactMap(\.stringValue) ?? []
        var names = JSONObject()
        for index in 0..<count {
            names["\(index)"] = .string(index < labels.count ? labels[index] : "LABEL_\(index)")
        }
        config["id2label"] = .object(names)
        guard dialect.otherKeys.keys.contains("classifier.output_labels") else { return }
        if tensors.extents("cls.output.weight") == nil || tensors.extents("cls.weight") == nil {
            config[GGUFHead.transformKey] = false
        }
    }
}

extension Architecture {
    /// True where the head labels whole texts.
    var classifies: Bool { if case .sequence = head { true } else { false } }
}
