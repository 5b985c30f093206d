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
