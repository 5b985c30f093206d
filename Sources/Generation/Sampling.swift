/// The sampling of the next token from logits.
public struct Sampling: Sendable, Hashable, Codable {
    /// The temperature: 0 takes the most probable token; higher is more varied.
    public var temperature: Float
    /// top-k: only the k most probable are kept; 0 keeps all.
    public var topK: Int
    /// top-p: only the most probable whose probabilities first sum to this are kept (arXiv:1904.09751); 1 keeps all.
    public var topP: Float
    /// min-p: only those at least this times as probable as the most probable one are kept (arXiv:2407.01082); 0 keeps
    /// all.
    public var minP: Float
    /// typical-p: only those whose surprise is nearest to the entropy are kept, until their probabilities sum to this
    /// (arXiv:2202.00666); 1 keeps all.
    public var typicalP: Float
    /// The epsilon cutoff: only those of at least this probability are kept (arXiv:2210.15191); 0 keeps all.
    public var epsilonCutoff: Float
    /// The eta cutoff: only those of at least the probability min(η, √η e^−entropy) are kept (arXiv:2210.15191); 0
    /// keeps all.
    public var etaCutoff: Float
    /// The repeat penalty, by which logits of tokens that occurred, read or written, are divided when positive,
    /// multiplied when negative (arXiv:1909.05858); 1 leaves them.
    public var repeatPenalty: Float
    /// The presence penalty, taken from the logits of tokens that have been written, however often.
    public var presencePenalty: Float
    /// The frequency penalty, taken from the logits of tokens that have been written, once for each time.
    public var frequencyPenalty: Float
    /// The logit bias, added to the logits of single tokens, before all else.
    public var logitBias: [Int32: Float]
    /// The seed: the same seed gives the same tokens.
    public var seed: UInt64

    /// A choice among the most probable tokens; the defaults take the most probable one.
    public init(
        temperature: Float = 0, topK: Int = 0, topP: Float = 1, minP: Float = 0, typicalP: Float = 1,
        epsilonCutoff: Float = 0, etaCutoff: Float = 0, repeatPenalty: Float = 1, presencePenalty: Float = 0,
        frequencyPenalty: Float = 0, logitBias: [Int32: Float] = [:], seed: UInt64 = 0
    ) {
        (self.temperature, self.topK, self.topP, self.minP) = (temperature, topK, topP, minP)
        (self.typicalP, self.repeatPenalty) = (typicalP, repeatPenalty)
        (self.epsilonCutoff, self.etaCutoff) = (epsilonCutoff, etaCutoff)
        (self.presencePenalty, self.frequencyPenalty) = (presencePenalty, frequencyPenalty)
        (self.logitBias, self.seed) = (logitBias, seed)
    }

    /// The most probable token, always.
    public static let greedy = Sampling()

    /// The offences of these numbers, each with the range that is right; none when they can be used.
    public var offences: [String] {
        var offences: [String] = []
        func check(_ name: String, _ value: Float, _ range: ClosedRange<Float>) {
            if !range.contains(value) {
                offences.append("\(name) is \(value), but must be between \(range.lowerBound) and \(range.upperBound)")
            }
        }
        check("temperature", temperature, 0...100)
        check("top-p", topP, 0...1)
        check("min-p", minP, 0...1)
        check("typical-p", typicalP, 0...1)
        check("epsilon cutoff", epsilonCutoff, 0...1)
        check("eta cutoff", etaCutoff, 0...1)
        check("repeat penalty", repeatPenalty, 0.01...100)
        check("presence penalty", presencePenalty, -100...100)
        check("frequency penalty", frequencyPenalty, -100...100)
        for (token, bias) in logitBias.sorted(by: { $0.key < $1.key }) {
            check("bias of token \(token)", bias, -100...100)
        }
        if topK < 0 { offences.append("top-k is \(topK), but cannot be negative") }
        return offences
    }

    /// The offences of these numbers, and tokens that a vocabulary of this many lacks.
    public func offences(vocabulary: Int) -> [String] {
        let unknown = logitBias.keys.filter { $0 < 0 || Int($0) >= vocabulary }.sorted()
        return offences
            + unknown.map { "token \($0), to which a bias is given, is not in the vocabulary of \(vocabulary)" }
    }
}
