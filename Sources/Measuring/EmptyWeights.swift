package import MartletLayers
package import MartletTensors

/// The element type in which a file stores each parameter of a model.
package typealias StoredTypes = (ParameterDescription) -> ElementType

/// Parameters without a checkpoint: what a model of this description keeps in memory, counted by the model itself as it
/// asks for them; with a pool, also matrices of zeros to run it with.
final class EmptyWeights: ParameterSource {
    /// The memory that packed matrices are views of. They lie one behind the other, and begin again where it ends.
    final class Pool {
        let storage: Storage
        fileprivate var next = 0

        /// - Parameter bytes: far more than the caches hold, or all that the model has, whichever is less.
        init(bytes: Int) {
            storage = Storage(bytes: max(bytes, Storage.alignment))
            // Touched, so that every page is one of its own.
            unsafe storage.mutablePointer.initializeMemory(as: UInt8.self, repeating: 0, count: storage.bytes)
        }
    }

    /// A matrix is packed in pieces of so many stored bytes, each let go when it has been read.
    private static let piece = 8 << 20
    private let types: StoredTypes
    private let pool: Pool?
    /// Matrices that products stream: panels of 64 outputs.
    private(set) var packedBytes = 0
    /// The largest matrix as a file keeps it: it is read while it is packed, after most others have been.
    private(set) var largestStoredBytes = 0
    /// The maximum resident size while the model is loaded.
    private(set) var loadingBytes = 0
    /// Tables that are looked up in the file.
    private(set) var tableBytes = 0
    /// Vectors and small tables in f32.
    private(set) var vectorBytes = 0

    init(types: @escaping StoredTypes, pool: Pool? = nil) { (self.types, self.pool) = (types, pool) }

    func parameter(_ description: ParameterDescription) -> Parameter {
        let shape = description.shape
        if [.tokens, .positions, .segments].contains(description.role), description.use == .lookedUp {
            tableBytes += type(description).block.checkedBytes(of: shape.elements) ?? 0
        }
        guard pool != nil else { return Parameter(description, value: nil) }
        guard shape.rank > 1 else {
            return Parameter(description, value: Tensor(zeros(shape.elements), shape: shape))
        }
        // Address space only: of a table a few rows are read, of a matrix none before it is packed.
        let type = type(description)
        let storage = Storage(bytes: type.block.checkedBytes(of: shape.elements) ?? shape.elements * 4)
        if storage.bytes < 1 << 20 {
            unsafe storage.mutablePointer.initializeMemory(as: UInt8.self, repeating: 0, count: storage.bytes)
        }
        return Parameter(description, value: Tensor(storage: storage, shape: shape, type: type))
    }

    func packed(_ parameter: Parameter) -> PackedMatrix? {
        let (outputs, inputs) = (parameter.shape[0], parameter.shape.elements / max(parameter.shape[0], 1))
        let type = type(parameter.description)
        let bytes = PackedMatrix.bytes(outputs: outputs, inputs: inputs, type: type)
        let stored = type.block.checkedBytes(of: parameter.shape.elements) ?? 0
        packedBytes += bytes
        largestStoredBytes = max(largestStoredBytes, stored)
        loadingBytes = max(loadingBytes, packedBytes + vectorBytes + min(stored, EmptyWeights.piece))
        guard let pool else { return nil }
        if pool.next + bytes > pool.storage.bytes { pool.next = 0 }
        let first = pool.next
        pool.next += (bytes + Storage.alignment - 1) / Storage.alignment * Storage.alignment
        guard first + bytes <= pool.storage.bytes else {
            let own = Storage(bytes: bytes)
            unsafe own.mutablePointer.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
            return PackedMatrix(outputs: outputs, inputs: inputs, type: type, packed: own)
        }
        let view = unsafe Storage(borrowing: pool.storage.pointer + first, bytes: bytes, owner: pool.storage)
        return PackedMatrix(outputs: outputs, inputs: inputs, type: type, packed: view)
    }

    func decoded(_ parameter: Parameter) -> Parameter {
        vectorBytes += parameter.shape.elements * 4
        guard pool != nil else { return parameter }
        return parameter.with(Tensor(zeros(parameter.shape.elements), shape: parameter.shape))
    }

    /// The type a file would have; a block format needs rows of whole blocks.
    private func type(_ description: ParameterDescription) -> ElementType {
        let wanted = types(description)
        return description.shape.width % wanted.blockElements == 0 ? wanted : .f32
    }

    private func zeros(_ count: Int) -> [Float] { Array(repeating: 0, count: count) }
}
