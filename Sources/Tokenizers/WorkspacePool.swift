import MartletPlatform
import Synchronization

/// Workspaces that wait for the next text, each on the shelf of the thread that had it last: what it remembers is in
/// that processor's own cache, and threads that encode at once do not touch one lock.
final class WorkspacePool: Sendable {
    private final class Shelf: Sendable {
        let idle = Mutex<[Workspace]>([])
        /// A cache line between this lock and the next one.
        private let distance = InlineArray<8, UInt64>(repeating: 0)
    }

    private static let bits: UInt64 = 4
    private let shelves = (0..<1 << bits).map { _ in Shelf() }

    /// The number of the calling thread's shelf.
    private var own: Int {
        Int(truncatingIfNeeded: (UInt64(SystemThread.identity) &* 0x9E37_79B9_7F4A_7C15) >> (64 - WorkspacePool.bits))
    }

    /// Another thread's where this one has left none, so that there are no more than have been in use at once.
    func take() -> Workspace {
        let own = own
        for step in shelves.indices {
            if let found = shelves[(own + step) % shelves.count].idle.withLock({ $0.popLast() }) { return found }
        }
        return Workspace()
    }

    func give(_ workspace: Workspace) { shelves[own].idle.withLock { $0.append(workspace) } }
}
