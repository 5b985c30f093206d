// MartletQuantization: which block format each matrix gets, how its numbers are rounded to it, and what that costs.
//
// Knows no text and no command line: calibration and comparison take token ids.

package import MartletLayers
package import MartletPlanning
package import MartletTensors

@_exported public import protocol MartletPlatform.MartletError

/// The type of each matrix of a GGUF: llama.cpp's mix of that name, but for the tensors that the user says otherwise
/// of.
///
/// Source: `llama-quant.cpp` of llama.cpp as of late 2026, by the roles of the parameters that a tensor holds. The
/// mixes themselves are the planner's (``MixedQuantization``).
package struct TensorTypes {
    package let fileType: FileType
    private let rules: MixedQuantization
    private let overrides: [TensorOverride]

    /// - Throws: ``PlanningError`` for a description that cannot be run.
    package init(
        _ fileType: FileType, _ architecture: Architecture, modelType: String, hasImportance: Bool,
        overrides: [TensorOverride] = []
    ) throws(PlanningError) {
        let blueprint = try Blueprint(architecture, modelType: modelType)
        self.init(
            MixedQuantization(blueprint, fileType, hasImportance: hasImportance), fileType, overrides: overrides)
    }

    package init(_ rules: MixedQuantization, _ fileType: FileType, overrides: [TensorOverride] = []) {
        (self.rules, self.fileType, self.overrides) = (rules, fileType, overrides)
    }

    /// The type of the matrix called `name` in layer `layer`, whose rows are `row` long.
    package func type(of name: String, _ role: ParameterRole, layer: Int, row: Int) -> StorageType {
        if let override = overrides.first(where: { $0.matches(name) }) {
            return rules.fitting(override.type, row: row)
        }
        return rules.type(of: role, layer: layer, row: row)
    }
}

/// A type that the user wants for the tensors whose name matches a pattern: `*` stands for any characters; without one,
/// the pattern may stand anywhere in the name.
package struct TensorOverride: Sendable, Equatable {
    package let pattern: String
    package let type: StorageType

    package init(pattern: String, type: StorageType) { (self.pattern, self.type) = (pattern, type) }

    /// Reads `PATTERN=TYPE`.
    ///
    /// - Throws: ``QuantizationError`` for anything else.
    package init(_ text: String) throws(QuantizationError) {
        let parts = text.split(separator: "=", omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty else {
            throw QuantizationError("\"\(text)\" is not PATTERN=TYPE, such as ffn_down=q6_K or blk.0.*=q8_0")
        }
        guard let type = StorageType(named: String(parts[1])),
            ElementType(storage: type) != nil || WrittenBlocks(rawValue: type.rawValue) != nil
        else {
            throw QuantizationError("\(parts[1]) is no type that can be written. Known are \(ElementType.writable)")
        }
        self.init(pattern: String(parts[0]), type: type)
    }

    package func matches(_ name: String) -> Bool {
        let name = Array(name.utf8)
        let pieces = pattern.utf8.split(separator: UInt8(ascii: "*"), omittingEmptySubsequences: false).map(Array.init)
        if pieces.count == 1 { return TensorOverride.first(pieces[0], in: name[...]) != nil }
        guard name.starts(with: pieces[0]), name.count >= pieces[0].count else { return false }
        var rest = name[pieces[0].count...]
        for piece in pieces[1..<pieces.count - 1] {
            guard let found = TensorOverride.first(piece, in: rest) else { return false }
            rest = rest[found.upperBound...]
        }
        let last = pieces[pieces.count - 1]
        return rest.count >= last.count && rest.suffix(last.count).elementsEqual(last)
    }

    /// The range of `text` where `piece` first stands in it.
    private static func first(_ piece: [UInt8], in text: ArraySlice<UInt8>) -> Range<Int>? {
        guard piece.count <= text.count else { return nil }
        for start in text.startIndex...text.endIndex - piece.count
        where text[start..<start + piece.count].elementsEqual(piece) {
            return start..<start + piece.count
        }
        return nil
    }
}

extension ElementType {
    /// The planner's type as one that is computed with; nil for the others.
    package init?(storage: StorageType) {
        guard let type = ElementType(rawValue: storage.rawValue), type != .i32 else { return nil }
        self = type
    }

    /// The types of matrices, for messages.
    static var writable: String {
        (allCases.filter { $0 != .i32 }.map(\.rawValue) + WrittenBlocks.allCases.map(\.rawValue)).joined(
            separator: ", ")
    }
}

/// A model that cannot be quantized as asked, and why.
public struct QuantizationError: MartletError, Equatable {
    /// The cause: what was found, and where.
    public let cause: String
    /// The remedy, where one is known.
    public let remedy: String?

    package init(_ cause: String, remedy: String? = nil) { (self.cause, self.remedy) = (cause, remedy) }
}
