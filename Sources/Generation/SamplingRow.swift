package import MartletTensors

/// A row of a batch of logits, with what is needed to choose its token.
package struct SamplingRow: Sendable {
    package var sampler: Sampler
    /// The position of the token that is chosen, in its sequence.
    package var position: Int
    package var mask: TokenMask?
    /// The number of most probable tokens that are scored beside the chosen one; nil scores none, nor the chosen one.
    package var scored: Int?
    /// Rules on whole texts, and the text that they look at; nil without rules.
    package var ruling: Ruling?

    /// Rules and what they look at.
    package struct Ruling: Sendable {
        package let rules: TokenRules
        package let step: TokenRules.Step

        package init(_ rules: TokenRules, _ step: TokenRules.Step) { (self.rules, self.step) = (rules, step) }
    }

    package init(_ sampler: Sampler, position: Int, mask: TokenMask? = nil, scored: Int? = nil) {
        (self.sampler, self.position, self.mask, self.scored) = (sampler, position, mask, scored)
    }
}

extension SamplingRow {
    /// The tokens chosen from logits `[rows, vocabulary]`, one for each row, on all threads of their device. A row's
    /// choice depends on it alone.
    ///
    /// - Parameter tokens: where they are put, in place of what is there.
    package static func next(_ rows: [SamplingRow], _ logits: Tensor, into tokens: inout [SampledToken]) {
        precondition(rows.count == logits.shape.rows, "SamplingRow: \(rows.count) choices from \(logits.shape)")
        tokens.removeAll(keepingCapacity: true)
        guard let device = logits.device, rows.count > 1, rows.allSatisfy({ $0.ruling == nil }) else {
            for row in rows.indices { tokens.append(rows[row].next(logits, row: row)) }
            return
        }
        for _ in rows { tokens.append(SampledToken(token: 0)) }
        unsafe tokens.withUnsafeMutableBufferPointer { tokens in
            let base = tokens.baseAddress
            device.parallel(rows.count, cost: logits.shape.width * 4) { range in
                for row in range { unsafe base?[row] = rows[row].next(logits, row: row) }
            }
        }
    }

    /// The token chosen from row `row` of `logits`.
    package func next(_ logits: Tensor, row: Int) -> SampledToken {
        let token =
            if let ruling {
                sampler.next(ruled(logits.rows(row..<row + 1), ruling), position: position, allowing: mask)
            } else {
                sampler.next(logits, row: row, position: position, allowing: mask)
            }
        guard let scored else { return SampledToken(token: token, logProbability: nil, mostProbable: []) }
        let summary = logits.summary(row: row, largest: scored)
        return SampledToken(
            token: token,
            logProbability: summary.logProbability(of: logits.element(row: row, column: Int(token))),
            mostProbable: summary.largest.map {
                .init(token: Int32($0.index), logProbability: summary.logProbability(of: $0.value))
            })
    }

    /// The logits `[1, vocabulary]` under the rules.
    private func ruled(_ logits: Tensor, _ ruling: Ruling) -> Tensor {
        var scores = logits.values
        ruling.rules.apply(to: &scores, ruling.step)
        return Tensor(scores, shape: logits.shape)
    }
}
