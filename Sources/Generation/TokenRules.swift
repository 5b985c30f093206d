import MartletPlatform

/// The rules for tokens that may not, or must, come next (logits processors). They act on log-probabilities in the
/// reference's order.
public struct TokenRules: Sendable, Hashable {
    /// The treatment of the other tokens' probabilities when some may not come.
    public enum Remainder: String, Sendable, Hashable, Codable {
        /// The probabilities stay as they are: transformers.
        case asItIs
        /// The probabilities sum to 1 again: CTranslate2, and transformers with `renormalize_logits`.
        case renormalised
    }

    /// The probabilities of the other tokens when some may not come.
    public var remainder = Remainder.asItIs
    /// The length of n-grams that are blocked: no run of this many tokens occurs twice; 0 lets all.
    public var noRepeatNGram = 0
    /// The length of n-grams of what was read that are blocked: no run of this many of its tokens is written; 0 lets
    /// all.
    public var encoderNoRepeatNGram = 0
    /// The bad words: tokens, or runs of tokens, that never occur.
    public var badWords: [[Int32]] = []
    /// The minimum number of new tokens: a stop token does not come before.
    public var minimumNewTokens = 0
    /// The forced first token after a start token that stands alone.
    public var forcedFirst: Int32?
    /// The forced token at the longest length.
    public var forcedLast: Int32?
    /// The suppressed tokens, which never come.
    public var suppressed: [Int32] = []
    /// The tokens that are suppressed at the beginning: they do not come first.
    public var suppressedFirst: [Int32] = []
    /// The repetition penalty, by which scores of tokens that occurred, prompt included, are divided when positive,
    /// multiplied when negative (arXiv:1909.05858); 1 leaves them.
    public var repetitionPenalty: Float = 1
    /// The encoder repetition penalty, by which scores of the tokens that were read are multiplied when positive,
    /// divided when negative; 1 leaves them.
    public var encoderRepetitionPenalty: Float = 1
    /// Sequence biases, each added to the score of the last token of a run whose other tokens the text ends in.
    public var sequenceBias: [SequenceBias] = []
    /// The exponential decay, by which the end is favoured the more, the longer a text gets beyond a length.
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

    /// The exponential decay of a text's length: from `start` new tokens on, stop tokens gain |score| · (factor^n − 1),
    /// n being the tokens beyond.
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

    /// True where any score is changed rather than a token forbidden or forced.
    var changesScores: Bool {
        repetitionPenalty != 1 || encoderRepetitionPenalty != 1 || !sequenceBias.isEmpty || decay != nil
    }

    /// True where there are no rules.
    package var isEmpty: Bool { self == TokenRules() }

    /// A step of a search, as the rules see it.
    package struct Step {
        /// The prompt (an encoder-decoder's start token) and what followed.
        package let tokens: [Int32]
        package let promptCount: Int
        /// The maximum number of new tokens.
        package let maximumNewTokens: Int
        package let stopTokens: Set<Int32>
        /// The tokens that an encoder read; the prompt in a decoder.
        package var source: [Int32] = []

        package init(
            tokens: [Int32], promptCount: Int, maximumNewTokens: Int, stopTokens: Set<Int32>, source: [Int32] = []
        ) {
            (self.tokens, self.promptCount, self.maximumNewTokens) = (tokens, promptCount, maximumNewTokens)
            (self.stopTokens, self.source) = (stopTokens, source)
        }

        var newTokens: Int { tokens.count - promptCount }
    }

    /// The verdict of the rules on the next token.
    struct Verdict {
        /// Tokens that may not come, in no order, some perhaps twice.
        var forbidden: [Int32] = []
        /// The only token that may come, if there is one and it is not forbidden.
        var forced: Int32?
    }

    func verdict(_ step: Step) -> Verdict {
        var verdict = Verdict(
            forbidden: repeating(step.tokens, of: step.tokens, noRepeatNGram)
                + repeating(step.tokens, of: step.source, encoderNoRepeatNGram))
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

    /// The tokens that would complete a run of `size` tokens which `others` have.
    private func repeating(_ tokens: [Int32], of others: [Int32], _ size: Int) -> [Int32] {
        guard size > 0, tokens.count >= size - 1, others.count >= size else { return [] }
        let last = tokens.suffix(size - 1)
        return (0...others.count - size).compactMap { start in
            others[start..<start + size - 1].elementsEqual(last) ? others[start + size - 1] : nil
        }
    }

    /// Returns whether `tokens` end in all of `word` but its last token. A word that is a stop token alone is no bad
    /// word.
    func ends(_ tokens: [Int32], as word: [Int32], stops: Set<Int32>) -> Bool {
        guard let last = word.last, word.count > 1 || !stops.contains(last), word.count <= tokens.count else {
            return false
        }
        return tokens.suffix(word.count - 1).elementsEqual(word.dropLast())
    }

    /// The offences of these rules for a vocabulary of this many tokens.
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
            offences.append("\(name) penalty is \(penalty), but must be between 0.01 and 100")
        }
        if let decay, !(decay.factor > 0 && decay.factor <= 100) {
            offences.append("a factor of \(decay.factor) for texts that are too long")
        }
        for size in [noRepeatNGram, encoderNoRepeatNGram] where size < 0 {
            offences.append("runs of \(size) tokens cannot be forbidden to repeat")
        }
        if minimumNewTokens < 0 { offences.append("\(minimumNewTokens) new tokens cannot be the least") }
        return offences
    }
}
