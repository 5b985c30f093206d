/// The advice to clients who are refused: the seconds after which to come again (`Retry-After`).
///
/// Whoever is refused is taken to come back when told to and to be answered before the next one. Told a second each,
/// ten times more clients than are answered at once would take a good part of the machine by being refused.
package struct RetryAdvice: Sendable {
    /// The longest advice in seconds.
    package static let most = 60

    private let began: ContinuousClock.Instant
    /// The clients that are told to come back, by the second in which they do, from the one that runs on.
    private var due = [Int](repeating: 0, count: most + 1)
    /// The second that runs.
    private var second = 0

    package init(at now: ContinuousClock.Instant = .now) { began = now }

    /// The advice to one more who is refused at `now`.
    ///
    /// - Parameters:
    ///   - seconds: The mean seconds of an answer.
    ///   - limit: The requests that are answered at once.
    package mutating func refuse(at now: ContinuousClock.Instant, answering seconds: Double, limit: Int) -> Int {
        let current = max(second, Int((now - began).components.seconds))
        for passed in 0..<min(current - second, due.count) { due[(second + passed) % due.count] = 0 }
        second = current
        let waiting = due.reduce(0, +)
        let wanted = seconds * (1 + Double(waiting) / Double(max(1, limit)))
        let advice = Int(max(1, min(Double(RetryAdvice.most), wanted.rounded(.up))))
        due[(second + advice) % due.count] += 1
        return advice
    }
}
