import MartletFormats
import MartletJSON
import MartletPlatform

/// What sentence-transformers' `modules.json` says of a model: how its rows become one vector.
package struct SentenceModules: Sendable, Equatable {
    package var pooling: Pooling
    package var normalization: Normalization
    /// The longest input in tokens.
    package var limit: Int?

    /// How a text's rows become one vector.
    package enum Pooling: String, Sendable, CaseIterable {
        case mean
        /// The first row.
        case cls
        /// The last row.
        case last
        /// The largest of each element.
        case max
        /// The sum divided by the square root of the number of rows.
        case meanOfRoot
    }

    package enum Normalization: String, Sendable { case none, unit }

    /// The plain mean: what a model without `modules.json` is pooled by.
    package init() { (pooling, normalization) = (.mean, .none) }

    /// Reads the files of the folder `directory`.
    ///
    /// - Throws: ``TaskError`` for modules that are not known here, and what reading throws.
    package init(directory: String) throws {
        self.init()
        guard fileExists(directory + "/modules.json") else { return }
        let limits = directory + "/sentence_bert_config.json"
        if fileExists(limits), let length = try JSON(contentsOf: limits)["max_seq_length"], !length.isNull {
            guard let number = length.integerValue, (1...Int(Int32.max)).contains(number) else {
                throw TaskError(
                    "\(limits): max_seq_length should be an integer from 1 to \(Int32.max), it is \(length.text().shortened)"
                )
            }
            limit = number
        }
        for module in try JSON(contentsOf: directory + "/modules.json").arrayValue ?? [] {
            let kind = (module["type"]?.stringValue ?? "").split(separator: ".").last.map(String.init) ?? ""
            switch kind {
            case "Transformer": continue
            case "Pooling":
                let place = directory + "/" + (module["path"]?.stringValue ?? "")
                pooling = try SentenceModules.pooling(place + "/config.json")
            case "Normalize": normalization = .unit
            default:
                throw TaskError(
                    "\(directory)/modules.json: the module \(kind) is not known. Known are Transformer, Pooling, Normalize"
                )
            }
        }
    }

    private static func pooling(_ path: String) throws -> Pooling {
        let keys: KeyValuePairs<String, Pooling> = [
            "pooling_mode_cls_token": .cls, "pooling_mode_mean_tokens": .mean, "pooling_mode_max_tokens": .max,
            "pooling_mode_mean_sqrt_len_tokens": .meanOfRoot, "pooling_mode_lasttoken": .last,
        ]
        let config = try JSON(contentsOf: path).objectValue ?? JSONObject()
        let chosen = config.members.filter { $0.key.hasPrefix("pooling_mode_") && $0.value.boolValue == true }
        guard chosen.count == 1,
            let pooling = keys.first(where: { $0.key.utf8.elementsEqual(chosen[0].key.utf8) })?.value
        else {
            throw TaskError(
                "\(path): one way to pool is needed, of \(keys.map(\.key)); it asks for \(chosen.map(\.key))")
        }
        return pooling
    }
}
