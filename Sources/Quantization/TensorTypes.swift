// MartletQuantization: which block format each matrix gets, how its numbers are rounded to it, and what that costs.
//
// Knows no text and no command line: calibration and comparison take token ids.

package import MartletLayers
public import MartletPlanning
package import MartletTensors

@_exported public import protocol MartletPlatform.MartletError

/// The type of each matrix of a GGUF: llama.cpp's mix of that name, but for the tensors that the user says otherwise of.
///
/// Source: `llama-quant.cpp` of llama.cpp, by tensor names, as of late 2026. The mixes themselves are the planner's
/// (``MixedQuantization``); one thing is newer there: query, key and value in one matrix are treated as values.
package struct TensorTypes {
    package let fileType: FileType
    private let rules: MixedQuantization
    private let overrides: [TensorOverride]

    package init(
        _ fileType: FileType, _ architecture: Architecture, modelType: String, hasImportance: Bool,
        overrides: [TensorOverride] = []
    ) {
        var layers: [Architecture.Layer] = []
        if case .decoder(let stack) = architecture.body { layers = stack.layers }
        let experts =
            layers.lazy.compactMap { layer in
                if case .experts(let experts) = layer.feedForward { experts.count } else { nil }
            }.first ?? 0
        var headIsTied = false
        if case .tokens(let head) = architecture.head, head.weights == .tied { headIsTied = true }
        let groups = layers.first.map { $0.attention.queryHeads / max($0.attention.keyHeads, 1) } ?? 1
        self.init(
            MixedQuantization(
                fileType, modelType: modelType, layers: layers.count, groups: groups, experts: experts,
                headIsTied: headIsTied, hasImportance: hasImportance), fileType, overrides: overrides)
    }

    package init(_ rules: MixedQuantization, _ fileType: FileType, overrides: [TensorOverride] = []) {
        (self.rules, self.fileType, self.overrides) = (rules, fileType, overrides)
    }

    /// The type of the matrix called `name`, whose rows are `row` long.
    package func type(of name: String, row: Int) -> StorageType {
        if let override = overrides.first(where: { $0.matches(name) }) {
            return rules.fitting(override.type, row: row)
        }
        return rules.type(of: TensorTypes.part(of: name), layer: TensorTypes.layer(of: name), row: row)
    }

    /// What llama.cpp takes a tensor for, by its name.
    private static func part(of name: String) -> ParameterTensor.Part {
        switch name {
        case "output.weight": return .head
        case "token_embd.weight": return .tokenTable
        default: break
        }
        let kinds: [(String, ParameterTensor.Part)] = [
            ("attn_qkv", .value), ("attn_v", .value), ("attn_k", .key), ("attn_q", .query),
            ("attn_output", .attentionOutput), ("ffn_up", .up), ("ffn_gate", .gate), ("ffn_down", .down),
        ]
        let parts = name.split(separator: ".")
        guard let kind = parts.dropLast().last else { return .other }
        return kinds.first { kind.hasPrefix($0.0) }?.1 ?? .other
    }

    /// The number in `blk.N.`; 0 where there is none.
    private static func layer(of name: String) -> Int {
        let parts = name.split(separator: ".")
        return parts.count > 1 && parts[0] == "blk" ? Int(parts[1]) ?? 0 : 0
    }
}

/// A type that the user wants for the tensors whose name matches a pattern: `*` stands for any characters; without one, the pattern may
/// stand anywhere in the name.
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
        guard let type = StorageType(named: String(parts[1])), ElementType(storage: type) != nil else {
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

    /// Where `piece` first stands in `text`.
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
    static var writable: String { allCases.filter { $0 != .i32 }.map(\.rawValue).joined(separator: ", ") }
}

extension FileType {
    /// The mix called `name` in any case; a bare K-quant is its middle mix, as in llama.cpp.
    public init?(mix name: String) {
        switch name.uppercased() {
        case "Q3_K", "Q4_K", "Q5_K": self.init(named: name + "_M")
        default: self.init(named: name)
        }
    }

    /// `general.file_type`, as llama.cpp numbers them; nil for those that hold types which cannot be written here.
    package var number: Int? {
        switch self {
        case .f32: 0
        case .f16: 1
        case .q4_0: 2
        case .q4_1: 3
        case .q8_0: 7
        case .q5_0: 8
        case .q5_1: 9
        case .q4_K_S: 14
        case .q4_K_M: 15
        case .q5_K_S: 16
        case .q5_K_M: 17
        case .q6_K: 18
        case .bf16: 32
        default: nil
        }
    }

    /// Those that can be written.
    public static var writable: [FileType] { allCases.filter { $0.number != nil } }
}

/// A model that cannot be quantized as asked, and why.
public struct QuantizationError: MartletError, Equatable {
    public let cause: String
    public let remedy: String?

    package init(_ cause: String, remedy: String? = nil) { (self.cause, self.remedy) = (cause, remedy) }
}
