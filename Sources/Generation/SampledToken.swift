package import MartletTensors

/// A token that was chosen, and what the model thought of it and of others.
package struct SampledToken: Sendable, Hashable {
    /// A token and the logarithm of its probability under the model's own logits: no temperature, penalty or mask.
    package struct Scored: Sendable, Hashable {
        package let token: Int32
        package let logProbability: Float
    }

    package let token: Int32
    /// Of the chosen token; nil unless asked for.
    package let logProbability: Float?
    /// The most probable tokens, in descending order; as many as were asked for.
    package let mostProbable: [Scored]
}

/// What is to be chosen from one row of a batch of logits.
package struct SamplingRow: Sendable {
    package var sampler: Sampler
    /// The position of the token that is chosen, in its sequence.
    package var position: Int
    package var mask: TokenMask?
    /// How many of the most probable tokens are scored beside the chosen one; nil scores none, nor the chosen one.
    package var scored: Int?

    package init(_ sampler: Sampler, position: Int, mask: TokenMask? = nil, scored: Int? = nil) {
        (self.sampler, self.position, self.mask, self.scored) = (sampler, position, mask, scored)
    }
}

extension SamplingRow {
    /// The tokens chosen from logits `[rows, vocabulary]`, one for each row, on all threads of their device. A row's
    /// choice depends on it alone.
    package static func next(_ rows: [SamplingRow], _ logits: Tensor) -> [SampledToken] {
        precondition(rows.count == logits.shape.rows, "SamplingRow: \(rows.count) choices from \(logits.shape)")
        return logits.mapRows(cost: logits.shape.width * 4) { rows[$0].next(logits, row: $0) }
    }

    /// The token chosen from row `row` of `logits`.
    package func next(_ logits: Tensor, row: Int) -> SampledToken {
        let token = sampler.next(logits, row: row, position: position, allowing: mask)
        guard let scored else { return SampledToken(token: token, logProbability: nil, mostProbable: []) }
        let summary = logits.summary(row: row, largest: scored)
        return SampledToken(
            token: token,
            logProbability: summary.logProbability(of: logits.element(row: row, column: Int(token))),
            mostProbable: summary.largest.map {
                .init(token: Int32($0.index), logProbability: summary.logProbability(of: $0.value))
            })
    }
}
