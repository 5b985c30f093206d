package import MartletTensors

/// A mixture of experts: a router sends each row to its `active` best of `count` gated feed-forwards, whose results are
/// summed by the router's weights (arXiv:1701.06538, arXiv:2401.04088).
///
/// Each expert computes once, on the rows sent to it; a row adds its experts' results in ascending order of expert, to
/// that of the shared one where there is one.
package struct ExpertsLayer: Sendable {
    private let form: Architecture.Experts
    private let router: Linear
    /// The correction of scores, `[1, count]`, added for the choice alone.
    private let correction: Parameter?
    private let experts: [FeedForwardLayer]
    private let shared: (gate: Linear?, expert: FeedForwardLayer)?
    private let own: OwnNorms?

    /// See ``Architecture/Experts/ownNorms``.
    private struct OwnNorms: Sendable {
        let before, after, afterShared, router: NormLayer
        /// `[count]`, what each expert's result is multiplied by.
        let scales: Parameter
        /// The scale of the router's normed rows.
        let factor: Float

        init(_ norm: Architecture.Norm, count: Int, width: Int, _ scope: Scope) {
            func layer(_ scope: Scope) -> NormLayer { NormLayer(norm, width: width, scope) }
            (before, after) = (layer(scope["expertsBefore"]), layer(scope["expertsAfter"]))
            (afterShared, router) = (layer(scope["sharedAfter"]), layer(scope["router"]["norm"]))
            scales = scope["router"].vector("scales", [count], .ones, .router)
            factor = 1 / Float(width).squareRoot()
        }
    }

    init(_ form: Architecture.Experts, width: Int, _ scope: Scope) {
        self.form = form
        router = Linear(width, form.count, bias: form.routerBias ?? form.bias, .router, scope["router"])
        correction =
            form.routing.correction == .present ? scope["router"].constant("correction", [form.count], .router) : nil
        let routed = scope["experts"].routed(active: form.active, of: form.count)
        experts = (0..<form.count).map {
            FeedForwardLayer(expertOf: form, hidden: form.hidden, width: width, routed[$0])
        }
        shared = form.shared.map { shared in
            let gate =
                shared.gate == .present ? Linear(width, 1, bias: .absent, .router, scope["sharedGate"]) : nil
            return (gate, FeedForwardLayer(expertOf: form, hidden: shared.hidden, width: width, scope["shared"]))
        }
        own = form.ownNorms.map { OwnNorms($0, count: form.count, width: width, scope) }
    }

    /// The output of the mixture, from `[rows, width]` to the same shape.
    ///
    /// - Parameters:
    ///   - residual: the rows of the residual stream that `x` was made of by the sublayer's norm.
    ///   - sequences: whose rows these are, for experts that take only so many of each.
    ///   - balance: weighs a loss that spreads the rows evenly (see `Tensor.balanced`).
    package func callAsFunction(
        _ x: Tensor, residual: Tensor? = nil, sequences: [Rows.Sequence] = [], balance: Float = 0
    ) -> Tensor {
        guard let own else {
            return routed(x, router(x), onto: withoutRouter(x), sequences: sequences, balance: balance)
        }
        let rows = residual ?? x
        let logits = router(own.router(rows) * own.factor)
        let sum = routed(own.before(rows), logits, onto: x.untracked * 0, sequences: sequences, balance: balance)
        return own.afterShared(withoutRouter(x)) + own.after(sum)
    }

    /// The experts' results for `x` by the router's `logits` `[rows, count]`, added to `start`.
    private func routed(
        _ x: Tensor, _ logits: Tensor, onto start: Tensor, sequences: [Rows.Sequence], balance: Float
    ) -> Tensor {
        let routing = form.routing
        let scores = routing.scores == .softmax ? logits.softmax() : logits.activated(.sigmoid)
        let renormalised = routing.weights == .renormalised
        if case .sparseMixer(let jitter) = routing.weights {
            let (shares, chosen) = logits.sparselyMixed(active: form.active, jitter: jitter)
            let routes = shares.routes(active: form.active, renormalised: false, by: chosen)
            return mixed(x, routes, onto: start, scores: shares, renormalised: false)
        }
        var routes = scores.routes(
            active: form.active, renormalised: renormalised, by: routing.choice(scores, correction?.tensor),
            factor: routing.factor)
        if let capacity = routing.capacity { routes = routes.map { $0.first(capacity, ofEach: sequences) } }
        return mixed(
            x, routes, onto: start, scores: scores.balanced(routes, coefficient: balance), renormalised: renormalised)
    }

    private func mixed(
        _ x: Tensor, _ routes: [ExpertRoute], onto start: Tensor, scores: Tensor, renormalised: Bool
    ) -> Tensor {
        let ofInputs = form.routing.target == .inputs
        let results = routes.enumerated().map { expert, route -> Tensor? in
            guard !route.rows.isEmpty else { return nil }
            let inputs = x.selecting(rows: route.rows)
            guard ofInputs else { return scaled(experts[expert](inputs), expert) }
            let factors = scores.selecting(columns: expert..<expert + 1).selecting(rows: route.rows)
            return experts[expert](inputs.scaled(byRow: factors * form.routing.factor))
        }
        guard ofInputs else {
            return Tensor.mixture(
                onto: start, results, routes, probabilities: scores, renormalised: renormalised,
                factor: form.routing.factor)
        }
        let whole = routes.map { route in
            var route = route
            route.weights = route.weights.map { _ in 1 }
            return route
        }
        return Tensor.mixture(
            onto: start, results, whole, probabilities: scores.untracked, renormalised: false)
    }

    /// An expert's result `[rows, width]` times its learned number, where it has one.
    private func scaled(_ result: Tensor, _ expert: Int) -> Tensor {
        guard let own else { return result }
        let indices = Array(repeating: Int32(expert), count: result.shape[0])
        let factors = own.scales.tensor.reshaped([form.count, 1]).lookup(indices, on: result.device(for: "experts"))
        return result.scaled(byRow: factors)
    }

    /// Router and experts for a step; nil where steps do not know them.
    var stepExperts: StepExperts? {
        guard [.renormalised, .asTheyAre].contains(form.routing), form.bias == .absent, own == nil,
            form.shared?.gate != .absent, let router = router.stepMatrix
        else { return nil }
        let parts = experts.compactMap(\.gatedStepParts)
        guard parts.count == experts.count else { return nil }
        var sharedParts: (weight: StepMatrix, gate: StepMatrix, up: StepMatrix, down: StepMatrix)?
        if let shared {
            guard let weight = shared.gate?.stepMatrix, let parts = shared.expert.gatedStepParts else { return nil }
            sharedParts = (weight, parts.gate, parts.up, parts.down)
        }
        return StepExperts(
            active: form.active, renormalised: form.routing == .renormalised, activation: form.activation,
            router: router, gates: parts.map(\.gate), ups: parts.map(\.up), downs: parts.map(\.down),
            shared: sharedParts)
    }

    /// The result of the shared expert, which every row gets wherever it is sent, times σ(gate) where it has one; or
    /// zeros.
    private func withoutRouter(_ x: Tensor) -> Tensor {
        guard let shared else { return x.untracked * 0 }
        let result = shared.expert(x)
        return shared.gate.map { result.scaled(byRow: $0(x).activated(.sigmoid)) } ?? result
    }
}

extension ExpertRoute {
    /// This route with the first `capacity` rows of each sequence alone.
    fileprivate func first(_ capacity: Int, ofEach sequences: [Rows.Sequence]) -> ExpertRoute {
        var (kept, index, taken) = (ExpertRoute(), 0, 0)
        for (row, weight) in zip(rows, weights) {
            while index < sequences.count, row >= sequences[index].rows.upperBound { (index, taken) = (index + 1, 0) }
            taken += 1
            guard taken <= capacity else { continue }
            kept.rows.append(row)
            kept.weights.append(weight)
        }
        return kept
    }
}

extension Architecture.Routing {
    /// The numbers by which experts are chosen, where those are not the scores `[rows, experts]` themselves.
    fileprivate func choice(_ scores: Tensor, _ correction: Tensor?) -> Tensor? {
        guard correction != nil || groups != nil else { return nil }
        let plain = scores.untracked
        let corrected = correction.map { plain.adding(toEachRow: $0) } ?? plain
        guard let groups else { return corrected }
        return corrected.within(
            groups.active, of: groups.count, bySumOf: groups.measure == .best ? 1 : 2)
    }
}
