#if Server
    import Foundation
    import MartletPlatform

    /// A task executor with threads of its own, for what requests compute before an engine has them: templates, tokens
    /// and grammars of long prompts. The pool that all tasks share stays free for health checks and streams.
    final class WorkExecutor: TaskExecutor, @unchecked Sendable {
        /// The executor of all servers of the process; nil where the system grants no thread. It has more threads than
        /// the machine has processors, so that a short text shares a processor with long ones, and need not wait.
        static let shared = WorkExecutor(threads: max(16, 2 * Processors.availableCores()))

        // The condition's lock guards the jobs.
        private let condition = NSCondition()
        private var jobs: [UnownedJob] = []
        /// The index of the job that has waited longest.
        private var first = 0

        private init?(threads: Int) {
            let started = (0..<threads).compactMap { _ in SystemThread { [self] in work() } }
            for thread in started { thread.detach() }
            if started.isEmpty { return nil }
        }

        func enqueue(_ job: consuming ExecutorJob) {
            let job = UnownedJob(job)
            condition.withLock {
                jobs.append(job)
                condition.signal()
            }
        }

        private func work() {
            while true { unsafe taken().runSynchronously(on: asUnownedTaskExecutor()) }
        }

        /// The job that has waited longest; waits where there is none.
        private func taken() -> UnownedJob {
            condition.withLock {
                while first == jobs.count { condition.wait() }
                let job = jobs[first]
                first += 1
                if first == jobs.count || first == 1_024 {
                    jobs.removeFirst(first)
                    first = 0
                }
                return job
            }
        }
    }
#endif
