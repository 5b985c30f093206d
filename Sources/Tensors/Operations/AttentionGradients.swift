import CMartletKernels

/// The gradients of attention (arXiv:2205.14135): one item of work for each key head of each part, pieces one after the
/// other; or of each segment of a long part with one piece.
extension TrackedAttention {
    /// The gradients of an attention's operands.
    struct Gradients: Sendable {
        /// The gradients of the queries, one for each piece that a part may have; their sum is the whole.
        var query: [Tensor]
        var sources: [AttentionSource]
        var biases: [(GradientNode, Tensor)] = []
        /// The tensor of a part's bias, where it is differentiated.
        var biasOfPart: [Tensor?] = []
    }

    func backward(
        _ gradient: Tensor, _ logTotals: [Tensor], _ biasNodes: [GradientNode?], on device: Device
    ) -> Gradients {
        let gradients = emptyGradients(biasNodes, on: device)
        let works = parts.map { part in
            part.pieces.indices.map { index in
                let (piece, source) = (part.pieces[index], sources[part.pieces[index].source])
                return AttentionWork(
                    query: query,
                    BlockTable(describing: piece.keys.count, keys: source.keys, values: source.values)[0],
                    piece.span, part.rule(ofPiece: index), result: result, on: device)
            }
        }
        // What two sequences add to, one of them adds to after the other.
        let biases = biasNodes.compactMap { $0.map { ObjectIdentifier($0) } }
        let independent = Set(biases).count == biases.count && sources.indices.allSatisfy(partsAreDisjoint)
        let products = parts.flatMap { part in part.pieces.map { part.rows.count * $0.keys.count } }.reduce(0, +)
        let cost = products * 4 * (works.first?.first?.rowCost ?? 1)
        let inOnePiece = parts.allSatisfy { $0.pieces.count == 1 }
        if biases.isEmpty && independent && inOnePiece, let longest = parts.map(\.segments).max(), longest > 1 {
            backwardBySegment(works, gradient, logTotals, gradients, longest: longest, cost: cost, on: device)
        } else {
            let groups = independent ? parts.indices.map { [$0] } : [Array(parts.indices)]
            backward(groups, works, gradient, logTotals, gradients, cost: cost / max(1, groups.count), on: device)
        }
        return gradients
    }

    /// The parts of a group one after the other, groups and heads beside each other.
    private func backward(
        _ groups: [[Int]], _ works: [[AttentionWork]], _ gradient: Tensor, _ logTotals: [Tensor],
        _ gradients: Gradients, cost: Int, on device: Device
    ) {
        let heads = keyHeads
        device.parallel(groups.count * heads, cost: max(1, cost)) { range in
            for item in range {
                for index in groups[item / heads] {
                    for (place, piece) in parts[index].pieces.enumerated() {
                        backward(
                            index, place, works[index][place], head: item % heads, keys: 0..<piece.keys.count, gradient,
                            logTotals[index], gradients, into: gradients.query[place], on: device)
                    }
                }
            }
        }
    }

    /// Long sequences by segments of their keys, as many at once as it takes to occupy the threads. Each has a share in
    /// the gradients of the queries, and shares are added in ascending order.
    private func backwardBySegment(
        _ works: [[AttentionWork]], _ gradient: Tensor, _ logTotals: [Tensor], _ gradients: Gradients, longest: Int,
        cost: Int, on device: Device
    ) {
        let heads = keyHeads
        let items = parts.count * heads
        let together = min(longest, (device.threads + items - 1) / items)
        let shares = (0..<together).map { _ in device.make(query.shape) }
        for first in stride(from: 0, to: longest, by: together) {
            device.parallel(items * together, cost: max(1, cost / (parts.count * longest))) { range in
                for item in range {
                    let (index, head, place) = (item / heads % parts.count, item % heads, item / items)
                    let keys = parts[index].keys(ofSegment: first + place)
                    guard !keys.isEmpty else { continue }
                    backward(
                        index, 0, works[index][0], head: head, keys: keys, gradient, logTotals[index], gradients,
                        into: shares[place], on: device)
                }
            }
            for (place, share) in shares.enumerated() {
                for part in parts where !part.keys(ofSegment: first + place).isEmpty {
                    gradients.query[0].rows(part.rows).overwrite(
                        with: share.rows(part.rows), adding: first + place > 0)
                }
            }
        }
    }

    private func emptyGradients(_ biasNodes: [GradientNode?], on device: Device) -> Gradients {
        func zeros(_ shape: Shape) -> Tensor { device.make(shape).filled(with: 0) }
        let pieces = parts.reduce(1) { max($0, $1.pieces.count) }
        var gradients = Gradients(
            query: (0..<pieces).map { _ in zeros(query.shape) },
            sources: sources.map { AttentionSource(keys: zeros($0.keys.shape), values: zeros($0.values.shape)) })
        // Parts that share a bias add to one tensor.
        for node in biasNodes {
            if let node, let known = gradients.biases.first(where: { $0.0 === node }) {
                gradients.biasOfPart.append(known.1)
            } else if let node {
                gradients.biases.append((node, zeros(node.shape)))
                gradients.biasOfPart.append(gradients.biases.last?.1)
            } else {
                gradients.biasOfPart.append(nil)
            }
        }
        return gradients
    }

    /// Returns whether no two parts see the same row of a source.
    private func partsAreDisjoint(source: Int) -> Bool {
        let ranges = parts.flatMap { part in
            Set(part.pieces.filter { $0.source == source && !$0.keys.isEmpty }.map(\.keys))
        }
        let sorted = ranges.sorted { $0.lowerBound < $1.lowerBound }
        return zip(sorted, sorted.dropFirst()).allSatisfy { $0.upperBound <= $1.lowerBound }
    }

    private func backward(
        _ index: Int, _ place: Int, _ work: AttentionWork, head: Int, keys visited: Range<Int>, _ gradient: Tensor,
        _ logTotals: Tensor, _ gradients: Gradients, into queryGradient: Tensor, on device: Device
    ) {
        let (part, piece) = (parts[index], parts[index].pieces[place])
        let (source, found) = (sources[piece.source], gradients.sources[piece.source])
        let forward = unsafe work.part(keyHead: head)
        let (keyWidth, valueWidth) = (source.keys.shape[2], source.values.shape[2])
        let (keyStride, valueStride) = (keyHeads * keyWidth, keyHeads * valueWidth)
        let keyAt = piece.keys.lowerBound * keyStride + head * keyWidth
        let valueAt = piece.keys.lowerBound * valueStride + head * valueWidth
        let queryAt = unsafe part.rows.lowerBound * forward.query_stride + head * work.group * keyWidth
        let outputAt = unsafe part.rows.lowerBound * forward.output_stride + head * work.group * valueWidth
        var backward = unsafe martlet_attention_backward(
            forward: forward, keys: source.keys.floats + keyAt, values: source.values.floats + valueAt,
            key_stride: keyStride, value_stride: valueStride, key_count: piece.keys.count,
            first_key: visited.lowerBound, end_key: visited.upperBound,
            log_totals: logTotals.floats + head * part.rows.count * work.group, d_outputs: gradient.floats + outputAt,
            d_queries: queryGradient.mutableFloats + queryAt,
            d_keys: found.keys.mutableFloats + keyAt, d_values: found.values.mutableFloats + valueAt, d_bias: nil)
        if let bias = gradients.biasOfPart[index], let own = unsafe forward.bias, let tensor = part.biasTensor {
            unsafe backward.d_bias = bias.mutableFloats + (own - tensor.floats)
        }
        let scratch = device.scratch(bytes: unsafe martlet_attend_backward_scratch(&backward) * 4)
        unsafe martlet_attend_backward(&backward, scratch.mutablePointer.assumingMemoryBound(to: Float.self))
    }
}
