import CMartletKernels

/// An element-wise non-linearity.
public enum Activation: String, Sendable, Hashable, Codable, CaseIterable {
    case relu
    /// x · σ(x) (arXiv:1702.03118).
    case silu
    /// x · Φ(x), exact (arXiv:1606.08415).
    case gelu
    /// GELU's tanh approximation: GPT-2, Gemma.
    case geluTanh
    /// x · σ(1.702 x): CLIP's "quick" GELU.
    case geluSigmoid
    /// relu(x)² (arXiv:2109.08668).
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
    /// f(x).
    package func activated(_ f: Activation) -> Tensor {
        unsafe mapped("activated", cost: 16) { unsafe martlet_activate(f.kernel, $0, $1, $2) }
    }

    /// f(self) · up, of one shape: the gate of arXiv:2002.05202.
    package func gating(_ up: Tensor, _ f: Activation) -> Tensor {
        unsafe combined(with: up, "gating", cost: 16) { unsafe martlet_gate(f.kernel, $0, $1, $2, $3) }
    }
}
