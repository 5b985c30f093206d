#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A thread of its own, apart from those that Swift's tasks share.
package struct SystemThread: Sendable {
    private let handle: pthread_t

    /// Runs `work` on a new thread; nil when the system grants none.
    package init?(_ work: @escaping @Sendable () -> Void) {
        final class Work: Sendable {
            let body: @Sendable () -> Void
            init(_ body: @escaping @Sendable () -> Void) { self.body = body }
        }
        var handle = pthread_t()
        let argument = unsafe Unmanaged.passRetained(Work(work))
        let code = unsafe pthread_create(
            &handle, nil,
            { argument in
                guard let argument = unsafe argument else { return nil }
                unsafe Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().body()
                return nil
            }, argument.toOpaque())
        guard code == 0 else {
            unsafe argument.release()
            return nil
        }
        self.handle = handle
    }

    /// Waits for its end. - Precondition: neither joined nor detached before.
    package func join() { pthread_join(handle, nil) }

    /// Lets it end by itself.
    package func detach() { pthread_detach(handle) }
}

/// A lock that threads can sleep on until another changes what it guards.
@safe package final class Signal: Sendable {
    private nonisolated(unsafe) let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private nonisolated(unsafe) let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    package init() {
        unsafe pthread_mutex_init(mutex, nil)
        unsafe pthread_cond_init(condition, nil)
    }

    deinit {
        unsafe pthread_cond_destroy(condition)
        unsafe pthread_mutex_destroy(mutex)
        unsafe condition.deallocate()
        unsafe mutex.deallocate()
    }

    package func withLock<Result>(_ body: () -> Result) -> Result {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        return body()
    }

    /// Sleeps until `wakeAll`, or for no reason. - Precondition: called inside `withLock`.
    package func sleep() { unsafe pthread_cond_wait(condition, mutex) }

    /// Wakes those who sleep, after `change` under the lock.
    package func wakeAll(after change: () -> Void = {}) {
        withLock {
            change()
            unsafe pthread_cond_broadcast(condition)
        }
    }
}
