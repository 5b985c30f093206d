import MartletGeneration
import MartletJSON
import MartletTokenizers

/// The choices of one request while they are written: submits them to the engine and reads what comes, in order.
///
/// One reader. Ends with an error, or when every choice has ended.
final class Generation: Sendable {
    /// An event that a reader sees.
    enum Event: Sendable {
        case began(choice: Int, cachedTokens: Int)
        case token(choice: Int, SampledToken)
        case guessed(choice: Int, GuessCounts)
        case finished(choice: Int, FinishReason)
        case failed(choice: Int?, any Error)
        /// A ping, where nothing happened for a while: the connection is kept alive.
        case ping
        case deadline
    }

    private let events = EventQueue<Event>()
    private let stops: [@Sendable () -> Void]
    private let timer: Task<Void, Never>

    /// - Parameters:
    ///   - requests: One for each choice.
    ///   - cancellation: Ends all of them when the client has gone.
    init(
        _ requests: [TokenRequest], on engine: any TextEngine, cancellation: Cancellation, limits: ServiceLimits
    ) {
        let events = events
        stops = requests.enumerated().map { choice, request in
            engine.submit(request) { event in
                switch event {
                case .began(let cached): events.post(.began(choice: choice, cachedTokens: cached))
                case .token(let token): events.post(.token(choice: choice, token))
                case .guessed(let counts): events.post(.guessed(choice: choice, counts))
                case .finished(let reason): events.post(.finished(choice: choice, reason))
                case .failed(let error): events.post(.failed(choice: choice, error))
                }
            }
        }
        timer = Task {
            let end = ContinuousClock.now + .seconds(limits.requestSeconds)
            while !Task.isCancelled {
                let next = min(end, ContinuousClock.now + .seconds(limits.pingSeconds))
                guard (try? await Task.sleep(until: next, clock: .continuous)) != nil else { return }
                events.post(next == end ? .deadline : .ping)
                if next == end { return }
            }
        }
        let stops = stops
        cancellation.onCancel { reason in
            for stop in stops { stop() }
            events.post(.failed(choice: nil, reason))
        }
    }

    /// Returns the events since the last call, at least one.
    func next() async -> [Event] { await events.next() }

    /// Ends one choice early: a stop text was found.
    func stop(choice: Int) { stops[choice]() }

    /// Ends everything that still runs.
    func end() {
        timer.cancel()
        for stop in stops { stop() }
        events.close()
    }

    deinit { end() }
}
