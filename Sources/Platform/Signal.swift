/// A condition variable with its lock: threads sleep on it until another changes what it guards.
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

    /// Sleeps until `wakeAll`, or for no reason.
    ///
    /// - Precondition: called inside `withLock`.
    package func sleep() { unsafe pthread_cond_wait(condition, mutex) }

    /// Sleeps until `wakeAll`, for no reason, or for `seconds`.
    ///
    /// - Precondition: called inside `withLock`.
    package func sleep(seconds: Double) {
        var end = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &end)
        let whole = min(max(0, seconds), 1e6).rounded(.down)
        let nanoseconds = end.tv_nsec + Int((min(max(0, seconds), 1e6) - whole) * 1e9)
        end.tv_sec += Int(whole) + nanoseconds / 1_000_000_000
        end.tv_nsec = nanoseconds % 1_000_000_000
        unsafe pthread_cond_timedwait(condition, mutex, &end)
    }

    /// Wakes those who sleep.
    ///
    /// - Precondition: called inside `withLock`.
    package func wake() { unsafe pthread_cond_broadcast(condition) }

    /// Wakes those who sleep, after `change` under the lock.
    package func wakeAll(after change: () -> Void = {}) {
        withLock {
            change()
            wake()
        }
    }
}
