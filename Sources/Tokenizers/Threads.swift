#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Work in several threads of the system's, for calls that are not asynchronous.
package enum Threads {
    /// The processors that this process may use.
    package static var available: Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }

    private final class Job {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// Runs `body` once for each number below `count`, in as many threads, and waits for all.
    package static func run(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
        var threads: [pthread_t] = []
        for index in stride(from: 1, to: count, by: 1) {
            let job = unsafe Unmanaged.passRetained(Job { body(index) })
            var thread = pthread_t()
            let failure = unsafe pthread_create(
                &thread, nil,
                { pointer in
                    guard let pointer = unsafe pointer else { return nil }
                    unsafe Unmanaged<Job>.fromOpaque(pointer).takeRetainedValue().body()
                    return nil
                }, job.toOpaque())
            if failure == 0 {
                threads.append(thread)
            } else {
                // No thread to be had: the work is done here.
                unsafe job.takeRetainedValue().body()
            }
        }
        body(0)
        for thread in threads { pthread_join(thread, nil) }
    }
}
