import MartletPlatform

/// Which tokens may not, or must, come next. They act on log-probabilities in the reference's order.
public struct TokenRules: Sendable, Hashable {
    /// What becomes of the probabilities of the other tokens when some may not come.
    public enum Remainder: String, Sendable, Hashable, Codable {
        /// They stay: transformers.
        case asItIs
        /// They sum to 1 again: CTranslate2, and transformers with `renormalize_logits`.
        case renormalised
    }

    /// The probabilities of the other tokens when some may not come.
    public var remainder = Remainder.asItIs
    /// No run of this many tokens occurs twice; 0 lets all.
    public var noRepeatNGram = 0
    /// Tokens, or runs of tokens, that never occur.
    public var badWords: [[Int32]] = []
    /// A stop token does not come before this many new tokens.
    public var minimumNewTokens = 0
    /// The first token after a start token that stands alone.
    public var forcedFirst: Int32?
    /// The token at the longest length.
    public var forcedLast: Int32?
    /// Tokens that never come.
    public var suppressed: [Int32] = []
    /// Tokens that do not come first.
    public var suppressedFirst: [Int32] = []
    /// Scores of tokens that occurred, prompt included, are divided by this when positive, multiplied when negative
    /// (arXiv:1909.05858); 1 leaves them.
    public var repetitionPenalty: Float = 1
    /// Scores of the tokens that were read are multiplied by this when positive, divided when negative; 1 leaves them.
    public var encoderRepetitionPenalty: Float = 1
    /// Added to the score of the last token of a run whose other tokens the text ends in.
    public var sequenceBias: [SequenceBias] = []
    /// The longer a text gets beyond a length, the more its end is favoured.
    public var decay: EndDecay?

    /// A run of tokens, and what is added to the score of its last one.
    public struct SequenceBias: Sendable, Hashable {
        /// The run of tokens.
        public var tokens: [Int32]
        /// The addend to the log-probability of its last token.
        public var bias: Float
        /// A bias on a run of tokens.
        public init(tokens: [Int32], bias: Float) { (self.tokens, self.bias) = (tokens, bias) }
    }

    /// From `start` new tokens on, stop tokens gain |score| · (factor^n − 1), n being the tokens beyond.
    public struct EndDecay: Sendable, Hashable {
        /// The new tokens after which the decay begins.
        public var start: Int
        /// The factor by which each further token makes an end more probable.
        public var factor: Float
        /// A decay that begins after `start` new tokens.
        public init(start: Int, factor: Float) { (self.start, self.factor) = (start, factor) }
    }

    /// No rules.
    public init() {}

    /// Whether any score is changed rather than a token forbidden or forced.
    var changesScores: Bool {
        repetitionPenalty != 1 || encoderRepetitionPenalty != 1 || !sequenceBias.isEmpty || decay != nil
    }

    /// Whether nothing is said.
    package var isEmpty: Bool { self == TokenRules() }

    /// What a step of a search looks like to the rules.
    package struct Step {
        /// The prompt (an encoder-decoder's start token) and what followed.
        package let tokens: [Int32]
        package let promptCount: Int
        /// New tokens at most.
        package let maximumNewTokens: Int
        package let stopTokens: Set<Int32>
        /// What an encoder read; the prompt in a decoder.
        package var source: [Int32] = []

        package init(
            tokens: [Int32], promptCount: Int, maximumNewTokens: Int, stopTokens: Set<Int32>, source: [Int32] = []
        ) {
            (self.tokens, self.promptCount, self.maximumNewTokens) = (tokens, promptCount, maximumNewTokens)
            (self.stopTokens, self.source) = (stopTokens, source)
        }

        var newTokens: Int { tokens.count - promptCount }
    }

    /// What the rules say of the next token.
    struct Verdict {
        /// Tokens that may not come, in no order, some perhaps twice.
        var forbidden: [Int32] = []
        /// The only token that may come, if there is one and it is not forbidden.
        var forced: Int32?
    }

    func verdict(_ step: Step) -> Verdict {
        var verdict = Verdict(forbidden: repeating(step.tokens))
        for word in badWords where ends(step.tokens, as: word, stops: step.stopTokens) {
            if let last = word.last { verdict.forbidden.append(last) }
        }
        if step.newTokens < minimumNewTokens { verdict.forbidden += step.stopTokens }
        // What must come may come, whatever was forbidden before.
        if let forcedFirst, step.tokens.count == 1 { verdict = Verdict(forced: forcedFirst) }
        if let forcedLast, step.newTokens == step.maximumNewTokens - 1 { verdict = Verdict(forced: forcedLast) }
        verdict.forbidden += suppressed
        if step.newTokens == 0 { verdict.forbidden += suppressedFirst }
        return verdict
    }

    /// The tokens that would complete a run of `noRepeatNGram` that has occurred.
    private func repeating(_ tokens: [Int32]) -> [Int32] {
        let size = noRepeatNGram
        guard size > 0, tokens.count >= size else { return [] }
        let last = tokens.suffix(size - 1)
        return (0...tokens.count - size).compactMap { start in
            tokens[start..<start + size - 1].elementsEqual(last) ? tokens[start + size - 1] : nil
        }
    }

    /// Whether `tokens` end in all of `word` but its last token. A word that is a stop token alone is no bad word.
    func ends(_ tokens: [Int32], as word: [Int32], stops: Set<Int32>) -> Bool {
        guard let last = word.last, word.count > 1 || !stops.contains(last), word.count <= tokens.count else {
            return false
        }
        return tokens.suffix(word.count - 1).elementsEqual(word.dropLast())
    }

    /// What is wrong with these rules for a vocabulary of this many tokens.
    package func offences(vocabulary: Int) -> [String] {
        let named =
            badWords.flatMap { $0 } + sequenceBias.flatMap(\.tokens) + suppressed + suppressedFirst
            + [forcedFirst, forcedLast].compactMap { $0 }
        var offences: [String] = []
        if let wrong = named.first(where: { $0 < 0 || $0 >= vocabulary }) {
            offences.append("token \(wrong) of the rules is not in the vocabulary of \(vocabulary)")
        }
        for (name, penalty) in [
            ("repetition", repetitionPenalty), ("encoder repetition", encoderRepetitionPenalty),
        ] where !(0.01...100).contains(penalty) {
            offences.append("\(name) penalty is \(penalty), but lies between 0.01 and 100")
        }
        if let decay, !(decay.factor > 0 && decay.factor <= 100) {
            offences.append("a factor of \(decay.factor) for texts that are too long")
        }
        if noRepeatNGram < 0 { offences.append("runs of \(noRepeatNGram) tokens cannot be forbidden to repeat") }
        if minimumNewTokens < 0 { offences.append("\(minimumNewTokens) new tokens cannot be the least") }
        return offences
    }
}
