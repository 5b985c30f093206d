/// A token that was chosen, and what the model thought of it and of others.
public struct SampledToken: Sendable, Hashable {
    /// A token and the logarithm of its probability under the model's own logits: no temperature, penalty or mask.
    public struct Scored: Sendable, Hashable {
        /// The token's id.
        public let token: Int32
        /// The natural logarithm of its probability.
        public let logProbability: Float

        package init(token: Int32, logProbability: Float) {
            (self.token, self.logProbability) = (token, logProbability)
        }
    }

    /// The token's id.
    public let token: Int32
    /// The log-probability of the chosen token; nil unless asked for.
    public let logProbability: Float?
    /// The most probable tokens, in descending order; as many as were asked for.
    public let mostProbable: [Scored]

    package init(token: Int32, logProbability: Float? = nil, mostProbable: [Scored] = []) {
        (self.token, self.logProbability, self.mostProbable) = (token, logProbability, mostProbable)
    }
}
