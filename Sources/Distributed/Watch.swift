import MartletPlatform

/// A limit on calls that cannot be told to give up: MPI's start and its end wait for every rank.
enum Watch {
    /// Runs `body`, and ends this process, and with it all ranks, where it takes longer than `seconds`.
    static func within<Result>(_ seconds: Double, _ what: String, _ body: () -> Result) -> Result {
        let turn = Turn()
        SystemThread { turn.wait(seconds, what) }?.detach()
        defer { turn.end() }
        return body()
    }

    /// One call that is watched: it has ended, or is waited for.
    private final class Turn: @unchecked Sendable {
        private let moved = Signal()
        // Touched inside `moved.withLock`.
        private var isDone = false

        func end() { moved.wakeAll { isDone = true } }

        func wait(_ seconds: Double, _ what: String) {
            let end = ContinuousClock.now + .seconds(seconds)
            moved.withLock {
                while !isDone {
                    let left = (end - .now).seconds
                    guard left > 0 else {
                        let line = Array("martlet: \(what) took more than \(Int(seconds)) s: a rank hangs\n".utf8)
                        _ = unsafe line.withUnsafeBytes { unsafe writeBytes(2, $0.baseAddress, $0.count) }
                        _exit(1)
                    }
                    moved.sleep(seconds: left)
                }
            }
        }
    }
}
