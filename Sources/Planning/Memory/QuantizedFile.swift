package import MartletLayers
internal import MartletModels
internal import MartletTensors

/// A GGUF file that need not exist yet: each tensor with its format and bytes.
package struct QuantizedFile: Sendable {
    /// A tensor of the file, with its format.
    package struct Entry: Sendable, Hashable {
        package let tensor: ParameterTensor
        /// The model's parameters that the tensor holds; the experts of a layer are one.
        package let parameters: [String]
        package let type: StorageType
        package let bytes: Count
    }

    package let fileType: FileType
    package let entries: [Entry]

    /// - Throws: ``PlanningError/impossible(_:)`` for model types that llama.cpp's rules do not cover.
    package init(_ blueprint: Blueprint, fileType: FileType) throws(PlanningError) {
        guard !blueprint.stacks.contains(where: { $0.length != .tokens }) else {
            throw .impossible(
                "\(blueprint.modelType) has no GGUF layout that the planner knows: it reads pictures or sound")
        }
        let rules = MixedQuantization(blueprint, fileType)
        self.fileType = fileType
        entries = blueprint.fileTensors.map { tensor, parameters in
            let type = rules.type(of: tensor)
            return Entry(tensor: tensor, parameters: parameters, type: type, bytes: type.bytes(tensor.elements))
        }
    }

    /// The bytes of all tensors, without metadata and alignment.
    package var tensorBytes: Quantity {
        Quantity(
            entries.reduce(0) { $0 + $1.bytes }, .bytes, .quantizedBytes,
            [.init("tensors", entries.count), .init("file type", fileType.rawValue)])
    }

    package var bitsPerWeight: Quantity {
        let elements = entries.reduce(Count(0)) { $0 + $1.tensor.elements }
        let bytes = entries.reduce(Count(0)) { $0 + $1.bytes }
        return Quantity(
            8 * Double(bytes) / Double(max(elements, 1)), .bitsPerWeight, .quantizedBitsPerWeight,
            [.init("tensor bytes", bytes), .init("elements", elements)])
    }
}

extension Blueprint {
    /// The tensors of a GGUF with the parameters that each holds: as our own writer lays them out where it writes the
    /// model type, else one for each parameter.
    fileprivate var fileTensors: [(ParameterTensor, parameters: [String])] {
        guard let architecture, let contents = try? ModelExport.ggufContents(architecture, modelType: modelType) else {
            return tensors.map { ($0, [$0.name]) }
        }
        return contents.filter { !$0.parts[0].fill.isConstant }.map { content in
            var names: [String] = []
            for part in content.parts {
                let name = ParameterTensor.name(of: part)
                if names.last != name { names.append(name) }
            }
            let part = content.parts[0]
            return (
                ParameterTensor(
                    content.name, content.shape.array, ParameterRole(of: content.parts), part.use, layer: part.layer),
                names
            )
        }
    }
}

extension ParameterRole {
    /// The role of a tensor that holds these parameters.
    package init(of parts: [ParameterDescription]) {
        let roles = Set(parts.map(\.role))
        self =
            if roles.count == 1, let only = roles.first {
                only
            } else if roles.isSubset(of: [.query, .key, .value]) {
                .queryKeyValue
            } else if roles.isSubset(of: [.gate, .up]) {
                .gateUp
            } else {
                .other
            }
    }
}

extension Formula {
    /// The file that formulas of quantised bytes count.
    private static let quantizedConvention =
        "tensor data without metadata and padding; default mix without importance matrix; norms and biases F32"

    static let quantizedBytes = Formula(
        "quantization.tensor_bytes", "Σ blocks · bytes per block over tensors", convention: quantizedConvention,
        source: "llama.cpp, llama_tensor_get_type")

    static let quantizedBitsPerWeight = Formula(
        "quantization.bits_per_weight", "8 · tensor bytes / elements", convention: quantizedConvention,
        source: "llama.cpp")
}
