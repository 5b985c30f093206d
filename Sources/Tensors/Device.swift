import MartletPlatform
import Synchronization

/// A compute device, where activations live and operations run: a thread pool and an allocator that recycles memory.
///
/// A process may hold several; they share nothing. A tensor that an operation makes lives on the device of its first
/// operand. Memory is recycled by reference count: a storage that only the device still knows is free, so that a warm
/// loop allocates nothing.
public final class Device: Sendable {
    package let pool: ThreadPool
    private let shelves = Mutex(Shelves())
    let weights = WeightMemory()

    /// - Parameter threads: how many compute at once; the physical cores that this process may use when nil.
    public init(threads: Int? = nil) {
        pool = ThreadPool(threads: max(1, threads ?? Processors.availableCores()))
    }

    package var threads: Int { pool.threads }

    /// An uninitialised tensor for the operation that is about to fill it.
    package func make(_ shape: Shape, _ type: ElementType = .f32) -> Tensor {
        Tensor(storage: scratch(bytes: type.block.bytes(of: shape.elements)), shape: shape, type: type, device: self)
    }

    /// At least `bytes` of uninitialised memory, free again when the last reference is gone.
    package func scratch(bytes: Int) -> Storage { shelves.withLock { $0.take(bytes: bytes) } }

    /// A tensor on this device, holding a copy of `values`.
    package func tensor(_ values: [Float], shape: Shape) -> Tensor {
        precondition(values.count == shape.elements, "Device.tensor: \(values.count) values for \(shape)")
        let tensor = make(shape)
        for i in values.indices { unsafe tensor.mutableFloats[i] = values[i] }
        return tensor
    }

    /// Returns the same elements on this device; copied only when they are f32 of no device.
    package func adopt(_ tensor: Tensor) -> Tensor {
        Tensor(
            storage: tensor.storage, byteOffset: tensor.byteOffset, shape: tensor.shape, type: tensor.type,
            device: self, node: tensor.node)
    }

    /// The memory held, in use or free, in bytes.
    package var heldBytes: Int { shelves.withLock { $0.heldBytes } }

    /// The bytes held for a request of `bytes`: sizes are rounded up to size classes.
    package static func heldBytes(for bytes: Int) -> Int { Shelves.sizeClass(of: bytes).1 }

    /// Gives free memory back to the system.
    package func trim() { shelves.withLock { $0.trim() } }

    /// Splits `count` items into ranges and runs `body` on each, in parallel when the work is worth a barrier.
    ///
    /// - Parameters:
    ///   - cost: elementary operations per item, as a rough number.
    ///   - grain: ranges start at multiples of this.
    package func parallel(_ count: Int, cost: Int, grain: Int = 1, _ body: (Range<Int>) -> Void) {
        guard count > 0 else { return }
        let worthwhile = 16_384
        let pieces = (count + grain - 1) / grain
        let (work, overflow) = count.multipliedReportingOverflow(by: cost)
        let wanted = overflow ? pieces : min(pieces, max(1, work / worthwhile))
        let chunks = threads == 1 ? 1 : min(wanted, threads * 16)
        guard chunks > 1 else { return body(0..<count) }
        pool.run(chunks: chunks) { chunk in
            let lower = min(count, chunk * pieces / chunks * grain)
            let upper = min(count, (chunk + 1) * pieces / chunks * grain)
            if lower < upper { body(lower..<upper) }
        }
    }
}

/// Storages by size class, four classes to a doubling.
private struct Shelves {
    private var shelves: [[Storage]] = Array(repeating: [], count: 256)
    private var cursors: [Int] = Array(repeating: 0, count: 256)
    private(set) var heldBytes = 0

    mutating func take(bytes: Int) -> Storage {
        let (index, size) = Shelves.sizeClass(of: bytes)
        let count = shelves[index].count
        for step in 0..<count {
            let at = (cursors[index] + step) % count
            if isKnownUniquelyReferenced(&shelves[index][at]) {
                cursors[index] = at + 1
                return shelves[index][at]
            }
        }
        let storage = Storage(bytes: size)
        shelves[index].append(storage)
        heldBytes += size
        return storage
    }

    mutating func trim() {
        for index in shelves.indices {
            for at in shelves[index].indices.reversed() where isKnownUniquelyReferenced(&shelves[index][at]) {
                heldBytes -= shelves[index][at].bytes
                shelves[index].remove(at: at)
            }
            cursors[index] = 0
        }
    }

    /// The smallest of 2^e · {4, 5, 6, 7} / 4 that holds `bytes`, and its index; nothing is smaller than 256 bytes.
    static func sizeClass(of bytes: Int) -> (Int, Int) {
        let wanted = max(bytes, 256)
        let exponent = Int.bitWidth - 1 - wanted.leadingZeroBitCount
        let step = (1 << exponent) / 4
        let quarters = (wanted - (1 << exponent) + step - 1) / step
        return (exponent * 4 + quarters, (1 << exponent) + quarters * step)
    }
}
