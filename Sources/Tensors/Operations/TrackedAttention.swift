import CMartletKernels

/// One sequence's share of an attention that is differentiated: rows of the queries, rows of the keys, and the rule for scores.
package struct AttentionPart: Sendable {
    package let span: AttentionSpan
    /// Rows of keys and values; the span counts from the first of them.
    package let keys: Range<Int>
    package let rule: ScoreRule

    package init(span: AttentionSpan, keys: Range<Int>, rule: ScoreRule) {
        (self.span, self.keys, self.rule) = (span, keys, rule)
    }

    /// Keys are reduced in segments, at absolute boundaries.
    fileprivate var segments: Int { max(1, (keys.count + Int(MARTLET_SEGMENT) - 1) / Int(MARTLET_SEGMENT)) }

    /// The keys of one of them; none past the last.
    fileprivate func keys(ofSegment index: Int) -> Range<Int> {
        min(index * Int(MARTLET_SEGMENT), keys.count)..<min((index + 1) * Int(MARTLET_SEGMENT), keys.count)
    }

    fileprivate var biasTensor: Tensor? {
        switch rule.bias {
        case nil: nil
        case .pairs(let tensor): tensor
        case .distances(let bias): bias.values
        }
    }

    /// The same part with a bias that nobody differentiates by.
    fileprivate var untracked: AttentionPart {
        var rule = rule
        switch rule.bias {
        case nil: break
        case .pairs(let tensor): rule.bias = .pairs(tensor.untracked)
        case .distances(let bias): rule.bias = .distances(DistanceBias(values: bias.values.untracked, zero: bias.zero))
        }
        return AttentionPart(span: span, keys: keys, rule: rule)
    }
}

extension Tensor {
    /// softmax(rule(q kᵀ)) v for all sequences of a pass: the bits of `attend`, and gradients for queries, keys, values and biases.
    ///
    /// Keeps the logarithm of each row's total and makes probabilities again in the backward pass: memory is linear in length.
    ///
    /// - Parameters: `self` `[rows, queryHeads, headWidth]`, `keys` and `values` `[sourceRows, keyHeads, width]`. Where they are bf16, so is
    ///   the result; arithmetic is f32.
    /// - Returns: `[rows, queryHeads, valueWidth]`.
    package func attention(keys: Tensor, values: Tensor, _ parts: [AttentionPart]) -> Tensor {
        let device = device(for: "attention")
        let attention = TrackedAttention(
            query: untracked.asFloat(), keys: keys.untracked.asFloat(), values: values.untracked.asFloat(),
            result: device.make([shape[0], shape[1], values.shape[2]]), parts: parts.map(\.untracked))
        let logTotals = attention.parts.map { attention.run($0, on: device) }
        let result = type == .bf16 ? attention.result.asBFloat16() : attention.result
        let kept = TrackedAttention(
            query: untracked, keys: keys.untracked, values: values.untracked, result: result, parts: attention.parts)
        let biases = parts.map(\.biasTensor)
        let operands = [self, keys, values] + biases
        if operands.allSatisfy({ $0?.node == nil }) { return result }
        let (queryNode, keyNode, valueNode, biasNodes) = (node, keys.node, values.node, biases.map { $0?.node })
        return result.recorded(operands) { gradient, flow in
            let gradients = kept.asFloat().backward(gradient, logTotals, biasNodes, on: flow.device)
            flow.add(gradients.query, to: queryNode)
            flow.add(gradients.keys, to: keyNode)
            flow.add(gradients.values, to: valueNode)
            for (node, bias) in gradients.biases { flow.add(bias, to: node) }
        }
    }
}

/// The operands of one attention and its result, untracked.
private struct TrackedAttention: Sendable {
    let query, keys, values, result: Tensor
    let parts: [AttentionPart]

    var keyHeads: Int { keys.shape[1] }

    func asFloat() -> TrackedAttention {
        TrackedAttention(
            query: query.asFloat(), keys: keys.asFloat(), values: values.asFloat(), result: result.asFloat(),
            parts: parts)
    }

    /// Forward for one sequence; returns log Σ e^score, `[keyHeads, rows, group]`.
    func run(_ part: AttentionPart, on device: Device) -> Tensor {
        var memory = KeyValueBlocks(keyHeads: keyHeads, headWidth: keys.shape[2], valueWidth: values.shape[2])
        memory.append(keys: keys, values: values, rows: part.keys, on: device)
        let work = AttentionWork(query: query, memory, part.span, part.rule, result: result, on: device)
        let (rows, group) = (part.span.rows.count, work.group)
        let logTotals = device.make([keyHeads, rows, group])
        let tile = 64
        let tiles = (rows + tile - 1) / tile
        device.parallel(keyHeads * tiles, cost: tile * part.keys.count * work.rowCost) { range in
            for item in range {
                let (head, first) = (item / tiles, item % tiles * tile)
                var whole = unsafe work.part(keyHead: head, rows: first..<min(rows, first + tile))
                let floats = unsafe martlet_attend_partial_floats(&whole)
                let partials = device.scratch(bytes: max(1, work.segments * floats) * 4)
                let scratch = device.scratch(bytes: unsafe martlet_attend_scratch(&whole) * 4)
                let sums = unsafe partials.mutablePointer.assumingMemoryBound(to: Float.self)
                for segment in 0..<work.segments {
                    unsafe martlet_attend_segment(
                        &whole, segment, sums + segment * floats,
                        scratch.mutablePointer.assumingMemoryBound(to: Float.self))
                }
                unsafe martlet_attend_merge(&whole, sums, work.segments)
                unsafe martlet_attend_log_totals(
                    &whole, sums, work.segments, logTotals.mutableFloats + (head * rows + first) * group)
            }
        }
        return logTotals
    }

    struct Result {
        let query, keys, values: Tensor
        var biases: [(GradientNode, Tensor)] = []
    }

    func backward(_ gradient: Tensor, _ logTotals: [Tensor], _ biasNodes: [GradientNode?], on device: Device) -> Result
    {
        var gradients = Result(
            query: device.make(query.shape).filled(with: 0), keys: device.make(keys.shape).filled(with: 0),
            values: device.make(values.shape).filled(with: 0))
        // Parts that share a bias add to one tensor.
        var biasOfPart: [Tensor?] = []
        for node in biasNodes {
            if let node, let known = gradients.biases.first(where: { $0.0 === node }) {
                biasOfPart.append(known.1)
            } else if let node {
                let bias = device.make(node.shape).filled(with: 0)
                gradients.biases.append((node, bias))
                biasOfPart.append(bias)
            } else {
                biasOfPart.append(nil)
            }
        }
        let works = parts.map { part in
            AttentionWork(
                query: query, KeyValueBlocks(describing: part.keys.count, keys: keys, values: values), part.span,
                part.rule, result: result, on: device)
        }
        // What two sequences add to, one of them adds to after the other.
        let independent = gradients.biases.isEmpty && disjoint(parts.map(\.keys))
        let groups = independent ? parts.indices.map { [$0] } : [Array(parts.indices)]
        let cost = parts.reduce(0) { $0 + $1.span.rows.count * $1.keys.count } / max(1, groups.count) * 4
        let (heads, done) = (keyHeads, gradients)
        let rowCost = works.first?.rowCost ?? 1
        guard independent, let longest = parts.map(\.segments).max(), longest > 1 else {
            device.parallel(groups.count * heads, cost: max(1, cost * rowCost)) { range in
                for item in range {
                    for index in groups[item / heads] {
                        backward(
                            parts[index], works[index], head: item % heads, keys: 0..<parts[index].keys.count, gradient,
                            logTotals[index], done, into: done.query, biasOfPart[index], on: device)
                    }
                }
            }
            return gradients
        }
        backwardBySegment(works, gradient, logTotals, done, longest: longest, cost: cost * rowCost, on: device)
        return gradients
    }

    /// Long sequences by segments of their keys, as many at once as it takes to occupy the threads. Each has a share in the gradients of the
    /// queries, and shares are added in ascending order.
    private func backwardBySegment(
        _ works: [AttentionWork], _ gradient: Tensor, _ logTotals: [Tensor], _ gradients: Result, longest: Int,
        cost: Int, on device: Device
    ) {
        let heads = keyHeads
        let items = parts.count * heads
        let together = min(longest, (device.threads + items - 1) / items)
        let shares = (0..<together).map { _ in device.make(query.shape) }
        for first in stride(from: 0, to: longest, by: together) {
            device.parallel(items * together, cost: max(1, cost / longest)) { range in
                for item in range {
                    let (index, head, place) = (item / heads % parts.count, item % heads, item / items)
                    let keys = parts[index].keys(ofSegment: first + place)
                    guard !keys.isEmpty else { continue }
                    backward(
                        parts[index], works[index], head: head, keys: keys, gradient, logTotals[index], gradients,
                        into: shares[place], nil, on: device)
                }
            }
            for (place, share) in shares.enumerated() {
                for part in parts where !part.keys(ofSegment: first + place).isEmpty {
                    gradients.query.rows(part.span.rows).overwrite(
                        with: share.rows(part.span.rows), adding: first + place > 0)
                }
            }
        }
    }

    private func disjoint(_ ranges: [Range<Int>]) -> Bool {
        let sorted = ranges.filter { !$0.isEmpty }.sorted { $0.lowerBound < $1.lowerBound }
        return zip(sorted, sorted.dropFirst()).allSatisfy { $0.upperBound <= $1.lowerBound }
    }

    private func backward(
        _ part: AttentionPart, _ work: AttentionWork, head: Int, keys visited: Range<Int>, _ gradient: Tensor,
        _ logTotals: Tensor, _ gradients: Result, into queryGradient: Tensor, _ bias: Tensor?, on device: Device
    ) {
        let forward = unsafe work.part(keyHead: head)
        let (rows, keyWidth, valueWidth) = (part.span.rows, keys.shape[2], values.shape[2])
        let (keyStride, valueStride) = (keyHeads * keyWidth, keyHeads * valueWidth)
        let keyAt = part.keys.lowerBound * keyStride + head * keyWidth
        let valueAt = part.keys.lowerBound * valueStride + head * valueWidth
        let queryAt = unsafe rows.lowerBound * forward.query_stride + head * work.group * keyWidth
        let outputAt = unsafe rows.lowerBound * forward.output_stride + head * work.group * valueWidth
        var backward = unsafe martlet_attention_backward(
            forward: forward, keys: keys.floats + keyAt, values: values.floats + valueAt, key_stride: keyStride,
            value_stride: valueStride, key_count: part.keys.count, first_key: visited.lowerBound,
            end_key: visited.upperBound,
            log_totals: logTotals.floats + head * rows.count * work.group, d_outputs: gradient.floats + outputAt,
            d_queries: queryGradient.mutableFloats + queryAt, d_keys: gradients.keys.mutableFloats + keyAt,
            d_values: gradients.values.mutableFloats + valueAt, d_bias: nil)
        if let bias, let place = unsafe forward.bias, let tensor = part.biasTensor {
            unsafe backward.d_bias = bias.mutableFloats + (place - tensor.floats)
        }
        let scratch = device.scratch(bytes: unsafe martlet_attend_backward_scratch(&backward) * 4)
        unsafe martlet_attend_backward(&backward, scratch.mutablePointer.assumingMemoryBound(to: Float.self))
    }
}
