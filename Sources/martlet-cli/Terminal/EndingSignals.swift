import MartletPlatform
import Synchronization

/// SIGINT, SIGTERM and SIGHUP end the command as ever, but what it has half written is removed first.
///
/// A handler may do next to nothing: it hands the number to a thread, which does it. Verbs that take a signal as a wish
/// put their own handler in place of this one.
enum EndingSignals {
    private static let writing = Atomic<Int32>(-1)

    /// Watches from now on; signals that came ignored stay so.
    ///
    /// - Returns: false where the system grants no thread.
    static func watch() -> Bool {
        var ends: [Int32] = [-1, -1]
        let hasPipe = unsafe pipe(&ends) == 0
        for end in ends where hasPipe { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let reading = ends[0]
        guard let thread = SystemThread({ if hasPipe { EndingSignals.end(onWordFrom: reading) } }) else { return false }
        guard hasPipe else {
            // Signals do what the system has them do; the thread only showed that there are threads.
            thread.join()
            return true
        }
        thread.detach()
        writing.store(ends[1], ordering: .relaxed)
        for number in [SIGINT, SIGTERM, SIGHUP] { take(number) }
        return true
    }

    private static func take(_ number: Int32) {
        let before = signal(number, SIG_IGN)
        if unsafe unsafeBitCast(before, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self) { return }
        signal(number) { number in
            let code = errno
            var word = UInt8(truncatingIfNeeded: number)
            _ = unsafe writeBytes(EndingSignals.writing.load(ordering: .relaxed), &word, 1)
            errno = code
        }
    }

    private static func end(onWordFrom descriptor: Int32) {
        var word: UInt8 = 0
        while unsafe read(descriptor, &word, 1) != 1 { guard errno == EINTR else { return } }
        UnfinishedFile.removeAll {
            signal(Int32(word), SIG_DFL)
            raise(Int32(word))
            _exit(128 + Int32(word))  // as the first process of a container, which no default action ends
        }
    }
}
