import CMartletKernels
import Synchronization

/// The keys and values of 64 positions in all layers of one reach: memory with an owner, given back when the last owner
/// lets go of it.
package final class KeyValueBlock: Sendable {
    let storage: Storage
    private let pool: BlockPool?

    /// - Parameter pool: where the memory goes afterwards; nil for memory of a device, which takes it back by itself.
    init(_ storage: Storage, of pool: BlockPool?) { (self.storage, self.pool) = (storage, pool) }

    deinit { pool?.put(storage) }

    /// Zeros everywhere: positions that are not yet written are read and masked, so they must be finite.
    package func clear() {
        unsafe storage.mutablePointer.initializeMemory(as: UInt8.self, repeating: 0, count: storage.bytes)
    }

    /// The first `positions` of another block of the same layout.
    ///
    /// - Precondition: nobody else reads or writes this one.
    package func copy(_ positions: Int, of source: KeyValueBlock, _ layout: BlockLayout, on device: Device) {
        guard source !== self else { return }
        device.parallel(layout.layers.count, cost: layout.bytes / max(1, layout.layers.count)) { range in
            for layer in range {
                let (form, offset) = (layout.layers[layer], layout.offsets[layer])
                unsafe martlet_copy_positions(
                    layout.type.kernelType, form.keyHeads, form.headWidth, form.valueWidth,
                    source.storage.pointer + offset, storage.mutablePointer + offset, positions)
            }
        }
    }
}

/// Memory for KV blocks with a limit in bytes: taking and giving back cost the same however many blocks there are.
///
/// Safe to share between threads. Knows no sequence and no layer, only sizes.
package final class BlockPool: Sendable {
    /// The memory that the pool holds.
    private struct State {
        /// Free memory by size in bytes.
        var free: [Int: [Storage]] = [:]
        var heldBytes = 0
        var freeBytes = 0
    }

    /// The limit in bytes, never exceeded; nil without a limit.
    package let limit: Int?
    private let state = Mutex(State())

    package init(limit: Int? = nil) { self.limit = limit }

    /// The memory held, in blocks or free, in bytes.
    package var heldBytes: Int { state.withLock { $0.heldBytes } }

    /// The memory in blocks that somebody owns, in bytes.
    package var usedBytes: Int { state.withLock { $0.heldBytes - $0.freeBytes } }

    /// A block of `bytes`, its contents undefined; nil where the limit leaves no room for it.
    package func take(bytes: Int) -> KeyValueBlock? {
        let storage: Storage? = state.withLock { state in
            if let known = state.free[bytes]?.popLast() {
                state.freeBytes -= bytes
                return known
            }
            if let limit, state.heldBytes + bytes > limit { BlockPool.trim(&state) }
            if let limit, state.heldBytes + bytes > limit { return nil }
            state.heldBytes += bytes
            return Storage(bytes: bytes)
        }
        return storage.map { KeyValueBlock($0, of: self) }
    }

    /// Gives free memory back to the system.
    package func trim() { state.withLock { BlockPool.trim(&$0) } }

    fileprivate func put(_ storage: Storage) {
        state.withLock { state in
            state.free[storage.bytes, default: []].append(storage)
            state.freeBytes += storage.bytes
        }
    }

    private static func trim(_ state: inout State) {
        state.heldBytes -= state.freeBytes
        (state.free, state.freeBytes) = ([:], 0)
    }
}
