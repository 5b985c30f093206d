package import MartletTensors

/// The norm that an `Architecture.Norm` describes, with its weights.
package enum NormLayer: Sendable {
    case layer(weight: Parameter?, bias: Parameter?, epsilon: Float)
    case rms(weight: Parameter, offset: Float, epsilon: Float)
    /// Layer norm of each head, then times the head's own weights: Command R+, StableLM 2 12B.
    case heads(weights: [Parameter], epsilon: Float)

    /// A layer norm over heads of `width`, each of which has weights of its own.
    package init(epsilon: Float, heads: Int, width: Int, _ scope: Scope) {
        self = .heads(
            weights: (0..<heads).map { scope[$0].vector("weight", [width], .ones, .norm) }, epsilon: epsilon)
    }

    package init(_ form: Architecture.Norm, width: Int, _ scope: Scope) {
        switch form {
        case .layer(let epsilon):
            self = .layer(
                weight: scope.vector("weight", [width], .ones, .norm),
                bias: scope.vector("bias", [width], .zeros, .norm),
                epsilon: epsilon)
        case .layerWithoutBias(let epsilon):
            self = .layer(weight: scope.vector("weight", [width], .ones, .norm), bias: nil, epsilon: epsilon)
        case .unweighted(let epsilon): self = .layer(weight: nil, bias: nil, epsilon: epsilon)
        case .rms(let epsilon, let offset):
            let weight = scope.vector("weight", [width], offset == 0 ? .ones : .zeros, .norm)
            self = .rms(weight: weight, offset: offset, epsilon: epsilon)
        case .unweightedRMS(let epsilon):
            // No parameter: nobody is asked for it, and nobody stores it.
            let ones = ParameterDescription(scope["weight"].path, [width], .ones, role: .norm)
            self = .rms(
                weight: Parameter(ones, value: Tensor(Array(repeating: 1, count: width), shape: [width])), offset: 0,
                epsilon: epsilon)
        }
    }

    /// The normed rows, from `[…, width]`, with weights for each head `[rows, heads, width]`, to the same shape.
    package func callAsFunction(_ x: Tensor) -> Tensor {
        switch self {
        case .layer(let weight, let bias, let epsilon):
            x.layerNorm(weight: weight?.tensor, bias: bias?.tensor, epsilon: epsilon)
        case .rms(let weight, let offset, let epsilon):
            x.rmsNorm(weight: weight.tensor, weightOffset: offset, epsilon: epsilon)
        case .heads(let weights, let epsilon):
            x.layerNorm(weight: nil, bias: nil, epsilon: epsilon).scaled(byHead: weights.map(\.tensor))
        }
    }

    /// The normed sum, norm(x + y).
    package func callAsFunction(_ x: Tensor, adding y: Tensor) -> Tensor {
        switch self {
        case .layer(let weight, let bias, let epsilon):
            x.layerNorm(adding: y, weight: weight?.tensor, bias: bias?.tensor, epsilon: epsilon)
        case .rms, .heads: self(x + y)
        }
    }
}
