import MartletPlatform
import Synchronization

/// SIGINT, SIGTERM and SIGHUP end the command as ever, but what it has half written is removed first.
///
/// A handler may do next to nothing: it wakes a thread, which does it. Verbs that take a signal as a wish put their own
/// handler in place of this one.
enum EndingSignals {
    /// The semaphore by which the handler wakes the thread, for `sem_post` is one of the calls that it may make.
    nonisolated(unsafe) private static let wake = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    private static let number = Atomic<Int32>(0)
    private static let numbers = [SIGINT, SIGTERM, SIGHUP]

    /// Watches from now on; signals that came ignored stay so, those that came blocked do not: a process that was
    /// started by a thread which takes none could not be ended otherwise.
    ///
    /// - Returns: false where the system grants no thread.
    static func watch() -> Bool {
        unsafe sem_init(wake, 0, 0)
        unblock()
        guard let thread = SystemThread({ EndingSignals.waitAndEnd() }) else { return false }
        thread.detach()
        for number in numbers { take(number) }
        return true
    }

    /// Lets the signals through to this thread, and to those that it starts.
    private static func unblock() {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for number in numbers { unsafe sigaddset(&set, number) }
        unsafe pthread_sigmask(SIG_UNBLOCK, &set, nil)
    }

    private static func take(_ number: Int32) {
        let before = signal(number, SIG_IGN)
        if unsafe unsafeBitCast(before, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self) { return }
        signal(number) { number in
            let code = errno
            EndingSignals.number.store(number, ordering: .relaxed)
            unsafe sem_post(EndingSignals.wake)
            errno = code
        }
    }

    private static func waitAndEnd() {
        while unsafe sem_wait(wake) != 0 {}
        let number = number.load(ordering: .relaxed)
        TerminalMode.restore()
        UnfinishedFile.removeAll {
            signal(number, SIG_DFL)
            raise(number)
            _exit(128 + number)  // as the first process of a container, which no default action ends
        }
    }
}
