import ArgumentParser
import Martlet
import MartletGeneration

/// How a text is continued, and where it ends: the same words for `generate` and `chat`.
struct SamplingOptions: ParsableArguments {
    @Option(help: "At most this many new tokens.")
    var maxTokens = 128

    @Option(help: "0 takes the most probable token; higher is more varied.")
    var temperature: Float = 0

    @Option(help: "Only the k most probable tokens; 0 keeps all.")
    var topK = 0

    @Option(help: "Only the most probable tokens that together have this probability.")
    var topP: Float = 1

    @Option(help: "Only tokens at least this times as probable as the most probable one.")
    var minP: Float = 0

    @Option(help: "Makes tokens that occurred less probable; 1 leaves them.")
    var repeatPenalty: Float = 1

    @Option(help: "The same seed gives the same text.")
    var seed: UInt64 = 0

    @Option(help: "End where this text begins (may be repeated).")
    var stop: [String] = []

    @Option(help: "What keys and values are kept as: f32, f16, bf16, q8_0.")
    var cache = CacheType.f32

    var options: GenerationOptions {
        GenerationOptions(
            maximumTokens: maxTokens, sampling: sampling, stopTexts: stop, cache: cache)
    }

    private var sampling: Sampling {
        Sampling(
            temperature: temperature, topK: topK, topP: topP, minP: minP, repeatPenalty: repeatPenalty, seed: seed)
    }

    func validate() throws {
        if let offence = sampling.offences.first { throw ValidationError(offence + ".") }
        if maxTokens < 0 { throw ValidationError("--max-tokens is \(maxTokens), but cannot be negative.") }
    }
}
