/// The clock of a request: when its parts happened, for the histograms.
struct RequestClock {
    private let arrival: ContinuousClock.Instant
    private var last: [ContinuousClock.Instant?]
    private var began: [ContinuousClock.Instant?]
    private var first: [ContinuousClock.Instant?]

    init(choices: Int, since arrival: ContinuousClock.Instant) {
        self.arrival = arrival
        (last, began) = (Array(repeating: nil, count: choices), Array(repeating: nil, count: choices))
        first = last
    }

    /// The times of reading the prompt and of writing the first choice.
    var durations: (reading: Duration, writing: Duration) {
        guard let began = began.first ?? nil, let first = first.first ?? nil, let last = last.first ?? nil else {
            return (.zero, .zero)
        }
        return (first - began, last - first)
    }

    mutating func began(_ choice: Int, _ metrics: ServiceMetrics) {
        began[choice] = .now
        metrics.observe(.queue, ContinuousClock.now - arrival)
    }

    mutating func token(_ choice: Int, _ metrics: ServiceMetrics) {
        let now = ContinuousClock.now
        if let last = last[choice] {
            metrics.observe(.betweenTokens, now - last)
        } else {
            first[choice] = now
            metrics.observe(.firstToken, now - arrival)
            if let began = began[choice] { metrics.observe(.prefill, now - began) }
        }
        last[choice] = now
    }

    func ended(_ metrics: ServiceMetrics) { metrics.observe(.whole, ContinuousClock.now - arrival) }
}
