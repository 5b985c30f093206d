/// Work in several threads of the system's, for calls that are not asynchronous.
package enum Threads {
    /// Runs `body` once for each number below `count`, in as many threads, and waits for all.
    package static func run(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
        var threads: [SystemThread] = []
        for index in stride(from: 1, to: count, by: 1) {
            if let thread = SystemThread({ body(index) }) {
                threads.append(thread)
            } else {
                // No thread to be had: the work is done here.
                body(index)
            }
        }
        body(0)
        for thread in threads { thread.join() }
    }
}
