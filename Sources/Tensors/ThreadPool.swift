import CMartletKernels
import MartletPlatform
import Synchronization

/// A handful of threads that share the chunks of one loop at a time: they spin briefly for the next loop, then park.
///
/// The caller works too, and never waits for a thread that has not begun: a parked or preempted worker costs nothing
/// but its share. Which thread runs a chunk is left to chance, so a chunk's result must not depend on it.
package final class ThreadPool: Sendable {
    /// The caller and its workers.
    package let threads: Int
    private let board: Board
    private let workers: [SystemThread]

    package init(threads: Int) {
        precondition(threads >= 1, "ThreadPool: \(threads) threads")
        self.threads = threads
        let board = Board()
        self.board = board
        // A system that grants no more threads leaves the pool smaller; the caller does the work.
        workers = (1..<threads).compactMap { _ in SystemThread { board.work() } }
    }

    deinit {
        board.stop()
        for worker in workers { worker.join() }
    }

    /// Calls `body` once for each of `0 ..< chunks`, on several threads at once; returns when all are done.
    ///
    /// While another loop holds the workers, the caller runs alone.
    package func run(chunks: Int, _ body: (Int) -> Void) {
        if chunks <= 1 || threads == 1 || !board.acquire() {
            for chunk in 0..<chunks { body(chunk) }
            return
        }
        defer { board.release() }
        withoutActuallyEscaping(body) { body in
            var job = Job.closure(body)
            unsafe withUnsafeMutablePointer(to: &job) { unsafe board.share($0, chunks: chunks) }
        }
    }

    /// Runs the chunks of a loop as `run(chunks:_:)` does, for work that stands ready as an object: nothing is
    /// allocated.
    package func run(chunks: Int, _ work: any ChunkedWork) {
        if chunks <= 1 || threads == 1 || !board.acquire() {
            for chunk in 0..<chunks { work.run(chunk: chunk) }
            return
        }
        defer { board.release() }
        var job = Job.object(work)
        unsafe withUnsafeMutablePointer(to: &job) { unsafe board.share($0, chunks: chunks) }
    }
}

/// Chunks of a loop that is run again and again.
package protocol ChunkedWork: AnyObject {
    func run(chunk: Int)
}

/// The body of a loop: a closure, or work that stands ready as an object.
private enum Job {
    case closure((Int) -> Void)
    case object(any ChunkedWork)

    func run(_ chunk: Int) {
        switch self {
        case .closure(let body): body(chunk)
        case .object(let work): work.run(chunk: chunk)
        }
    }
}

/// The shared state of the caller and the workers. All orderings are sequentially consistent: the protocol below relies
/// on two threads that each write one word and then read the other's.
private final class Board: Sendable {
    private let busy = Atomic<Bool>(false)
    private let stopped = Atomic<Bool>(false)
    private let generation = Atomic<Int>(0)
    private let open = Atomic<Bool>(false)
    private let inside = Atomic<Int>(0)
    private let next = Atomic<Int>(0)
    private let chunks = Atomic<Int>(0)
    private let job = Atomic<UInt>(0)
    private let parked = Atomic<Int>(0)
    private let signal = Signal()

    /// About 50 µs: longer than the gap between two loops of one token, shorter than anybody notices.
    private static let spins = 2_000

    func acquire() -> Bool {
        busy.compareExchange(expected: false, desired: true, ordering: .sequentiallyConsistent).exchanged
    }
    func release() { busy.store(false, ordering: .sequentiallyConsistent) }

    func share(_ pointer: UnsafeMutablePointer<Job>, chunks count: Int) {
        job.store(UInt(bitPattern: pointer), ordering: .sequentiallyConsistent)
        chunks.store(count, ordering: .sequentiallyConsistent)
        next.store(0, ordering: .sequentiallyConsistent)
        open.store(true, ordering: .sequentiallyConsistent)
        generation.add(1, ordering: .sequentiallyConsistent)
        if parked.load(ordering: .sequentiallyConsistent) > 0 { signal.wakeAll() }
        takeChunks(unsafe pointer.pointee)
        open.store(false, ordering: .sequentiallyConsistent)
        var waited = 0
        while inside.load(ordering: .sequentiallyConsistent) > 0 {
            waited += 1
            if waited > Board.spins { sched_yield() } else { martlet_spin_hint() }
        }
    }

    func stop() {
        stopped.store(true, ordering: .sequentiallyConsistent)
        generation.add(1, ordering: .sequentiallyConsistent)
        signal.wakeAll()
    }

    func work() {
        var seen = 0
        while true {
            seen = waitForGeneration(after: seen)
            if stopped.load(ordering: .sequentiallyConsistent) { return }
            // Enter first, look second: whoever closes the loop looks at `inside` after closing.
            inside.add(1, ordering: .sequentiallyConsistent)
            if open.load(ordering: .sequentiallyConsistent),
                let pointer = unsafe UnsafeMutablePointer<Job>(bitPattern: job.load(ordering: .sequentiallyConsistent))
            {
                takeChunks(unsafe pointer.pointee)
            }
            inside.subtract(1, ordering: .sequentiallyConsistent)
        }
    }

    private func takeChunks(_ job: Job) {
        let count = chunks.load(ordering: .sequentiallyConsistent)
        while true {
            let chunk = next.add(1, ordering: .sequentiallyConsistent).oldValue
            guard chunk < count else { return }
            job.run(chunk)
        }
    }

    private func waitForGeneration(after seen: Int) -> Int {
        for _ in 0..<Board.spins {
            let now = generation.load(ordering: .sequentiallyConsistent)
            if now != seen { return now }
            martlet_spin_hint()
        }
        return signal.withLock {
            parked.add(1, ordering: .sequentiallyConsistent)
            defer { parked.subtract(1, ordering: .sequentiallyConsistent) }
            while generation.load(ordering: .sequentiallyConsistent) == seen { signal.sleep() }
            return generation.load(ordering: .sequentiallyConsistent)
        }
    }
}
