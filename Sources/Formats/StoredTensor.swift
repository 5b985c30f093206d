internal import MartletJSON
package import MartletTensors

/// A tensor as it lies in a file, before anyone knows whether it can be computed with.
package struct StoredTensor: Sendable {
    package let name: String
    package let type: StoredType
    /// The shape, outermost axis first, as everywhere in this package; GGUF writes it the other way round.
    package let extents: [Int]
    /// The place of the elements in ``storage``.
    package let byteOffset: Int
    package let bytes: Int
    /// The file, mapped.
    package let storage: Storage
    package let path: String
    /// The derivation of the elements from others of the file, where they are packed in a way of their own.
    let derivation: Derivation?

    /// True where the elements are made from others when the tensor is loaded.
    package var isDerived: Bool { derivation != nil }

    typealias Derivation = @Sendable () throws(FormatError) -> Tensor

    init(
        name: String, type: StoredType, extents: [Int], byteOffset: Int, bytes: Int, storage: Storage, path: String,
        derivation: Derivation? = nil
    ) {
        (self.name, self.type, self.extents, self.byteOffset) = (name, type, extents, byteOffset)
        (self.bytes, self.storage, self.path, self.derivation) = (bytes, storage, path, derivation)
    }

    package var elements: Int { Shape.product(extents) ?? 0 }

    /// The bytes that the tensor takes once it is loaded.
    package var loadedBytes: Int {
        guard let type = type.loadedType else { return bytes }
        return type.block.checkedBytes(of: elements) ?? bytes
    }

    /// The tensor, as a view of the mapped file.
    ///
    /// The bytes are copied where the file puts the elements at an address that is no multiple of their size
    /// (safetensors allows it), and converted where nothing here computes with their type.
    /// - Throws: ``FormatError`` when this package has no such element type or more than four extents.
    package func tensor() throws(FormatError) -> Tensor { try tensor(on: nil) }

    /// The tensor, as a view of the mapped file, converted by the threads of `device` where elements are converted.
    package func tensor(on device: Device?) throws(FormatError) -> Tensor {
        if let derivation { return try derivation() }
        let shape = try checkedShape()
        if let conversion = type.conversion { return converted(conversion, shape, on: device) }
        guard let elementType = type.elementType else {
            let known = ElementType.allCases.map(\.rawValue).joined(separator: ", ")
            throw refusal("its type is \(type.name)", "Convert it to one of \(known)")
        }
        let size = elementType.isBlockQuantized ? 2 : elementType.block.bytes
        guard byteOffset % size != 0 else {
            return Tensor(storage: storage, byteOffset: byteOffset, shape: shape, type: elementType)
        }
        let copy = Storage(bytes: bytes)
        unsafe copy.mutablePointer.copyMemory(from: storage.pointer + byteOffset, byteCount: bytes)
        return Tensor(storage: copy, shape: shape, type: elementType)
    }

    /// The numbers as they are stored, exactly: for tests and comparisons. Empty for types that are not converted when
    /// they are loaded.
    package var decodedValues: [Float] {
        guard case .ggml(let number)? = type.conversion, let shape = Shape(checked: extents) else { return [] }
        return ForeignBlocks.values(blocks(number), shape: shape)
    }

    /// The elements as blocks of ggml's type `number`.
    private func blocks(_ number: UInt32) -> ForeignBlocks.Source {
        ForeignBlocks.Source(number, type.block, storage: storage, byteOffset: byteOffset)
    }

    private func refusal(_ offence: String, _ remedy: String) -> FormatError {
        FormatError(path: path, problem: "tensor \(name.quoted) cannot be loaded", offences: [offence], remedy: remedy)
    }

    private func checkedShape() throws(FormatError) -> Shape {
        guard let shape = Shape(checked: extents) else {
            throw refusal("it has \(extents.count) extents", "At most \(Shape.maximumRank) are supported")
        }
        let blocks = max(type.block.elements, type.loadedType?.blockElements ?? 1)
        guard shape.width % blocks == 0 else {
            throw refusal("rows of \(shape) do not fill blocks of \(type.name)", "Store it in another type")
        }
        return shape
    }

    private func converted(_ conversion: StoredType.Conversion, _ shape: Shape, on device: Device?) -> Tensor {
        switch conversion {
        case .ggml(let number): return ForeignBlocks.tensor(blocks(number), shape: shape, on: device)
        case .float8(let kind):
            // Every value is a bf16: the upper half of its f32.
            let table = kind.values.map { UInt16($0.bitPattern >> 16) }
            let result = Storage(bytes: 2 * elements)
            let target = unsafe result.mutablePointer.assumingMemoryBound(to: UInt16.self)
            let stored = unsafe (storage.pointer + byteOffset).assumingMemoryBound(to: UInt8.self)
            for i in 0..<elements { unsafe target[i] = table[Int(stored[i])] }
            return Tensor(storage: result, shape: shape, type: .bf16)
        }
    }
}
