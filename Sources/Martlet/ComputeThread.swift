import MartletPlatform
import MartletTensors
import Synchronization

/// A thread of its own for long computations, so that they do not hold the threads that a server's tasks share.
package final class ComputeThread: TaskExecutor {
    private let queue: Queue
    private let thread: SystemThread?

    package init() {
        let queue = Queue()
        self.queue = queue
        thread = SystemThread { queue.work() }
    }

    /// True where the system granted the thread. Without, jobs run where they are enqueued; but then Swift's own
    /// threads are not to be had either, and who waits for those waits for ever.
    var isRunning: Bool { thread != nil }

    deinit {
        queue.stop()
        // The last reference may be dropped by a job on the thread itself, which cannot wait for its own end.
        thread?.detach()
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let executor = unsafe asUnownedTaskExecutor()
        guard thread != nil else { return unsafe job.runSynchronously(on: executor) }
        queue.append { unsafe job.runSynchronously(on: executor) }
    }
}

/// Work for one thread, in order.
private final class Queue: Sendable {
    private let jobs = Mutex<(waiting: [@Sendable () -> Void], stopped: Bool)>(([], false))
    private let signal = Signal()

    func append(_ job: @escaping @Sendable () -> Void) {
        signal.wakeAll { jobs.withLock { $0.waiting.append(job) } }
    }

    func stop() {
        signal.wakeAll { jobs.withLock { $0.stopped = true } }
    }

    func work() {
        while let batch = next() {
            for job in batch { job() }
        }
    }

    /// The jobs that wait, or nil once stopped and empty.
    private func next() -> [@Sendable () -> Void]? {
        signal.withLock {
            while true {
                let (batch, stopped) = jobs.withLock { state in
                    defer { state.waiting = [] }
                    return (state.waiting, state.stopped)
                }
                if !batch.isEmpty { return batch }
                if stopped { return nil }
                signal.sleep()
            }
        }
    }
}
