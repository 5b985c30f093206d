package import MartletGeneration
import MartletPlatform
package import MartletTensors

/// A request to an engine: continue these tokens.
package struct EngineRequest: Sendable {
    /// The prompt.
    package var tokens: [Int32]
    /// The maximum number of new tokens.
    package var maximumTokens: Int
    package var sampling: Sampling
    /// Tokens that end the text; they are not part of it.
    package var stopTokens: Set<Int32>
    /// The rules for tokens that may not, or must, come next, by the whole text.
    package var rules = TokenRules()
    /// The constraint on which tokens may come: a schema, a grammar.
    package var constraint: (any TokenConstraint)?
    /// Speculative decoding by prompt look-up: what followed earlier in the text is guessed to follow again, and
    /// verified several tokens at once while rows cost little. The tokens are the same.
    package var guesses = false
    /// Speculative decoding by the engine's draft model, where it has one. The tokens are the same.
    package var isDrafted = true
    /// The adapter over the engine's model that writes, by number; nil for the model alone.
    package var adapter: Int?
    /// The number of most probable tokens that are scored beside the chosen one; nil scores none.
    package var scored: Int?
    /// The priority: higher is admitted first and preempted last.
    package var priority = 0
    /// The deadline at which the request is given up, finished or not.
    package var deadline: ContinuousClock.Instant?
    /// The tenant whose request it is: queues are bounded, and admission takes turns, by tenant.
    package var tenant = 0
    /// The namespace: requests of one share the KV cache of equal beginnings; nil shares with nobody. The bits are the
    /// same.
    package var namespace: Int?

    package init(
        tokens: [Int32], maximumTokens: Int = 128, sampling: Sampling = .greedy, stopTokens: Set<Int32> = []
    ) {
        (self.tokens, self.maximumTokens) = (tokens, maximumTokens)
        (self.sampling, self.stopTokens) = (sampling, stopTokens)
    }
}

/// The settings of an engine.
package struct EngineOptions: Sendable, Hashable {
    /// The maximum number of sequences that are written at once.
    package var maximumSequences = 32
    /// The element type of the KV cache: f32, f16, bf16 or q8_0.
    package var cache: ElementType = .f32
    /// The maximum size of the KV cache in bytes, shared beginnings included; nil for what the sequences need, but not
    /// more than a quarter of the memory that is to be had.
    package var cacheBytes: Int?
    /// The number of tokens that are guessed of each text before a step, by look-up and by a draft model; nil for as
    /// many as pay.
    package var guesses: Int?
    /// The milliseconds that a step may take which reads prompts beside writing.
    package var stepMilliseconds = 60.0
    /// The maximum number of requests that wait; more are refused.
    package var waitingRequests = 256
    package var waitingRequestsPerTenant = 256
    /// The maximum number of prompt tokens of all that wait; more are refused.
    package var waitingTokens = 65_536

    package init() {}
}

/// The reason why an engine does not take a request, or does not finish it.
package enum EngineError: MartletError, Hashable {
    /// A request with offences, everything that is wrong with it.
    case invalid([String])
    /// A queue in which too much waits; the numbers.
    case overloaded(String)
    /// The deadline has passed.
    case expired
    /// The engine has been stopped.
    case stopped
    /// A constraint lets no token come.
    case unsatisfiable(String)

    package var cause: String {
        switch self {
        case .invalid(let offences): offences.joined(separator: "; ")
        case .overloaded(let numbers): "the model is busy: \(numbers)"
        case .expired: "the request's deadline has passed"
        case .stopped: "the model's engine has been stopped"
        case .unsatisfiable(let reason): "no token may follow: \(reason)"
        }
    }

    package var remedy: String? {
        switch self {
        case .invalid: nil
        case .overloaded: "Try again later"
        case .expired: "Allow more time, or ask for fewer tokens"
        case .stopped: "Make a new one"
        case .unsatisfiable: "Relax the schema or the grammar"
        }
    }

    package var offences: [String] { if case .invalid(let offences) = self { offences } else { [cause] } }
}
