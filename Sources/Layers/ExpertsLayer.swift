package import MartletTensors

/// A mixture of experts: a router sends each row to its `active` best of `count` gated feed-forwards, whose results are
/// summed by the router's weights (arXiv:1701.06538, arXiv:2401.04088).
///
/// Each expert computes once, on the rows sent to it; a row adds its experts' results in ascending order of expert, to
/// that of the shared one where there is one. Ranks that learn together may have some of the experts each
/// (``ExpertExchange``).
package struct ExpertsLayer: Sendable {
    private let form: Architecture.Experts
    private let router: Linear
    /// The correction of scores, `[1, count]`, added for the choice alone.
    private let correction: Parameter?
    private let experts: [FeedForwardLayer]
    /// The division of the experts among ranks; nil where all are here.
    private let division: ExpertDivision?
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

        /// The rows that the router reads, of those of the residual stream.
        func routed(_ x: Tensor) -> Tensor { router(x) * factor }

        /// The layer's result, of the shared expert's and of the sum of the others.
        func joined(shared: Tensor, sum: Tensor) -> Tensor { afterShared(shared) + after(sum) }
    }

    init(_ form: Architecture.Experts, width: Int, _ scope: Scope) {
        self.form = form
        router = Linear(width, form.count, bias: form.routerBias ?? form.bias, .router, scope["router"])
        correction =
            form.routing.correction == .present ? scope["router"].constant("correction", [form.count], .router) : nil
        experts = (0..<form.count).map { index in
            let expert = scope["experts"].expert(index, active: form.active, of: form.count)
            return FeedForwardLayer(expertOf: form, hidden: form.hidden, width: width, expert)
        }
        division = scope.dividedExperts
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
        let logits = router(own.routed(rows))
        let sum = routed(own.before(rows), logits, onto: x.untracked * 0, sequences: sequences, balance: balance)
        return own.joined(shared: withoutRouter(x), sum: sum)
    }

    /// The experts' results for `x` by the router's `logits` `[rows, count]`, added to `start`.
    private func routed(
        _ x: Tensor, _ logits: Tensor, onto start: Tensor, sequences: [Rows.Sequence], balance: Float
    ) -> Tensor {
        var (routes, scores) = routes(by: logits)
        if case .sparseMixer = form.routing.weights {
            return mixed(x, routes, onto: start, scores: scores, renormalised: false)
        }
        if let capacity = form.routing.capacity { routes = routes.map { $0.first(capacity, ofEach: sequences) } }
        return mixed(
            x, routes, onto: start, scores: scores.balanced(routes, coefficient: balance),
            renormalised: form.routing.weights == .renormalised)
    }

    /// The routes of rows by the router's `logits` `[rows, count]`, and the scores that their weights come from.
    private func routes(by logits: Tensor) -> (routes: [ExpertRoute], scores: Tensor) {
        let routing = form.routing
        if case .sparseMixer(let jitter) = routing.weights {
            let (shares, chosen) = logits.sparselyMixed(active: form.active, jitter: jitter)
            return (shares.routes(active: form.active, renormalised: false, by: chosen), shares)
        }
        let scores = routing.scores == .softmax ? logits.softmax() : logits.activated(.sigmoid)
        let routes = scores.routes(
            active: form.active, renormalised: routing.weights == .renormalised,
            by: routing.choice(scores, correction?.tensor), factor: routing.factor)
        return (routes, scores)
    }

    private func mixed(
        _ x: Tensor, _ routes: [ExpertRoute], onto start: Tensor, scores: Tensor, renormalised: Bool
    ) -> Tensor {
        let ofInputs = form.routing.target == .inputs
        func inputs(_ expert: Int) -> Tensor? {
            let rows = routes[expert].rows
            guard !rows.isEmpty else { return nil }
            let inputs = x.selecting(rows: rows)
            guard ofInputs else { return inputs }
            let factors = scores.selecting(columns: expert..<expert + 1).selecting(rows: rows)
            return inputs.scaled(byRow: factors * form.routing.factor)
        }
        let results: ExpertResults
        if let division {
            let exchange = ExpertExchange(division, width: x.shape.width, on: x.device(for: "experts"))
            let joined = exchange.results(of: routes.indices.map(inputs)) { experts[$0]($1) }
            let servers = routes.indices.flatMap { Array(repeating: $0, count: routes[$0].rows.count) }
            results = .joined(scaled(joined, servers))
        } else {
            results = .each(
                routes.indices.map { expert in
                    inputs(expert).map {
                        scaled(experts[expert]($0), Array(repeating: expert, count: routes[expert].rows.count))
                    }
                })
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

    /// Results `[rows, width]`, each row times the learned number of its expert, where there are such.
    private func scaled(_ results: Tensor, _ experts: [Int]) -> Tensor {
        guard let own else { return results }
        let table = own.scales.tensor.reshaped([form.count, 1])
        return results.scaled(
            byRow: table.lookup(experts.map { Int32($0) }, on: results.device(for: "experts")))
    }

    // MARK: Decode steps

    /// Adds the phases of norm(x) through the experts to a decode step, but for the sum; false where steps do not know
    /// the matrices.
    func begin(in plan: StepPlan, norm: StepNorm?) -> Bool {
        guard let parts = stepExperts else { return false }
        var routed: StepRows?
        if let own {
            let rows = plan.rows(.routed, width: plan.width)
            plan.compute { [unowned plan] count in rows.set(own.routed(plan.stream.tensor(count, on: plan.serial))) }
            routed = rows
        }
        plan.route(parts, norm: norm, routed: routed, expertNorm: own?.before.stepNorm)
        return true
    }

    /// Adds the phases of x + join(the experts' sum).
    func end(in plan: StepPlan, join: StepNorm?) {
        guard let own else {
            plan.addExperts(join: join)
            return
        }
        let (sum, shared) = plan.mixExperts()
        plan.compute { [unowned plan] count in
            sum.set(own.joined(shared: shared.tensor(count, on: plan.serial), sum: sum.tensor(count, on: plan.serial)))
        }
        plan.join(sum, norm: join)
    }

    /// Router and experts for a step; nil where steps do not know their matrices.
    private var stepExperts: StepExperts? {
        // A step has one row of a sequence: an expert that takes one takes all.
        guard let router = router.stepMatrix, form.routing.capacity ?? 1 > 0, own == nil || shared != nil else {
            return nil
        }
        let parts = experts.compactMap(\.expertStepParts)
        let gates = parts.compactMap(\.gate)
        guard parts.count == experts.count, gates.isEmpty || gates.count == parts.count else { return nil }
        var sharedParts: StepExperts.Shared?
        if let shared {
            guard let parts = shared.expert.stepParts, let gate = parts.gate, form.limit == nil else { return nil }
            if shared.gate != nil && (shared.gate?.stepMatrix == nil || own != nil) { return nil }
            sharedParts = (shared.gate?.stepMatrix, gate, parts.up, parts.down)
        }
        let isPlain = [.renormalised, .asTheyAre].contains(form.routing)
        var made = StepExperts(
            active: form.active,
            isPlain
                ? .best(renormalised: form.routing == .renormalised) : .other { self.routes(by: $0).routes },
            activation: form.activation, router: router, gates: gates.isEmpty ? nil : gates, ups: parts.map(\.up),
            downs: parts.map(\.down), shared: sharedParts)
        made?.limit = form.limit
        made?.weighsInputs = form.routing.target == .inputs
        made?.scales = own?.scales.tensor
        return made
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
