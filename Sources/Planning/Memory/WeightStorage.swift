internal import MartletLayers

/// The storage of a model's weights.
public enum WeightStorage: Sendable, Hashable, CustomStringConvertible {
    /// One type for every tensor. A block format applies to matrices and token tables whose rows it divides; the rest
    /// is f32.
    case uniform(StorageType)
    /// The mixture of quantization types that llama.cpp gives that name.
    case mixed(FileType)
    /// The types as a file has them, by the names of the parameters.
    case stored([String: StorageType])

    /// The name of the storage, for people.
    public var description: String {
        switch self {
        case .stored: "as stored"
        case .uniform(let type): type.rawValue
        case .mixed(let type): type.rawValue
        }
    }

    /// A name as `--weights` takes it: llama.cpp's file type of that name, as `quantize` writes it, wherever there is
    /// one; a storage type for every matrix otherwise (`nf4`, `f8`).
    public init?(named name: String) {
        if let type = FileType(mix: name) {
            self = .mixed(type)
        } else if let type = StorageType(named: name) {
            self = .uniform(type)
        } else {
            return nil
        }
    }

    /// Every name that ``init(named:)`` takes.
    public static var names: [String] {
        FileType.allCases.map(\.rawValue) + StorageType.allCases.map(\.rawValue).filter { FileType(mix: $0) == nil }
    }
}

extension Blueprint {
    /// The bytes of all weights.
    ///
    /// - Throws: ``PlanningError/impossible(_:)`` for a mixture of a model type that has no GGUF layout.
    public func weightBytes(_ storage: WeightStorage) throws(PlanningError) -> Quantity {
        switch storage {
        // What reads pictures or sound has no GGUF, but plain types.
        case .mixed(let type) where type.base.blockElements == 1 && stacks.contains { $0.length != .tokens }:
            return try weightBytes(.uniform(type.base))
        case .mixed(let type): return try QuantizedFile(self, fileType: type).tensorBytes
        case .stored(let types):
            let tensors = tensors
            let bytes = tensors.reduce(Count(0)) { $0 + (types[$1.name] ?? .f32).bytes($1.elements) }
            return Quantity(
                bytes, .bytes,
                Formula(
                    "memory.weights", "Σ bytes of each tensor", convention: "each tensor in the type of the file",
                    source: "the header of the file"), [.init("tensors", tensors.count)])
        case .uniform(let type):
            let tensors = tensors
            let bytes = tensors.reduce(Count(0)) { $0 + Blueprint.storageType(of: $1, wanted: type).bytes($1.elements) }
            return Quantity(
                bytes, .bytes,
                Formula(
                    "memory.weights", "Σ bytes of each tensor",
                    convention: type.blockElements == 1
                        ? "every tensor in \(type.rawValue)" : "matrices and tables in \(type.rawValue), the rest f32",
                    source: "the list of tensors"),
                [
                    .init("elements", tensors.reduce(Count(0)) { $0 + $1.elements }),
                    .init("bits per element", type.bitsPerElement),
                ])
        }
    }

    /// The type a tensor is kept in when `wanted` is asked for.
    static func storageType(of tensor: ParameterTensor, wanted: StorageType) -> StorageType {
        guard wanted.blockElements > 1 else { return wanted }
        let isTable = [.tokens, .perLayerTokens].contains(tensor.role)
        let divides = (tensor.shape.last ?? 1) % wanted.blockElements == 0 || wanted == .nf4
        return (tensor.isMatrix || isTable) && divides ? wanted : .f32
    }
}
