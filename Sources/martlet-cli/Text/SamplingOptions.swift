import ArgumentParser
import Martlet
import MartletGeneration

/// The options for continuing a text, and for its end: the same words for `generate` and `chat`. What is absent is as
/// the model's files say.
struct SamplingOptions: ParsableArguments {
    @Option(help: "The maximum number of new tokens (default: from the model's files, else 128).")
    var maxTokens: Int?

    @Option(
        help: "The sampling temperature; 0 takes the most probable token (default: from the model's files, else 0).")
    var temperature: Float?

    @Option(help: "Sample from the k most probable tokens; 0 keeps all.")
    var topK: Int?

    @Option(help: "Sample from the most probable tokens that together have this probability.")
    var topP: Float?

    @Option(help: "Sample from tokens at least this many times as probable as the most probable one.")
    var minP: Float?

    @Option(help: "Sample from the tokens of most typical surprise that together have this probability.")
    var typicalP: Float?

    @Option(help: "Divide the logits of tokens that have occurred by this; 1 changes nothing.")
    var repeatPenalty: Float?

    @Option(help: "Subtract this from the logits of tokens that have been written.")
    var presencePenalty: Float?

    @Option(help: "Subtract this from the logits of written tokens, once per occurrence.")
    var frequencyPenalty: Float?

    @Option(help: ArgumentHelp("Add a bias to a token's logit (may be repeated).", valueName: "token=bias"))
    var logitBias: [LogitBias] = []

    @Option(help: "The seed of the sampling; the same seed gives the same text.")
    var seed: UInt64 = 0

    @Option(help: "Stop before this text (may be repeated).")
    var stop: [String] = []

    @Option(help: "The element type of the KV cache.")
    var cache = CacheType.f32

    @Option(help: "Where options that are not given come from: the model's generation_config.json (model), or nowhere.")
    var defaults = Defaults.model

    enum Defaults: String, ExpressibleByArgument, CaseIterable { case model, none }

    /// The settings of a model's files under those that were given.
    ///
    /// - Parameter verbose: whether what the files say is told; what they ask for and is not done is told always.
    func defaults(of model: LanguageModel, verbose: Bool) -> GenerationDefaults {
        guard defaults == .model else { return .none }
        if verbose {
            for setting in model.defaults.stated { Output.note("martlet: the model's files say \(setting)") }
        }
        for setting in model.defaults.unsupported {
            Output.note("martlet: the model's files ask for \(setting), which is not done here")
        }
        return model.defaults
    }

    /// The options of a generation behind a prompt of `count` tokens.
    func options(_ defaults: GenerationDefaults, after count: Int = 0) -> GenerationOptions {
        var options = GenerationOptions(defaults, after: count)
        apply(to: &options.sampling)
        if let maxTokens { options.maximumTokens = maxTokens }
        // The penalty of the files acts with the other rules; one that is given stands in its place.
        if let repeatPenalty { options.rules.repetitionPenalty = repeatPenalty }
        options.stopTexts += stop
        options.cache = cache
        return options
    }

    private func apply(to sampling: inout Sampling) {
        if let temperature { sampling.temperature = temperature }
        if let topK { sampling.topK = topK }
        if let topP { sampling.topP = topP }
        if let minP { sampling.minP = minP }
        if let typicalP { sampling.typicalP = typicalP }
        if let presencePenalty { sampling.presencePenalty = presencePenalty }
        if let frequencyPenalty { sampling.frequencyPenalty = frequencyPenalty }
        sampling.logitBias = Dictionary(logitBias.map { ($0.token, $0.bias) }, uniquingKeysWith: { $0 + $1 })
        sampling.seed = seed
    }

    /// - Throws: ``UsageError`` for tokens that the model does not have.
    func check(vocabulary: Int) throws(UsageError) {
        guard let wrong = logitBias.first(where: { !(0..<vocabulary).contains(Int($0.token)) }) else { return }
        throw UsageError("--logit-bias: token \(wrong.token) is none of the model's \(vocabulary)")
    }

    /// True where something was asked for that a search for the most probable text does not do.
    var isSampled: Bool { temperature ?? 0 != 0 || !stop.isEmpty || cache != .f32 }

    func validate() throws {
        var sampling = Sampling.greedy
        apply(to: &sampling)
        sampling.repeatPenalty = repeatPenalty ?? 1
        if let offence = sampling.offences.first { throw ValidationError(offence + ".") }
        if let maxTokens, maxTokens < 0 {
            throw ValidationError("--max-tokens is \(maxTokens), but cannot be negative.")
        }
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
