import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A thread of its own for long computations, so that they do not hold the threads that a server's tasks share.
final class ComputeThread: TaskExecutor {
    private let queue = Queue()
    private let thread: Mutex<pthread_t?>

    init() {
        var thread = pthread_t()
        let argument = unsafe Unmanaged.passRetained(queue)
        let code = unsafe pthread_create(
            &thread, nil,
            { argument in
                guard let argument = unsafe argument else { return nil }
                unsafe Unmanaged<Queue>.fromOpaque(argument).takeRetainedValue().work()
                return nil
            }, argument.toOpaque())
        self.thread = Mutex(code == 0 ? thread : nil)
        if code != 0 { unsafe argument.release() }
    }

    deinit {
        queue.stop()
        // The last reference may be dropped by a job on the thread itself, which cannot wait for its own end.
        thread.withLock { if let thread = $0 { pthread_detach(thread) } }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let executor = unsafe asUnownedTaskExecutor()
        guard thread.withLock({ $0 != nil }) else { return unsafe job.runSynchronously(on: executor) }
        queue.append { unsafe job.runSynchronously(on: executor) }
    }
}

/// Work for one thread, in order.
@safe private final class Queue: Sendable {
    private let jobs = Mutex<(waiting: [@Sendable () -> Void], stopped: Bool)>(([], false))
    private nonisolated(unsafe) let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private nonisolated(unsafe) let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init() {
        unsafe pthread_mutex_init(mutex, nil)
        unsafe pthread_cond_init(wake, nil)
    }

    deinit {
        unsafe pthread_cond_destroy(wake)
        unsafe pthread_mutex_destroy(mutex)
        unsafe wake.deallocate()
        unsafe mutex.deallocate()
    }

    func append(_ job: @escaping @Sendable () -> Void) {
        unsafe pthread_mutex_lock(mutex)
        jobs.withLock { $0.waiting.append(job) }
        unsafe pthread_cond_signal(wake)
        unsafe pthread_mutex_unlock(mutex)
    }

    func stop() {
        unsafe pthread_mutex_lock(mutex)
        jobs.withLock { $0.stopped = true }
        unsafe pthread_cond_signal(wake)
        unsafe pthread_mutex_unlock(mutex)
    }

    func work() {
        while let batch = next() {
            for job in batch { job() }
        }
    }

    /// The jobs that wait, or nil once stopped and empty.
    private func next() -> [@Sendable () -> Void]? {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        while true {
            let (batch, stopped) = jobs.withLock { state in
                defer { state.waiting = [] }
                return (state.waiting, state.stopped)
            }
            if !batch.isEmpty { return batch }
            if stopped { return nil }
            unsafe pthread_cond_wait(wake, mutex)
        }
    }
}
