internal import MartletJSON
public import MartletTensors

/// A tensor as it lies in a file, before anyone knows whether it can be computed with.
public struct StoredTensor: Sendable {
    public let name: String
    public let type: StoredType
    /// Outermost first, as everywhere in this package; GGUF writes them the other way round.
    public let extents: [Int]
    /// Place in ``storage``.
    public let byteOffset: Int
    public let bytes: Int
    /// The file, mapped.
    public let storage: Storage
    public let path: String

    public var elements: Int { Shape.product(extents) ?? 0 }

    /// The tensor, as a view of the mapped file.
    ///
    /// Only where the file puts the elements at an address that is no multiple of their size (safetensors allows it), the bytes are
    /// copied.
    /// - Throws: ``FormatError`` when this package has no such element type or more than four extents.
    public func tensor() throws(FormatError) -> Tensor {
        func refusal(_ offence: String, _ remedy: String) -> FormatError {
            FormatError(
                path: path, problem: "tensor \(name.quoted) cannot be loaded", offences: [offence], remedy: remedy)
        }
        guard let elementType = type.elementType else {
            let known = ElementType.allCases.map(\.rawValue).joined(separator: ", ")
            throw refusal("its type is \(type.name)", "Convert it to one of \(known)")
        }
        guard let shape = Shape(checked: extents) else {
            throw refusal("it has \(extents.count) extents", "At most \(Shape.maximumRank) are supported")
        }
        guard shape.width % elementType.blockElements == 0 else {
            throw refusal("rows of \(shape) do not fill blocks of \(type.name)", "Store it in another type")
        }
        let size = elementType.isBlockQuantized ? 2 : elementType.blockBytes
        guard byteOffset % size != 0 else {
            return Tensor(storage: storage, byteOffset: byteOffset, shape: shape, type: elementType)
        }
        let copy = Storage(bytes: bytes)
        unsafe copy.mutablePointer.copyMemory(from: storage.pointer + byteOffset, byteCount: bytes)
        return Tensor(storage: copy, shape: shape, type: elementType)
    }
}
