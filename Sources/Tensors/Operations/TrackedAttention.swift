import CMartletKernels
import MartletPlatform

/// The attention of the rows of one sequence where it is differentiated: pieces of keys under one softmax, and the rule
/// for scores.
package struct AttentionPart: Sendable {
    /// Rows of one source's keys and values; the span, of the same rows for all pieces of a part, counts from the first
    /// of them.
    package struct Piece: Sendable {
        package let span: AttentionSpan
        package let keys: Range<Int>
        package let source: Int

        package init(span: AttentionSpan, keys: Range<Int>, source: Int = 0) {
            (self.span, self.keys, self.source) = (span, keys, source)
        }
    }

    package let pieces: [Piece]
    package let rule: ScoreRule

    package init(span: AttentionSpan, keys: Range<Int>, rule: ScoreRule) {
        self.init([Piece(span: span, keys: keys)], rule: rule)
    }

    /// - Precondition: there is a piece, and a rule for several knows no positions: no slopes and no bias.
    package init(_ pieces: [Piece], rule: ScoreRule) {
        precondition(
            !pieces.isEmpty && pieces.allSatisfy { $0.span.rows == pieces[0].span.rows }
                && (pieces.count == 1 || rule.bias == nil && rule.slopes == nil),
            "AttentionPart: \(pieces.count) pieces for rows \(pieces.map(\.span.rows))")
        (self.pieces, self.rule) = (pieces, rule)
    }

    var rows: Range<Int> { pieces[0].span.rows }

    /// The rule for one of the pieces: each draws random numbers of its own.
    func rule(ofPiece index: Int) -> ScoreRule {
        var rule = rule
        rule.dropout = rule.dropout?.piece(index)
        return rule
    }

    /// Keys are reduced in segments, at absolute boundaries: how many those of the first piece fill.
    var segments: Int { max(1, (pieces[0].keys.count + Int(MARTLET_SEGMENT) - 1) / Int(MARTLET_SEGMENT)) }

    /// The first piece's keys of one of them; none past the last.
    func keys(ofSegment index: Int) -> Range<Int> {
        let count = pieces[0].keys.count
        return min(index * Int(MARTLET_SEGMENT), count)..<min((index + 1) * Int(MARTLET_SEGMENT), count)
    }

    var biasTensor: Tensor? {
        switch rule.bias {
        case nil: nil
        case .pairs(let tensor): tensor
        case .distances(let bias): bias.values
        }
    }

    /// This part with a bias and sinks detached from the autograd graph.
    fileprivate var untracked: AttentionPart {
        var rule = rule
        rule.sinks = rule.sinks?.untracked
        switch rule.bias {
        case nil: break
        case .pairs(let tensor): rule.bias = .pairs(tensor.untracked)
        case .distances(let bias): rule.bias = .distances(DistanceBias(values: bias.values.untracked, zero: bias.zero))
        }
        return AttentionPart(pieces, rule: rule)
    }
}

/// The keys `[sourceRows, keyHeads, headWidth]` and values `[sourceRows, keyHeads, valueWidth]` that queries attend to.
package struct AttentionSource: Sendable {
    package let keys, values: Tensor

    package init(keys: Tensor, values: Tensor) {
        precondition(keys.shape.rank == 3 && values.shape.rank == 3, "AttentionSource: \(keys.shape), \(values.shape)")
        (self.keys, self.values) = (keys, values)
    }

    fileprivate var untracked: AttentionSource { AttentionSource(keys: keys.untracked, values: values.untracked) }
    fileprivate func asFloat() -> AttentionSource { AttentionSource(keys: keys.asFloat(), values: values.asFloat()) }
}

extension Tensor {
    /// Attention, softmax(rule(q kᵀ)) v for all sequences of a pass: the bits of `attend`, and gradients for queries,
    /// keys, values and biases.
    ///
    /// Keeps the logarithm of each row's total and makes probabilities again in the backward pass: memory is linear in
    /// length.
    ///
    /// - Parameters: `self` `[rows, queryHeads, headWidth]`, `sources` of equal heads and widths. Where the queries are
    ///   bf16, so is the result; arithmetic is f32.
    /// - Returns: `[rows, queryHeads, valueWidth]`; rows that stand in no part are undefined.
    package func attention(_ sources: [AttentionSource], _ parts: [AttentionPart]) -> Tensor {
        precondition(!sources.isEmpty, "attention: no sources")
        let device = device(for: "attention")
        let attention = TrackedAttention(
            query: untracked.asFloat(), sources: sources.map { $0.untracked.asFloat() },
            result: device.make([shape[0], shape[1], sources[0].values.shape[2]]), parts: parts.map(\.untracked))
        let logTotals = attention.parts.map { attention.run($0, on: device) }
        let result = type == .bf16 ? attention.result.asBFloat16() : attention.result
        let kept = TrackedAttention(
            query: untracked, sources: sources.map(\.untracked), result: result, parts: attention.parts)
        let (biases, sinks) = (parts.map(\.biasTensor), parts.map(\.rule.sinks))
        let operands = [self] + sources.flatMap { [$0.keys, $0.values] } + biases + sinks
        if operands.allSatisfy({ $0?.node == nil }) { return result }
        let (queryNode, biasNodes, sinkNodes) = (node, biases.map { $0?.node }, sinks.map { $0?.node })
        let sourceNodes = sources.map { (keys: $0.keys.node, values: $0.values.node) }
        return result.recorded(operands) { gradient, flow in
            let gradients = kept.asFloat().backward(gradient, logTotals, biasNodes, on: flow.device)
            for query in gradients.query { flow.add(query, to: queryNode) }
            for (nodes, found) in zip(sourceNodes, gradients.sources) {
                flow.add(found.keys, to: nodes.keys)
                flow.add(found.values, to: nodes.values)
            }
            for (node, bias) in gradients.biases { flow.add(bias, to: node) }
            for (index, node) in sinkNodes.enumerated() {
                guard let node else { continue }
                flow.add(kept.sinkGradient(gradient, kept.parts[index], logTotals[index], on: flow.device), to: node)
            }
        }
    }
}

/// The operands of one attention and its result, untracked.
struct TrackedAttention: Sendable {
    let query: Tensor
    let sources: [AttentionSource]
    let result: Tensor
    let parts: [AttentionPart]

    var keyHeads: Int { sources[0].keys.shape[1] }

    fileprivate func asFloat() -> TrackedAttention {
        TrackedAttention(
            query: query.asFloat(), sources: sources.map { $0.asFloat() }, result: result.asFloat(), parts: parts)
    }

    /// The gradient of the sinks, `[heads]`: with p = e^(sink − log Σ) the share that a head gives away in a row, −Σ
    /// over rows of p · (gradient · result).
    fileprivate func sinkGradient(
        _ gradient: Tensor, _ part: AttentionPart, _ logTotals: Tensor, on device: Device
    ) -> Tensor {
        let (heads, width, group) = (query.shape[1], result.shape[2], query.shape[1] / keyHeads)
        let (given, results) = (gradient.asFloat(), result.asFloat())
        var sums = [Double](repeating: 0, count: heads)
        for (index, row) in part.rows.enumerated() {
            for head in 0..<heads {
                let place = (row * heads + head) * width
                var product = 0.0
                for i in 0..<width {
                    unsafe product += Double(given.floats[place + i]) * Double(results.floats[place + i])
                }
                let total = unsafe logTotals.floats[(head / group * part.rows.count + index) * group + head % group]
                let sink = unsafe part.rule.sinks?.floats[head] ?? -.infinity
                sums[head] -= exp(Double(sink - total)) * product
            }
        }
        return device.tensor(sums.map { Float($0) }, shape: [heads])
    }

    /// Forward for one sequence; returns log Σ e^score, `[keyHeads, rows, group]`.
    fileprivate func run(_ part: AttentionPart, on device: Device) -> Tensor {
        let works = part.pieces.indices.map { index in
            let (piece, source) = (part.pieces[index], sources[part.pieces[index].source])
            var table = BlockTable(
                keyHeads: keyHeads, headWidth: source.keys.shape[2], valueWidth: source.values.shape[2])
            table.append(keys: source.keys, values: source.values, rows: piece.keys, on: device)
            return AttentionWork(
                query: query, table[0], piece.span, part.rule(ofPiece: index), result: result, on: device)
        }
        let (rows, group) = (part.rows.count, works[0].group)
        let logTotals = device.make([keyHeads, rows, group])
        let tile = 64
        let tiles = (rows + tile - 1) / tile
        let keys = part.pieces.reduce(0) { $0 + $1.keys.count }
        device.parallel(keyHeads * tiles, cost: tile * keys * works[0].rowCost) { range in
            for item in range {
                let (head, first) = (item / tiles, item % tiles * tile)
                let pieces = AttentionPieces(
                    works: works, spans: part.pieces.map(\.span), keyHead: head,
                    rows: first..<min(rows, first + tile))
                unsafe pieces.run(on: device, logTotals: logTotals.mutableFloats + (head * rows + first) * group)
            }
        }
        return logTotals
    }
}
