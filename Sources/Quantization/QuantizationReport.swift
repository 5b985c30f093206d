public import MartletJSON
package import MartletPlanning
import MartletTensors

/// A report on several mixes of types: what each of them costs and loses.
public struct QuantizationReport: Sendable {
    /// A mix of types, with its size and its losses.
    package struct Format: Sendable {
        package let fileType: FileType
        package let errors: [TensorError]
        /// The divergence from the model as it is; nil where there was no text to compare on.
        package let divergence: Divergence?

        package init(_ fileType: FileType, _ errors: [TensorError], _ divergence: Divergence?) {
            (self.fileType, self.errors, self.divergence) = (fileType, errors, divergence)
        }

        var bytes: Int { errors.reduce(0) { $0 + $1.bytes } }
        var bitsPerWeight: Double { 8 * Double(bytes) / Double(max(errors.reduce(0) { $0 + $1.elements }, 1)) }
    }

    /// The mixes, in the order in which they were asked for.
    package var formats: [Format] = []

    package init() {}

    /// The report as one document.
    public var json: JSON {
        var object = JSONObject()
        if let divergence = formats.lazy.compactMap(\.divergence).first {
            object["tokens"] = .integer(divergence.tokens)
            object["reference_perplexity"] = .number(divergence.referencePerplexity)
        }
        object["formats"] = .array(formats.map { .object(QuantizationReport.json($0)) })
        return .object(object)
    }

    private static func json(_ format: Format) -> JSONObject {
        var object = JSONObject()
        object["type"] = .string(format.fileType.rawValue)
        object["bytes"] = .integer(format.bytes)
        object["bits_per_weight"] = .number(format.bitsPerWeight)
        object["relative_error"] = .number(TensorError.relative(format.errors))
        if let divergence = format.divergence {
            object["perplexity"] = .number(divergence.perplexity)
            object["kl_mean"] = .number(divergence.mean)
            object["kl_max"] = .number(divergence.largest)
            object["top1_agreement"] = .number(divergence.agreement)
        }
        object["tensors"] = .array(
            format.errors.map { error in
                var tensor = JSONObject()
                tensor["name"] = .string(error.name)
                tensor["type"] = .string(error.type)
                tensor["bytes"] = .integer(error.bytes)
                tensor["relative_error"] = .number(error.relative)
                tensor["weighted_error"] = error.weighted.map { .number($0) } ?? .null
                return .object(tensor)
            })
        return object
    }

    /// The report as text: one line per mix, then, where there is one mix only, one per tensor.
    public var text: String {
        var rows = [["type", "MB", "bits/weight", "error", "perplexity", "KL mean", "KL max", "same top"]]
        if let divergence = formats.lazy.compactMap(\.divergence).first {
            rows.append(["reference", "", "", "", divergence.referencePerplexity.digits(4), "", "", ""])
        }
        for format in formats {
            let divergence = format.divergence
            rows.append([
                format.fileType.rawValue, (Double(format.bytes) / 1e6).digits(1), format.bitsPerWeight.digits(2),
                TensorError.relative(format.errors).digits(5), divergence?.perplexity.digits(4) ?? "",
                divergence?.mean.digits(6) ?? "", divergence?.largest.digits(4) ?? "",
                divergence.map { ($0.agreement * 100).digits(2) + " %" } ?? "",
            ])
        }
        var text = QuantizationReport.table(rows)
        if formats.count == 1 {
            let errors = formats[0].errors.map {
                [$0.name, $0.type, $0.relative.digits(5), $0.weighted?.digits(5) ?? ""]
            }
            text += "\n" + QuantizationReport.table([["tensor", "type", "error", "weighted"]] + errors)
        }
        return text
    }

    private static func table(_ rows: [[String]]) -> String {
        let widths = rows[0].indices.map { column in rows.map { $0[column].utf8.count }.max() ?? 0 }
        return rows.map { row in
            let cells = row.enumerated().map { index, cell in
                let spare = String(repeating: " ", count: widths[index] - cell.utf8.count)
                return index == 0 ? cell + spare : spare + cell
            }
            return cells.joined(separator: "  ") + "\n"
        }.joined()
    }
}

extension Double {
    /// The number with so many digits behind the point.
    fileprivate func digits(_ count: Int) -> String {
        guard isFinite, magnitude < 1e12 else { return "\(self)" }
        var power = 1.0
        for _ in 0..<count { power *= 10 }
        let scaled = (magnitude * power).rounded()
        let whole = (scaled / power).rounded(.down), rest = Int(scaled - whole * power)
        let fraction = String(rest)
        let padding = String(repeating: "0", count: Swift.max(0, count - fraction.utf8.count))
        return (self < 0 ? "-" : "") + "\(Int(whole))" + (count > 0 ? "." + padding + fraction : "")
    }
}
