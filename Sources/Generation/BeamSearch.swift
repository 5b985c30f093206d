import MartletTensors

/// Beam search: the most probable continuations that `beams` running ones lead to.
///
/// The semantics are those of transformers' `generate`: each step keeps max(2, 1 + stop tokens) · beams candidates;
/// those among the best `beams` that end are finished, with their log-probability divided by length^penalty; the best
/// that do not end run on. One beam is greedy decoding.
public struct BeamSearch: Sendable {
    /// The early stopping of a search: when it is over, besides at the longest length.
    public enum EarlyStopping: String, Sendable, Hashable, Codable {
        /// The search is over as soon as there are as many finished ones as beams.
        case whenFull
        /// The search is over when the best running one, at its present length, is no better than the worst finished
        /// one.
        case whenUnlikely
        /// The search is over when the best running one could not be better at any length.
        case never
    }

    /// The settings of a search.
    public struct Options: Sendable, Hashable {
        /// The number of continuations that run on at each step.
        public var beams: Int
        /// The number of continuations that are returned, best first.
        public var results: Int
        /// The maximum number of new tokens of a continuation.
        public var maximumTokens: Int
        /// The exponent of the length by which a sum of log-probabilities is divided.
        public var lengthPenalty: Float
        /// The condition under which a search is over before the longest length.
        public var earlyStopping: EarlyStopping
        /// The tokens that finish a continuation.
        public var stopTokens: Set<Int32>
        /// The rules for tokens that may not, or must, come next.
        public var rules: TokenRules

        /// A search of `beams` continuations.
        public init(
            beams: Int, results: Int = 1, maximumTokens: Int, lengthPenalty: Float = 1,
            earlyStopping: EarlyStopping = .whenUnlikely, stopTokens: Set<Int32> = [], rules: TokenRules = TokenRules()
        ) {
            (self.beams, self.results, self.maximumTokens) = (beams, results, maximumTokens)
            (self.lengthPenalty, self.earlyStopping) = (lengthPenalty, earlyStopping)
            (self.stopTokens, self.rules) = (stopTokens, rules)
        }

        /// Everything that is wrong with the options, each with its remedy.
        package func offences(vocabulary: Int) -> [String] {
            var offences = rules.offences(vocabulary: vocabulary)
            if !(1...1_000).contains(beams) { offences.append("\(beams) beams: give between 1 and 1000") }
            if !(1...max(1, beams)).contains(results) { offences.append("\(results) results of \(beams) beams") }
            if maximumTokens < 1 { offences.append("\(maximumTokens) tokens cannot be generated; give at least 1") }
            if !lengthPenalty.isFinite { offences.append("a length penalty of \(lengthPenalty)") }
            return offences
        }
    }

    /// A continuation that is finished.
    public struct Hypothesis: Sendable, Hashable {
        /// The tokens that follow the prompt; a stop token included.
        public let tokens: [Int32]
        /// The log-probability of each token, after the rules.
        public let logProbabilities: [Float]
        /// The sum of log-probabilities divided by length^penalty.
        public let score: Float
    }

    private let options: Options

    /// - Throws: ``GenerationError`` naming everything that is wrong with the options.
    package init(_ options: Options, vocabulary: Int) throws(GenerationError) {
        let offences = options.offences(vocabulary: vocabulary)
        guard offences.isEmpty else { throw GenerationError(.request, offences) }
        self.options = options
    }

    /// Searches on for every prompt, in common passes without padding; for each the best continuations.
    ///
    /// - Parameter sources: What an encoder read for each prompt.
    /// - Throws: ``GenerationError`` for a prompt that is empty or does not fit the model, and for a model whose logits
    ///   are no numbers.
    package func run(
        _ prompts: [[Int32]], sources: [[Int32]]? = nil, on continuation: consuming Continuation
    ) throws(GenerationError) -> [[Hypothesis]] {
        try check(prompts, continuation)
        if let error = continuation.brokenSource { throw error }
        var continuation = continuation
        var items = prompts.map { BeamItem(prompt: $0, options, context: continuation.context) }
        var running = Array(items.indices)
        var isFirst = true
        while !running.isEmpty {
            // The prompt is computed once; from then on, every item has all of its beams.
            let beams = isFirst ? 1 : options.beams
            let sequences = running.flatMap { isFirst ? [items[$0].prompt] : items[$0].sequences }
            let steps = running.flatMap { index in
                (0..<beams).map { items[index].rulesStep($0, source: sources?[index] ?? items[index].prompt) }
            }
            let logits = continuation.logits(sequences)
            if let row = sequences.indices.first(where: { logits.lacksNumbers(row: $0) }) {
                throw continuation.undefinedLogits(after: sequences[row])
            }
            let scores = TokenScores.best(
                BeamItem.candidates(options), of: logits, options.rules, steps, beams: options.beams)
            var parents: [Int] = []
            var stillRunning: [Int] = []
            for (place, index) in running.enumerated() {
                let rows = (0..<options.beams).map { place * beams + ($0 < beams ? $0 : 0) }
                let chosen = items[index].step { scores[rows[$0]] }
                guard !items[index].isDone else { continue }
                parents += chosen.map { rows[$0] }
                stillRunning.append(index)
            }
            (running, isFirst) = (stillRunning, false)
            continuation.select(parents)
        }
        return items.map { $0.best(options.results) }
    }

    private func check(_ prompts: [[Int32]], _ continuation: borrowing Continuation) throws(GenerationError) {
        let (vocabulary, context) = (continuation.vocabulary, continuation.context)
        for prompt in prompts {
            if prompt.isEmpty { throw GenerationError("the prompt has no tokens; give at least one") }
            if let wrong = prompt.first(where: { $0 < 0 || $0 >= vocabulary }) {
                throw GenerationError("token \(wrong) is not in the vocabulary of \(vocabulary)")
            }
            if let context, prompt.count >= context {
                throw GenerationError("the prompt has \(prompt.count) tokens, but the model's context is \(context)")
            }
        }
    }
}
