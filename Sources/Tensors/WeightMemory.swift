import Synchronization

/// Memory for packed weights: one after the other in large regions, which a system may back with large pages. A region
/// lives as long as one of its weights.
final class WeightMemory: Sendable {
    /// Memory that weights are placed in, and how much of it is taken.
    private struct Region {
        var storage: Storage?
        var used = 0
    }

    private let current = Mutex(Region())
    private static let regionBytes = 64 << 20

    /// `bytes` of uninitialised memory.
    func take(bytes: Int) -> Storage {
        guard bytes <= WeightMemory.regionBytes / 4 else { return Storage(bytes: bytes) }
        return current.withLock { region in
            if let storage = region.storage, region.used + bytes <= storage.bytes {
                return WeightMemory.part(of: storage, bytes, &region.used)
            }
            // Nothing of a region is resident before it is written.
            let storage = Storage(bytes: WeightMemory.regionBytes)
            region = Region(storage: storage)
            return WeightMemory.part(of: storage, bytes, &region.used)
        }
    }

    private static func part(of storage: Storage, _ bytes: Int, _ used: inout Int) -> Storage {
        defer { used += (bytes + Storage.alignment - 1) & ~(Storage.alignment - 1) }
        return Storage(part: used..<used + bytes, of: storage)
    }
}
