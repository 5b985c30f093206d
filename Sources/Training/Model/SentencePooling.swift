import MartletFormats
import MartletJSON
import MartletLayers
import MartletPlatform

/// The pooling by which rows become a vector, as a sentence encoder's directory says (sentence-transformers'
/// `modules.json`).
struct SentencePooling: Sendable {
    var row = Architecture.SequenceRow.mean
    var isNormalized = false

    init() {}

    /// - Throws: ``RunError`` for a pooling that cannot be trained here, and what reading throws.
    init(directory: String) throws {
        guard fileExists(directory + "/modules.json") else { return }
        for module in try JSON(contentsOf: directory + "/modules.json").arrayValue ?? [] {
            let kind = module["type"]?.stringValue?.split(separator: ".").last.map(String.init) ?? ""
            if kind == "Normalize" { isNormalized = true }
            guard kind == "Pooling" else { continue }
            let path = "\(directory)/\(module["path"]?.stringValue ?? "")/config.json"
            let config = try JSON(contentsOf: path).objectValue ?? JSONObject()
            let chosen = config.members.filter { $0.key.hasPrefix("pooling_mode_") && $0.value.boolValue == true }
            switch chosen.first?.key {
            case "pooling_mode_mean_tokens": row = .mean
            case "pooling_mode_cls_token": row = .first
            case "pooling_mode_lasttoken": row = .last(unless: nil)
            default:
                throw RunError(
                    "\(path): only the mean, the first and the last row can be trained, not \(chosen.map(\.key))")
            }
        }
    }
}
