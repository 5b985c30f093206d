import CMartletKernels

/// The rows that one expert serves, and the weights of its results in their sums.
package struct ExpertRoute: Sendable {
    package var rows: [Int] = []
    package var weights: [Float] = []

    package init() {}
}

/// The results of experts for the rows that they serve, experts ascending.
package enum ExpertResults: Sendable {
    /// One result per expert, `[its rows, width]`; nil where it serves none.
    case each([Tensor?])
    /// The results of all in one tensor.
    case joined(Tensor)

    /// The results of each expert, untracked.
    fileprivate func values(_ routes: [ExpertRoute]) -> [Tensor?] {
        switch self {
        case .each(let results): return results.map { $0?.untracked }
        case .joined(let all):
            var first = 0
            return routes.map { route in
                defer { first += route.rows.count }
                return route.rows.isEmpty ? nil : all.untracked.rows(first..<first + route.rows.count)
            }
        }
    }

    fileprivate var tracked: [Tensor?] {
        switch self {
        case .each(let results): results
        case .joined(let all): [all]
        }
    }

    /// Adds the gradients of the results; nil where an expert serves no rows.
    fileprivate func add(_ gradients: [Tensor?], to nodes: [GradientNode?], _ flow: inout GradientFlow) {
        switch self {
        case .each:
            for (gradient, node) in zip(gradients, nodes) {
                if let gradient { flow.add(gradient, to: node) }
            }
        case .joined(let all):
            let parts = gradients.compactMap(\.self)
            flow.add(parts.isEmpty ? flow.device.make(all.shape) : .joined(rowsOf: parts), to: nodes[0])
        }
    }
}

extension Tensor {
    /// The mixture of experts: base + Σ over experts of weight · result, experts ascending (arXiv:1701.06538).
    ///
    /// - Parameters:
    ///   - base: `[rows, width]`.
    ///   - probabilities: `[rows, experts]`, from which the routes' weights come: as they are, or with `renormalised`
    ///     divided by the sum of those chosen for a row; times `factor`.
    package static func mixture(
        onto base: Tensor, _ results: ExpertResults, _ routes: [ExpertRoute], probabilities: Tensor, renormalised: Bool,
        factor: Float = 1
    ) -> Tensor {
        let sum = base.device(for: "mixture").make(base.shape)
        sum.overwrite(with: base, adding: false)
        let values = results.values(routes)
        for (result, route) in zip(values, routes) {
            guard let result else { continue }
            sum.add(rows: route.rows, of: result, weights: route.weights)
        }
        let operands = [base, probabilities] + results.tracked
        if operands.allSatisfy({ $0?.node == nil }) { return sum }
        let (baseNode, probabilityNode) = (base.node, probabilities.node)
        let (nodes, shares) = (results.tracked.map { $0?.node }, probabilities.untracked)
        return sum.recorded(operands) { gradient, flow in
            flow.add(gradient, to: baseNode)
            let weighted = zip(values, routes).map { $0 == nil ? nil : gradient.weighted($1, on: flow.device) }
            results.add(weighted, to: nodes, &flow)
            var inner = [Float](repeating: 0, count: shares.shape.elements)
            for (expert, route) in routes.enumerated() {
                guard let value = values[expert] else { continue }
                for (index, row) in route.rows.enumerated() {
                    inner[row * routes.count + expert] = factor * gradient.product(row, value, index)
                }
            }
            guard let probabilityNode else { return }
            if renormalised { Tensor.renormalise(&inner, routes, shares, factor: factor) }
            flow.add(flow.device.tensor(inner, shape: shares.shape), to: probabilityNode)
        }
    }

    /// The route's rows, each times its weight.
    private func weighted(_ route: ExpertRoute, on device: Device) -> Tensor {
        let width = shape.width
        let result = device.make([route.rows.count, width])
        for (index, row) in route.rows.enumerated() {
            unsafe martlet_scale(
                floats + row * width, route.weights[index], result.mutableFloats + index * width, width)
        }
        return result
    }

    /// The gradient through renormalization: with w = factor · p / Σ p over the chosen, and factor · dw in `gradient`:
    /// dp = (factor · dw − Σ dw · w) / Σ p.
    private static func renormalise(
        _ gradient: inout [Float], _ routes: [ExpertRoute], _ probabilities: Tensor, factor: Float
    ) {
        let (rows, count) = (probabilities.shape[0], routes.count)
        var totals = [Float](repeating: 0, count: rows)
        var means = totals
        for (expert, route) in routes.enumerated() {
            for (row, weight) in zip(route.rows, route.weights) {
                unsafe totals[row] += probabilities.floats[row * count + expert]
                means[row] += gradient[row * count + expert] * (weight / factor)
            }
        }
        for (expert, route) in routes.enumerated() {
            for row in route.rows {
                gradient[row * count + expert] = (gradient[row * count + expert] - means[row]) / totals[row]
            }
        }
    }

    /// Router probabilities `[rows, experts]` as they are, with the gradient of a loss that balances the experts:
    /// coefficient · experts · Σ over experts of (share of choices) · (mean probability) · rows (arXiv:2101.03961), per
    /// pass and layer.
    package func balanced(_ routes: [ExpertRoute], coefficient: Float) -> Tensor {
        guard let node, coefficient != 0 else { return self }
        let (rows, experts) = (shape[0], shape[1])
        let pulls = routes.map { coefficient * Float(experts) * Float($0.rows.count) / Float(max(rows, 1)) }
        return recorded([self]) { gradient, flow in
            let pull = flow.device.tensor(pulls, shape: [experts])
            flow.add(gradient.adding(toEachRow: pull), to: node)
        }
    }

    /// Adds row i of `source`, times weights[i], to row rows[i] of this tensor, in order. For an operation on a tensor
    /// that it has made itself.
    package func add(rows: [Int], of source: Tensor, weights: [Float]) {
        precondition(
            rows.count == source.shape.rows && weights.count == rows.count && source.shape.width == shape.width,
            "add rows: \(rows.count) rows and \(weights.count) weights of \(source.shape) to \(shape)")
        let width = shape.width
        for (index, row) in rows.enumerated() {
            precondition(row >= 0 && row < shape.rows, "add rows: row \(row) of \(shape)")
            let target = unsafe mutableFloats + row * width
            let addend = unsafe source.floats + index * width
            for i in 0..<width { unsafe target[i] += addend[i] * weights[index] }
        }
    }
}
