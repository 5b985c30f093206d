package import MartletTensors

/// A mixture of experts: a router sends each row to its `active` best of `count` gated feed-forwards, whose results are summed
/// by the router's weights (arXiv:1701.06538, arXiv:2401.04088).
///
/// Each expert computes once, on the rows sent to it; a row adds its experts' results in ascending order of expert, to that of the
/// shared one where there is one.
package struct ExpertsLayer: Sendable {
    private let form: Architecture.Experts
    private let router: Linear
    private let experts: [FeedForwardLayer]
    private let shared: (gate: Linear, expert: FeedForwardLayer)?

    init(_ form: Architecture.Experts, width: Int, _ scope: Scope) {
        self.form = form
        func expert(_ hidden: Int, _ scope: Scope) -> FeedForwardLayer {
            FeedForwardLayer(.gated(hidden: hidden, form.activation, bias: .absent), width: width, scope)
        }
        router = Linear(width, form.count, bias: .absent, .router, scope["router"])
        let routed = scope["experts"].routed(active: form.active, of: form.count)
        experts = (0..<form.count).map { expert(form.hidden, routed[$0]) }
        shared = form.shared.map {
            (Linear(width, 1, bias: .absent, .router, scope["sharedGate"]), expert($0.hidden, scope["shared"]))
        }
    }

    /// `[rows, width]` to the same shape; `balance` weighs a loss that spreads the rows evenly (see `Tensor.balanced`).
    package func callAsFunction(_ x: Tensor, balance: Float = 0) -> Tensor {
        let probabilities = router(x).softmax()
        let routes = probabilities.routes(active: form.active, renormalised: form.routing == .renormalised)
        let results = routes.enumerated().map { expert, route in
            route.rows.isEmpty ? nil : experts[expert](x.selecting(rows: route.rows))
        }
        return Tensor.mixture(
            onto: withoutRouter(x), results, routes,
            probabilities: probabilities.balanced(routes, coefficient: balance),
            renormalised: form.routing == .renormalised)
    }

    /// Router and experts for a step; nil where steps do not know them.
    var stepExperts: StepExperts? {
        guard let router = router.stepMatrix else { return nil }
        let parts = experts.compactMap(\.gatedStepParts)
        guard parts.count == experts.count else { return nil }
        var sharedParts: (weight: StepMatrix, gate: StepMatrix, up: StepMatrix, down: StepMatrix)?
        if let shared {
            guard let weight = shared.gate.stepMatrix, let parts = shared.expert.gatedStepParts else { return nil }
            sharedParts = (weight, parts.gate, parts.up, parts.down)
        }
        return StepExperts(
            active: form.active, renormalised: form.routing == .renormalised, activation: form.activation,
            router: router, gates: parts.map(\.gate), ups: parts.map(\.up), downs: parts.map(\.down),
            shared: sharedParts)
    }

    /// What every row gets, wherever it is sent: the shared expert's result times σ(gate), or zeros.
    private func withoutRouter(_ x: Tensor) -> Tensor {
        guard let shared else { return x.untracked * 0 }
        return shared.expert(x).scaled(byRow: shared.gate(x).activated(.sigmoid))
    }
}
