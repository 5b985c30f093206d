/// How the next token is chosen from logits.
public struct Sampling: Sendable, Hashable, Codable {
    /// 0 takes the most probable token; higher is more varied.
    public var temperature: Float
    /// Only the k most probable; 0 keeps all.
    public var topK: Int
    /// Only the most probable whose probabilities first sum to this (arXiv:1904.09751); 1 keeps all.
    public var topP: Float
    /// Only those at least this times as probable as the most probable one (arXiv:2407.01082); 0 keeps all.
    public var minP: Float
    /// Logits of tokens that occurred are divided by this when positive, multiplied when negative (arXiv:1909.05858); 1 leaves them.
    public var repeatPenalty: Float
    /// The same seed gives the same tokens.
    public var seed: UInt64

    public init(
        temperature: Float = 0, topK: Int = 0, topP: Float = 1, minP: Float = 0, repeatPenalty: Float = 1,
        seed: UInt64 = 0
    ) {
        (self.temperature, self.topK, self.topP, self.minP) = (temperature, topK, topP, minP)
        (self.repeatPenalty, self.seed) = (repeatPenalty, seed)
    }

    public static let greedy = Sampling()

    /// What is wrong with these numbers, each offence with the range that is right; nothing when they can be used.
    public var offences: [String] {
        var offences: [String] = []
        func check(_ name: String, _ value: Float, _ range: ClosedRange<Float>) {
            if !range.contains(value) {
                offences.append("\(name) is \(value), but lies between \(range.lowerBound) and \(range.upperBound)")
            }
        }
        check("temperature", temperature, 0...100)
        check("top-p", topP, 0...1)
        check("min-p", minP, 0...1)
        check("repeat penalty", repeatPenalty, 0.01...100)
        if topK < 0 { offences.append("top-k is \(topK), but cannot be negative") }
        return offences
    }
}
