/// A thread of its own, apart from those that Swift's tasks share.
package struct SystemThread: Sendable {
    private let handle: pthread_t

    /// The stack of every thread, in bytes, whatever the system's or the C library's default is (musl's is 128 KiB).
    /// Pages that are never touched cost nothing; all recursion on input has a depth that fits.
    package static let stackSize = 8 << 20

    /// Runs `work` on a new thread; nil when the system grants none.
    package init?(_ work: @escaping @Sendable () -> Void) {
        final class Work: Sendable {
            let body: @Sendable () -> Void
            init(_ body: @escaping @Sendable () -> Void) { self.body = body }
        }
        var handle = pthread_t()
        var attributes = pthread_attr_t()
        guard unsafe pthread_attr_init(&attributes) == 0 else { return nil }
        defer { unsafe pthread_attr_destroy(&attributes) }
        guard unsafe pthread_attr_setstacksize(&attributes, SystemThread.stackSize) == 0 else { return nil }
        let argument = unsafe Unmanaged.passRetained(Work(work))
        let code = unsafe pthread_create(
            &handle, &attributes,
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

    /// Waits for its end.
    ///
    /// - Precondition: neither joined nor detached before.
    package func join() { pthread_join(handle, nil) }

    /// Lets it end by itself.
    package func detach() { pthread_detach(handle) }
}

extension SystemThread {
    /// A number that tells the calling thread from all others that are alive.
    package static var identity: UInt {
        #if canImport(Musl)
            UInt(bitPattern: pthread_self())
        #else
            UInt(pthread_self())
        #endif
    }
}
