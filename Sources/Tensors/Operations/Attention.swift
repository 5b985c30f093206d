import CMartletKernels

/// The rule for attention scores before and after the softmax: scale, cap, slopes, bias, sinks, dropout.
package struct ScoreRule: Sendable {
    /// The factor by which scores are multiplied first.
    package var scale: Float
    /// The cap of scores after that: cap · tanh(s / cap).
    package var cap: Float?
    /// ALiBi slopes, one per query head: slope times (key position − query position) is then added (arXiv:2108.12409).
    package var slopes: [Float]?
    /// The bias that is then added.
    package var bias: Bias?
    /// A number per query head, `[heads]`, that joins the softmax and stands for no key (arXiv:2309.17453).
    package var sinks: Tensor?
    /// The dropout of the softmax's results, while training.
    package var dropout: Dropout?

    /// An addition to scores, by pairs of rows and keys or by their distance.
    package enum Bias: Sendable {
        /// A bias of pairs, `[heads, rows, keys]`; an extent of 1 says the same for all heads, or for all rows.
        case pairs(Tensor)
        case distances(DistanceBias)
    }

    package init(scale: Float, cap: Float? = nil, slopes: [Float]? = nil, bias: Bias? = nil) {
        (self.scale, self.cap, self.slopes, self.bias) = (scale, cap, slopes, bias)
    }
}

/// A number per head and distance of key and query, added to scores: linear in the length of the text where pairs would
/// be quadratic.
package struct DistanceBias: Sendable {
    /// The biases, `[heads, distances]`.
    package let values: Tensor
    /// The column of distance 0; a key after the query lies to its right.
    package let zero: Int

    package init(values: Tensor, zero: Int) {
        precondition(values.shape.rank == 2, "DistanceBias: \(values.shape) is not [heads, distances]")
        (self.values, self.zero) = (values, zero)
    }
}

/// The part of a pass that belongs to one sequence: its rows, and which keys each of them sees.
package struct AttentionSpan: Sendable {
    /// Rows of the pass.
    package let rows: Range<Int>
    /// The position of each of these rows.
    package let positions: [Int32]
    /// The keys that each of these rows sees, `lower ..< upper`.
    package let lower: [Int32]
    package let upper: [Int32]

    package init(rows: Range<Int>, positions: [Int32], lower: [Int32], upper: [Int32]) {
        precondition(
            positions.count == rows.count && lower.count == rows.count && upper.count == rows.count,
            "AttentionSpan: \(rows.count) rows, \(positions.count), \(lower.count) and \(upper.count) numbers")
        (self.rows, self.positions, self.lower, self.upper) = (rows, positions, lower, upper)
    }

    /// The span of some of its rows.
    package func part(_ part: Range<Int>) -> AttentionSpan {
        let own = part.lowerBound - rows.lowerBound..<part.upperBound - rows.lowerBound
        return AttentionSpan(
            rows: part, positions: Array(positions[own]), lower: Array(lower[own]), upper: Array(upper[own]))
    }
}

/// The attention of one sequence of a pass: its KV cache, the span of rows and keys, and the rule for scores.
package struct AttentionPass: Sendable {
    package let keyValues: KeyValueView
    package let span: AttentionSpan
    package let rule: ScoreRule

    package init(keyValues: KeyValueView, span: AttentionSpan, rule: ScoreRule) {
        (self.keyValues, self.span, self.rule) = (keyValues, span, rule)
    }
}

extension Tensor {
    /// Attention, softmax(rule(q kᵀ)) v for the rows of one sequence, written into `result`; online over blocks of keys
    /// (arXiv:2205.14135).
    ///
    /// - Parameters: `self` `[rows, queryHeads, headWidth]`, `result` `[rows, queryHeads, valueWidth]`; query head h
    ///   reads key head h · keyHeads / queryHeads.
    package func attend(to keyValues: KeyValueView, _ span: AttentionSpan, _ rule: ScoreRule, into result: Tensor) {
        precondition(
            result.shape == [shape[0], shape[1], keyValues.valueWidth],
            "attend: \(shape) to values of \(keyValues.valueWidth), into \(result.shape)")
        let device = device(for: "attend")
        let work = AttentionWork(query: self, keyValues, span, rule, result: result, on: device)
        if span.rows.count == 1 && work.segments > 1 && device.threads > 1 {
            work.runBySegment(on: device)
        } else {
            work.runByRow(on: device)
        }
    }

    /// Attention, softmax(rule(q kᵀ)) v for several sequences, as ``attend(to:_:_:into:)`` computes it, in one loop
    /// over all of them.
    package func attend(_ passes: [AttentionPass], into result: Tensor) {
        guard passes.count > 1 else {
            for pass in passes { attend(to: pass.keyValues, pass.span, pass.rule, into: result) }
            return
        }
        let device = device(for: "attend")
        let works = passes.map {
            AttentionWork(query: self, $0.keyValues, $0.span, $0.rule, result: result, on: device)
        }
        AttentionWork.runByRow(works, on: device)
    }

    /// The attention weights of every head over all keys, `[queryHeads, rows, keys]`: for looking inside.
    package func attentionWeights(to keyValues: KeyValueView, _ span: AttentionSpan, _ rule: ScoreRule) -> Tensor {
        precondition(keyValues.type == .f32, "attentionWeights: keys kept as \(keyValues.type)")
        let device = device(for: "attentionWeights")
        let (heads, rows, keys) = (shape[1], span.rows.count, keyValues.length)
        let weights = device.make([heads, rows, keys])
        let work = AttentionWork(query: self, keyValues, span, rule, result: self, on: device)
        device.parallel(heads, cost: rows * keys * keyValues.headWidth) { range in
            for head in range {
                var part = unsafe work.part(keyHead: head / work.group)
                for row in 0..<rows {
                    let target = unsafe weights.mutableFloats + (head * rows + row) * keys
                    unsafe martlet_attention_weights(&part, row, head % work.group, target, keys)
                }
            }
        }
        return weights
    }
}
