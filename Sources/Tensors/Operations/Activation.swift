import CMartletKernels

/// An element-wise non-linearity.
package enum Activation: String, Sendable, Hashable, Codable, CaseIterable {
    case relu
    /// SiLU (swish), x · σ(x) (arXiv:1702.03118).
    case silu
    /// GELU, x · Φ(x), exact (arXiv:1606.08415).
    case gelu
    /// GELU's tanh approximation: GPT-2, Gemma.
    case geluTanh
    /// Sigmoid GELU, x · σ(1.702 x): CLIP's "quick" GELU.
    case geluSigmoid
    /// Squared ReLU, relu(x)² (arXiv:2109.08668).
    case reluSquared
    case tanh
    case sigmoid

    var kernel: martlet_activation {
        switch self {
        case .relu: MARTLET_RELU
        case .silu: MARTLET_SILU
        case .gelu: MARTLET_GELU
        case .geluTanh: MARTLET_GELU_TANH
        case .geluSigmoid: MARTLET_GELU_SIGMOID
        case .reluSquared: MARTLET_RELU_SQUARED
        case .tanh: MARTLET_TANH
        case .sigmoid: MARTLET_SIGMOID
        }
    }
}

extension Tensor {
    /// The activation f(x).
    package func activated(_ f: Activation) -> Tensor {
        let result = unsafe mapped("activated", cost: 16) { unsafe martlet_activate(f.kernel, $0, $1, $2) }
        guard let node else { return result }
        let x = untracked
        return result.recorded([self]) { gradient, flow in
            let dx = unsafe x.combined(with: gradient, "activated", cost: 32) {
                unsafe martlet_activate_backward(f.kernel, $0, $1, $2, $3)
            }
            flow.add(dx, to: node)
        }
    }

    /// A gated linear unit, f(self) · up, of one shape: the gate of arXiv:2002.05202.
    package func gating(_ up: Tensor, _ f: Activation) -> Tensor {
        let result = unsafe combined(with: up, "gating", cost: 16) { unsafe martlet_gate(f.kernel, $0, $1, $2, $3) }
        if node == nil && up.node == nil { return result }
        let (gate, gateNode, upNode, up) = (untracked, node, up.node, up.untracked)
        return result.recorded([self, up.tracked(by: upNode)]) { gradient, flow in
            let (dGate, dUp) = gate.gatingGradients(up, f, gradient, on: flow.device)
            flow.add(dGate, to: gateNode)
            flow.add(dUp, to: upNode)
        }
    }

    private func gatingGradients(
        _ up: Tensor, _ f: Activation, _ gradient: Tensor, on device: Device
    ) -> (gate: Tensor, up: Tensor) {
        let (dGate, dUp) = (device.make(shape), device.make(up.shape))
        device.parallel(shape.elements, cost: 48, grain: 16) { range in
            let runs = FloatRuns(range, [self, up], on: device)
            for run in runs.ranges {
                let first = run.lowerBound
                unsafe martlet_gate_backward(
                    f.kernel, runs.floats(of: self, run, 0), runs.floats(of: up, run, 1), gradient.floats + first,
                    dGate.mutableFloats + first, dUp.mutableFloats + first, run.count)
            }
        }
        return (dGate, dUp)
    }
}
