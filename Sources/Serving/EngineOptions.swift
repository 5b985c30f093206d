package import MartletTensors

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

extension EngineOptions {
    /// The offences of these numbers, each with its remedy.
    var offences: [String] {
        var offences: [String] = []
        if !(1...1_024).contains(maximumSequences) {
            offences.append("\(maximumSequences) sequences at once: give between 1 and 1024")
        }
        if let cacheBytes, cacheBytes < 1 { offences.append("a cache of \(cacheBytes) bytes: give at least one block") }
        if let guesses, !(0...64).contains(guesses) { offences.append("\(guesses) guesses: give between 0 and 64") }
        if !(1...60_000).contains(stepMilliseconds) {
            offences.append("steps of \(stepMilliseconds) ms: give between 1 and 60000")
        }
        if waitingRequests < 1 || waitingRequestsPerTenant < 1 || waitingTokens < 1 {
            offences.append("no request may wait: give at least 1")
        }
        return offences
    }
}
