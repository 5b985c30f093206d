package import MartletTensors

/// The row-wise sublayer: plain, gated (arXiv:2002.05202), or a mixture of experts.
package enum FeedForwardLayer: Sendable {
    case plain(up: Linear, Activation, down: Linear)
    case gated(gate: Linear, Activation, up: Linear, down: Linear)
    indirect case experts(ExpertsLayer)

    package init(_ form: Architecture.FeedForward, width: Int, _ scope: Scope) {
        switch form {
        case .plain(let hidden, let activation, let bias):
            self = .plain(
                up: Linear(width, hidden, bias: bias, .up, scope["up"]), activation,
                down: Linear(hidden, width, bias: bias, .down, scope["down"]))
        case .gated(let hidden, let activation, let bias):
            self = .gated(
                gate: Linear(width, hidden, bias: bias, .gate, scope["gate"]), activation,
                up: Linear(width, hidden, bias: bias, .up, scope["up"]),
                down: Linear(hidden, width, bias: bias, .down, scope["down"]))
        case .experts(let experts):
            self = .experts(ExpertsLayer(experts, width: width, scope))
        }
    }

    /// `[rows, width]` to the same shape.
    ///
    /// - Parameters: `balance`: as in ``ExpertsLayer``; `dropout`: of what is between the products, except in experts.
    package func callAsFunction(_ x: Tensor, balance: Float = 0, dropout: Dropout? = nil) -> Tensor {
        if let (gate, up, down, activation) = stepParts, gate.map({ $0.matrix.type == up.matrix.type }) ?? true {
            return x.fedForward(gate: gate, up: up, activation, down: down)
        }
        switch self {
        case .plain(let up, let activation, let down):
            return down(up(x, result: up.operands).activated(activation).dropped(dropout))
        case .gated(let gate, let activation, let up, let down):
            let projected = Linear.together([gate, up], x, result: up.operands)
            return down(projected[0].gating(projected[1], activation).dropped(dropout))
        case .experts(let experts):
            return experts(x, balance: balance)
        }
    }
}
