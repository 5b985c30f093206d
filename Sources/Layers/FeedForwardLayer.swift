package import MartletTensors

/// The feed-forward sublayer, row by row: plain, gated (arXiv:2002.05202), or a mixture of experts.
package enum FeedForwardLayer: Sendable {
    case plain(up: Linear, Activation, down: Linear)
    case gated(gate: Linear, Activation, up: Linear, down: Linear)
    /// A gated feed-forward whose gates below a row's threshold are zero: see ``Architecture/Layer/gateDeviations``.
    case sparse(gate: Linear, Activation, deviations: Float, up: Linear, down: Linear)
    /// A gated feed-forward cut off at a limit: see ``Architecture/Experts/limit``.
    case clamped(gate: Linear, Activation, limit: Float, up: Linear, down: Linear)
    /// Slopes and constants are of one element each.
    case expandedIntegral(up: Linear, XIELULayer, down: Linear)
    indirect case experts(ExpertsLayer)

    package init(_ form: Architecture.FeedForward, width: Int, _ scope: Scope) {
        switch form {
        case .plain(let hidden, let activation, let bias):
            self = .plain(
                up: Linear(width, hidden, bias: bias, .up, scope["up"]), activation,
                down: Linear(hidden, width, bias: bias, .down, scope["down"]))
        case .gated(let hidden, let activation, let bias):
            self = .gated(
                gate: Linear(width, hidden, bias: bias.ofInputs, .gate, scope["gate"]), activation,
                up: Linear(width, hidden, bias: bias.ofInputs, .up, scope["up"]),
                down: Linear(hidden, width, bias: bias.ofOutput, .down, scope["down"]))
        case .expandedIntegral(let hidden):
            self = .expandedIntegral(
                up: Linear(width, hidden, bias: .absent, .up, scope["up"]),
                XIELULayer(scope), down: Linear(hidden, width, bias: .absent, .down, scope["down"]))
        case .experts(let experts):
            self = .experts(ExpertsLayer(experts, width: width, scope))
        }
    }

    /// The feed-forward of a layer, sparse where the layer says so.
    init(of layer: Architecture.Layer, width: Int, _ scope: Scope) {
        self.init(layer.feedForward, width: width, scope)
        if let deviations = layer.gateDeviations, case .gated(let gate, let activation, let up, let down) = self {
            self = .sparse(gate: gate, activation, deviations: deviations, up: up, down: down)
        }
    }

    /// The feed-forward of one of a mixture's experts, of `hidden` elements between its products.
    init(expertOf form: Architecture.Experts, hidden: Int, width: Int, _ scope: Scope) {
        let layer = FeedForwardLayer(
            form.gate == .present
                ? .gated(hidden: hidden, form.activation, bias: .init(form.bias))
                : .plain(hidden: hidden, form.activation, bias: form.bias), width: width, scope)
        guard let limit = form.limit, case .gated(let gate, let activation, let up, let down) = layer else {
            self = layer
            return
        }
        self = .clamped(gate: gate, activation, limit: limit, up: up, down: down)
    }

    /// The output of the feed-forward, from `[rows, width]` to the same shape.
    ///
    /// - Parameters: `residual`, `sequences` and `balance`: as in ``ExpertsLayer``; `dropout`: of what is between the
    ///   products, except in experts.
    package func callAsFunction(
        _ x: Tensor, residual: Tensor? = nil, sequences: [Rows.Sequence] = [], balance: Float = 0,
        dropout: Dropout? = nil
    ) -> Tensor {
        if let (gate, up, down, activation) = stepParts, gate.map({ $0.matrix.type == up.matrix.type }) ?? true {
            return x.fedForward(gate: gate, up: up, activation, down: down)
        }
        switch self {
        case .plain(let up, let activation, let down):
            if let ranks = FeedForwardLayer.ranks(up, down) {
                let hidden = Linear.ownOutputs([up], x, result: up.operands)[0].activated(activation)
                return down.ofOwnInputs(hidden.dropped(dropout, width: up.outputs, ranks))
            }
            return down(up(x, result: up.operands).activated(activation).dropped(dropout))
        case .gated(let gate, let activation, let up, let down):
            if let ranks = FeedForwardLayer.ranks(gate, up, down) {
                let projected = Linear.ownOutputs([gate, up], x, result: up.operands)
                let hidden = projected[0].gating(projected[1], activation)
                return down.ofOwnInputs(hidden.dropped(dropout, width: up.outputs, ranks))
            }
            let projected = Linear.together([gate, up], x, result: up.operands)
            return down(projected[0].gating(projected[1], activation).dropped(dropout))
        case .sparse(let gate, let activation, let deviations, let up, let down):
            let projected = Linear.together([gate, up], x)
            return down(
                projected[0].sparsified(deviations: deviations).gating(projected[1], activation).dropped(dropout))
        case .clamped(let gate, let activation, let limit, let up, let down):
            let projected = Linear.together([gate, up], x)
            return down(projected[0].clampedGating(projected[1], activation, limit: limit).dropped(dropout))
        case .expandedIntegral(let up, let activation, let down): return down(activation(up(x)).dropped(dropout))
        case .experts(let experts):
            return experts(x, residual: residual, sequences: sequences, balance: balance)
        }
    }

    /// The ranks that divide what lies between the products; nil where one of the matrices is whole.
    private static func ranks(_ projections: Linear...) -> (any MatrixRanks)? {
        projections.allSatisfy { $0.ranks != nil } ? projections[0].ranks : nil
    }
}

/// xIELU with the numbers of one layer (arXiv:2411.13010).
package struct XIELULayer: Sendable {
    /// The slopes before softplus `[1]`, which learn, and the scalars β and ε, which do not.
    private let positive, negative, beta, epsilon: Parameter

    init(_ scope: Scope) {
        positive = scope.vector("positive", [1], .ones, .other)
        negative = scope.vector("negative", [1], .ones, .other)
        beta = scope.constant("beta", [], .other, value: 0.5)
        epsilon = scope.constant("epsilon", [], .other, value: -1e-6)
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        x.expandedIntegral(
            positive: positive.tensor, negative: negative.tensor, beta: unsafe beta.tensor.floats[0],
            epsilon: unsafe epsilon.tensor.floats[0])
    }
}
