import MartletAPI
import Testing

/// The advice to refused clients, after how many seconds to come again.
@Suite struct RetryAdviceTests {
    private let start = ContinuousClock.now

    @Test func oneIsToldTheTimeOfAnAnswer() {
        var advice = RetryAdvice(at: start)
        #expect(advice.refuse(at: start, answering: 0.2, limit: 32) == 1)
        // After it has come back, and long after.
        #expect(advice.refuse(at: start + .seconds(2), answering: 3, limit: 32) == 3)
        #expect(advice.refuse(at: start + .seconds(500), answering: 3, limit: 32) == 3)
        #expect(advice.refuse(at: start + .seconds(600), answering: 1_000, limit: 32) == 60)
    }

    /// The order of answers, first come first served: with 32 at once and an answer a second, the 33rd is told two
    /// seconds.
    @Test func manyAreToldToComeOneAfterAnother() {
        var advice = RetryAdvice(at: start)
        let told = (0..<288).map { _ in advice.refuse(at: start, answering: 1, limit: 32) }
        #expect(told == (0..<288).map { 1 + ($0 + 31) / 32 })
        // In the second after, 33 have come back: one of the first, and 32 after it.
        #expect(advice.refuse(at: start + .seconds(3), answering: 1, limit: 32) == 9)
    }

    /// Clients that do as they are told are refused as often as others are answered.
    @Test func refusalsBecomeFew() {
        var advice = RetryAdvice(at: start)
        var due = [Int](repeating: 0, count: 200)
        due[0] = 288
        var refused: [Int] = []
        for second in 0..<60 {
            refused.append(due[second])
            for _ in 0..<due[second] {
                due[second + advice.refuse(at: start + .seconds(second), answering: 1, limit: 32)] += 1
            }
        }
        #expect(refused[20...].allSatisfy { $0 <= 64 })
    }
}
