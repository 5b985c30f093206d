import MartletTensors

extension FeedForwardLayer {
    /// The matrices of a plain or gated one.
    var stepParts: (gate: StepMatrix?, up: StepMatrix, down: StepMatrix, activation: Activation)? {
        switch self {
        case .plain(let up, let activation, let down):
            guard let up = up.stepMatrix, let down = down.stepMatrix else { return nil }
            return (nil, up, down, activation)
        case .gated(let gate, let activation, let up, let down):
            guard let gate = gate.stepMatrix, let up = up.stepMatrix, let down = down.stepMatrix else { return nil }
            return (gate, up, down, activation)
        case .sparse, .clamped, .expandedIntegral, .experts: return nil
        }
    }

    /// The matrices of one of a mixture's experts, which may have a limit.
    var expertStepParts: (gate: StepMatrix?, up: StepMatrix, down: StepMatrix)? {
        if case .clamped(let gate, _, _, let up, let down) = self {
            guard let gate = gate.stepMatrix, let up = up.stepMatrix, let down = down.stepMatrix else { return nil }
            return (gate, up, down)
        }
        return stepParts.map { ($0.gate, $0.up, $0.down) }
    }

    /// Adds norm(x) through the feed-forward to a decode step, but for its last product; false where steps do not know
    /// it.
    func begin(in plan: StepPlan, norm: StepNorm?) -> Bool {
        switch self {
        case .experts(let experts): return experts.begin(in: plan, norm: norm)
        case .expandedIntegral(let up, let activation, _):
            guard let up = up.stepMatrix else { return false }
            let rows = plan.multiply([(up, .activated)], norm: norm)[0]
            plan.compute { [unowned plan] count in rows.set(activation(rows.tensor(count, on: plan.serial))) }
        case .plain, .gated, .clamped:
            guard let parts = stepParts else { return false }
            plan.activate(gate: parts.gate, up: parts.up, parts.activation, norm: norm, for: parts.down)
        case .sparse(let gate, let activation, let deviations, let up, _):
            guard let gate = gate.stepMatrix, let up = up.stepMatrix else { return false }
            let made = plan.multiply([(gate, .gate), (up, .activated)], norm: norm)
            plan.compute { [unowned plan] rows in
                let (gate, up) = (made[0].tensor(rows, on: plan.serial), made[1].tensor(rows, on: plan.serial))
                made[1].set(gate.sparsified(deviations: deviations).gating(up, activation))
            }
        }
        return true
    }

    /// Adds the last product, joined to the stream.
    func end(in plan: StepPlan, join: StepNorm?) -> Bool {
        switch self {
        case .experts(let experts): experts.end(in: plan, join: join)
        case .expandedIntegral(_, _, let down), .sparse(_, _, _, _, let down):
            guard let down = down.stepMatrix else { return false }
            plan.addProduct(down, of: plan.rows(.activated, width: down.matrix.inputs), join: join)
        case .plain, .gated, .clamped:
            guard let parts = stepParts else { return false }
            plan.addActivated(parts.down, join: join)
        }
        return true
    }
}
