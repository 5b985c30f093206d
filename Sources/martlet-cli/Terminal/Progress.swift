import MartletPlatform
import Synchronization

/// The progress of long work, on standard error: nothing in the first two seconds, then a line that is written over on
/// a terminal, or a line every ten seconds without one. Silent where results go to the same terminal.
struct Progress: ~Copyable {
    private let began = ContinuousClock.now
    private var last: ContinuousClock.Instant?
    private let isTerminal = isatty(2) == 1
    private let isSilent = isatty(2) == 1 && isatty(1) == 1

    /// Says how far the work is, when it is time to.
    mutating func report(_ text: @autoclosure () -> String) {
        let now = ContinuousClock.now
        guard !isSilent, now - began > .seconds(2) else { return }
        if let last, now - last < (isTerminal ? .milliseconds(200) : .seconds(10)) { return }
        last = now
        if isTerminal { Output.line("\r\(text())\u{1B}[K") } else { Output.note("martlet: \(text())") }
    }

    /// Takes the line away.
    mutating func end() {
        if isTerminal, last != nil { Output.line("\r\u{1B}[K") }
        last = nil
    }
}

/// ``Progress`` for work that reports from closures.
final class SharedProgress: Sendable {
    private let progress = Mutex(Progress())

    func report(_ text: String) { progress.withLock { $0.report(text) } }
    func end() { progress.withLock { $0.end() } }
}
