/// A GGUF file that need not exist yet: each tensor with its format and bytes.
public struct QuantizedFile: Sendable {
    public struct Entry: Sendable, Hashable {
        public let tensor: ParameterTensor
        public let type: StorageType
        public let bytes: Count
    }

    public let fileType: FileType
    public let entries: [Entry]

    /// Tensors are those that files hold, which may keep together what the model keeps apart.
    ///
    /// - Throws: ``PlanningError/impossible(_:)`` for model types that llama.cpp's rules do not cover.
    public init(_ blueprint: Blueprint, fileType: FileType) throws(PlanningError) {
        guard !blueprint.stacks.contains(where: { $0.length != .tokens }) else {
            throw .impossible(
                "\(blueprint.modelType) has no GGUF layout that the planner knows: it reads pictures or sound")
        }
        let rules = MixedQuantization(blueprint, fileType)
        var seen: [ParameterTensor.Part: Int] = [:]
        self.fileType = fileType
        entries = blueprint.derivedTensors.map { tensor in
            let layer = seen[tensor.part, default: 0]
            if tensor.isMatrix { seen[tensor.part] = layer + 1 }
            let type = rules.type(of: tensor, layer: layer)
            return Entry(tensor: tensor, type: type, bytes: type.bytes(tensor.elements))
        }
    }

    /// The bytes of all tensors, without metadata and alignment.
    public var tensorBytes: Quantity {
        Quantity(
            entries.reduce(0) { $0 + $1.bytes }, .bytes, .quantizedBytes,
            [.init("tensors", entries.count), .init("file type", fileType.rawValue)])
    }

    public var bitsPerWeight: Quantity {
        let elements = entries.reduce(Count(0)) { $0 + $1.tensor.elements }
        let bytes = entries.reduce(Count(0)) { $0 + $1.bytes }
        return Quantity(
            8 * Double(bytes) / Double(max(elements, 1)), .bitsPerWeight,
            Formula(
                "quantization.bits_per_weight", "8 · tensor bytes / elements", convention: FormulaConvention.mixed,
                source: "llama.cpp"), [.init("tensor bytes", bytes), .init("elements", elements)])
    }
}

private enum FormulaConvention {
    static let mixed =
        "tensor data without metadata and padding; default mix without importance matrix; norms and biases F32"
}

extension Formula {
    static let quantizedBytes = Formula(
        "quantization.tensor_bytes", "Σ blocks · bytes per block over tensors", convention: FormulaConvention.mixed,
        source: "llama.cpp, llama_tensor_get_type")
}
