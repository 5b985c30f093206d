package import MartletTensors

/// The ranks that divide the experts of mixtures among them (expert parallelism, arXiv:2006.16668), as layers see them.
///
/// Each has experts and rows of its own, and comes to the layers of a pass, forwards and backwards, when the others do.
package protocol ExpertRanks: MatrixRanks {
    /// True where this rank's rows count nothing in the present pass.
    var isIdle: Bool { get }

    /// True where the rows of all ranks are those of one pass, which they divide; else each has a pass of its own.
    var joinsRows: Bool { get }

    /// Counts rows of this rank that went to the experts of others, and rows of others that came to its own.
    func count(away: Int, here: Int)

    /// Takes what the rows of one pass after the other have brought to the gradients of this rank's experts at `place`,
    /// each as a shard of its own: they begin anew behind each, and become the sum over all passes, added in a binary
    /// tree, behind the last. Where there is one pass, they stay.
    func takeGradients(ofExpertsAt place: ParameterPlace, in gradients: Gradients)
}

/// The division of the experts of one layer among ranks.
package struct ExpertDivision: Sendable {
    package let ranks: any ExpertRanks
    package let place: ParameterPlace
    /// The number of experts.
    package let count: Int
    /// True where gradients flow to the experts.
    package let isTracked: Bool

    package init(_ ranks: any ExpertRanks, at place: ParameterPlace, count: Int, isTracked: Bool) {
        (self.ranks, self.place, self.count, self.isTracked) = (ranks, place, count, isTracked)
    }
}

/// One pass through experts that ranks divide: each row is sent to the ranks that have its experts, and its results
/// come back (all-to-all); gradients take the same way.
///
/// The bits are those of one rank. An expert computes the rows of one pass after the other, in their order, as one rank
/// computes them; so its gradients are products over the rows of one pass, added as shards are.
struct ExpertExchange {
    /// The rows of one pass at one expert: how many each rank has sent, and their results, which know where the
    /// gradients of the rows themselves end.
    private struct Visit: Sendable {
        let counts: [Int]
        let input: GradientNode
        let result: Tensor
    }

    private let division: ExpertDivision
    private let width: Int
    private let device: Device

    init(_ division: ExpertDivision, width: Int, on device: Device) {
        (self.division, self.width, self.device) = (division, width, device)
    }

    private var ranks: any ExpertRanks { division.ranks }

    /// The results of experts, `[rows of all experts, width]`, experts ascending.
    ///
    /// - Parameters:
    ///   - inputs: for each expert, this rank's rows that it serves; nil where there are none.
    ///   - compute: an expert's result for some rows; asked for this rank's experts alone.
    func results(of inputs: [Tensor?], by compute: (_ expert: Int, _ rows: Tensor) -> Tensor) -> Tensor {
        let counts = inputs.map { $0?.shape[0] ?? 0 }
        let arriving = received(counts)
        let away = (0..<ranks.count).map { rank in experts(of: rank).reduce(0) { $0 + counts[$1] } }
        let here = arriving.map { $0.reduce(0, +) }
        ranks.count(
            away: away.reduce(0, +) - away[ranks.rank], here: here.reduce(0, +) - here[ranks.rank])
        let rows = exchanged(cut(joined(inputs.compactMap { $0?.untracked }), at: away), receiving: here)
        let found = passes.map { computed(rows[$0], arriving[$0], by: compute) }
        let whole = joined(exchanged(found.flatMap(\.results), receiving: away))
        guard division.isTracked else { return whole }
        return throughExperts(whole, inputs, counts, found.map(\.visits), away: away, here: here)
    }

    /// The ranks whose rows are of one pass, for each pass.
    private var passes: [Range<Int>] {
        ranks.joinsRows ? [0..<ranks.count] : (0..<ranks.count).map { $0..<$0 + 1 }
    }

    /// The results of the rows of one pass at the experts that are here, for each of the ranks that have sent some.
    ///
    /// - Parameter arriving: for each rank, its rows for each expert.
    private func computed(
        _ rows: ArraySlice<Tensor>, _ arriving: ArraySlice<[Int]>, by compute: (_ expert: Int, _ rows: Tensor) -> Tensor
    ) -> (results: [Tensor], visits: [Visit]) {
        let parts = zip(rows, arriving).map { cut($0, at: $1) }
        var results = parts.map { _ in [Tensor]() }
        var visits: [Visit] = []
        for (place, expert) in experts(of: ranks.rank).enumerated() {
            let whole = joined(parts.map { $0[place] })
            guard whole.shape[0] > 0 else { continue }
            let (counts, input) = (parts.map { $0[place].shape[0] }, GradientNode(input: whole.shape))
            let result = compute(expert, division.isTracked ? whole.tracked(by: input) : whole)
            if result.node != nil { visits.append(Visit(counts: counts, input: input, result: result)) }
            for (index, part) in cut(result.untracked, at: counts).enumerated() { results[index].append(part) }
        }
        return (results.map(joined), visits)
    }

    /// - Parameter visits: of each pass.
    private func throughExperts(
        _ whole: Tensor, _ inputs: [Tensor?], _ counts: [Int], _ visits: [[Visit]], away: [Int], here: [Int]
    ) -> Tensor {
        let nodes = inputs.map { $0?.node }
        let node = GradientNode(whole.shape, parents: nodes.compactMap(\.self)) { gradient, flow in
            // Rows that only keep those of others company bring nothing to the experts.
            let own = ranks.isIdle ? device.make(gradient.shape).filled(with: 0) : gradient
            let arrived = exchanged(cut(own, at: away), receiving: here)
            var slopes: [Tensor] = []
            for (visits, pass) in zip(visits, passes) {
                slopes += backward(visits, Array(arrived[pass]), &flow)
                ranks.takeGradients(ofExpertsAt: division.place, in: flow.gradients)
            }
            let returned = joined(exchanged(slopes, receiving: away))
            for (node, slopes) in zip(nodes, cut(returned, at: counts)) where slopes.shape[0] > 0 {
                flow.add(slopes, to: node)
            }
        }
        return whole.tracked(by: node)
    }

    /// The backward pass of one pass's rows through the experts that are here.
    ///
    /// - Parameter gradients: of their results, for each rank that has sent some, experts ascending.
    /// - Returns: the gradients of the rows, likewise.
    private func backward(_ visits: [Visit], _ gradients: [Tensor], _ flow: inout GradientFlow) -> [Tensor] {
        let parts = gradients.indices.map { index in cut(gradients[index], at: visits.map { $0.counts[index] }) }
        var slopes = parts.map { _ in [Tensor]() }
        for (place, visit) in visits.enumerated() {
            let gradient = joined(parts.map { $0[place] })
            var inner = GradientFlow(into: flow.gradients, on: device)
            inner.add(gradient, to: visit.result.node)
            inner.run(from: [visit.result.node].compactMap(\.self), stoppingAt: [visit.input])
            let found = inner.gradient(of: visit.input) ?? device.make(gradient.shape).filled(with: 0)
            for (index, part) in cut(found, at: visit.counts).enumerated() { slopes[index].append(part) }
        }
        return slopes.map(joined)
    }

    // MARK: - Rows

    /// The experts that a rank has.
    private func experts(of rank: Int) -> Range<Int> { ranks.part(of: division.count, rank: rank) }

    private func joined(_ parts: [Tensor]) -> Tensor {
        let parts = parts.filter { $0.shape[0] > 0 }
        guard parts.count > 1 else { return parts.first ?? device.make([0, width]) }
        return device.adopt(Tensor.joined(rowsOf: parts))
    }

    /// `rows` in parts of so many.
    private func cut(_ rows: Tensor, at counts: [Int]) -> [Tensor] {
        var first = 0
        return counts.map { count in
            defer { first += count }
            return rows.rows(first..<first + count)
        }
    }

    // MARK: - Messages

    /// The numbers of rows that each rank has for each expert that is here; none where they do not arrive, which is
    /// told when the pass ends.
    private func received(_ counts: [Int]) -> [[Int]] {
        func numbers(_ experts: Range<Int>) -> Tensor {
            device.tensor(experts.map { Float(counts[$0]) }, shape: [experts.count, 1])
        }
        let own = experts(of: ranks.rank)
        let found = exchanged(
            (0..<ranks.count).map { numbers(experts(of: $0)) },
            receiving: Array(repeating: own.count, count: ranks.count), into: { $0.filled(with: 0) })
        return found.map { $0.values.map { Int($0) } }
    }

    /// Sends a part of rows to each rank, and receives as many from each as `counts` says.
    ///
    /// - Parameter made: what messages are received into, of new memory.
    private func exchanged(
        _ parts: [Tensor], receiving counts: [Int], into made: (Tensor) -> Tensor = { $0 }
    ) -> [Tensor] {
        var received = parts
        ranks.exchangeAll { target, origin in
            let rows = made(device.make([counts[origin], parts[target].shape[1]]))
            unsafe ranks.exchange(
                UnsafeRawBufferPointer(start: parts[target].pointer, count: parts[target].bytes), to: target,
                UnsafeMutableRawBufferPointer(start: rows.mutableFloats, count: rows.bytes), from: origin)
            received[origin] = rows
        }
        return received
    }
}
