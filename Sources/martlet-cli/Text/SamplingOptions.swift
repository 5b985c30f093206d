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

    @Option(help: "Only tokens about as surprising as is usual here, that together have this probability.")
    var typicalP: Float = 1

    @Option(help: "Makes tokens that occurred less probable; 1 leaves them.")
    var repeatPenalty: Float = 1

    @Option(help: "Taken from the logits of tokens that have been written.")
    var presencePenalty: Float = 0

    @Option(help: "Taken from the logits of tokens that have been written, for each time.")
    var frequencyPenalty: Float = 0

    @Option(help: ArgumentHelp("Added to the logit of a token (may be repeated).", valueName: "token=bias"))
    var logitBias: [LogitBias] = []

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
            temperature: temperature, topK: topK, topP: topP, minP: minP, typicalP: typicalP,
            repeatPenalty: repeatPenalty, presencePenalty: presencePenalty, frequencyPenalty: frequencyPenalty,
            logitBias: Dictionary(logitBias.map { ($0.token, $0.bias) }, uniquingKeysWith: { $0 + $1 }), seed: seed)
    }

    func validate() throws {
        if let offence = sampling.offences.first { throw ValidationError(offence + ".") }
        if maxTokens < 0 { throw ValidationError("--max-tokens is \(maxTokens), but cannot be negative.") }
    }
}

/// A token's id and what is added to its logit: `50256=-100`.
struct LogitBias: ExpressibleByArgument {
    let token: Int32
    let bias: Float

    init?(argument: String) {
        let parts = argument.split(separator: "=", omittingEmptySubsequences: false)
        guard parts.count == 2, let token = Int32(parts[0]), let bias = Float(parts[1]) else { return nil }
        (self.token, self.bias) = (token, bias)
    }
}
