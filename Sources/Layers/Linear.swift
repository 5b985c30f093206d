package import MartletTensors

/// y = x Wᵀ + b, with W `[outputs, inputs]` and b `[outputs]`.
package struct Linear: Sendable {
    /// Packed for inference, which then needs the stored matrix no more; stored where the weight is only counted or will change.
    private enum Weight: Sendable {
        case packed(PackedMatrix)
        case stored(Parameter)
    }

    private let weight: Weight
    private let bias: Parameter?
    /// What a calibration wants to know of the inputs; nil in every other run.
    private let statistics: InputStatistics?
    /// What a stored weight is multiplied as, f32 or bf16.
    package let operands: ElementType

    package init(
        _ inputs: Int, _ outputs: Int, bias: Architecture.Presence, _ role: ParameterRole, _ scope: Scope
    ) {
        self.init(scope.matrix("weight", [outputs, inputs], .normal(deviation: 0.02), role), bias, role, scope)
    }

    /// A projection whose weight is a token table; only the bias is its own.
    package init(tiedTo table: TokenTable, bias: Architecture.Presence, _ scope: Scope) {
        self.init(table.weight, bias, .head, scope)
    }

    /// A convolution over `size` rows of `width` elements, whose weight `[width, width, size]` is read as `[width, width · size]`.
    package init(convolving width: Int, size: Int, _ scope: Scope) {
        let stored = scope.matrix("weight", [width, width, size], .normal(deviation: 0.02), .stem)
        self.init(stored.reshaped([width, width * size]), .present, .stem, scope)
    }

    private init(_ parameter: Parameter, _ bias: Architecture.Presence, _ role: ParameterRole, _ scope: Scope) {
        weight = scope.source.packed(parameter).map { .packed($0) } ?? .stored(parameter)
        self.bias = bias == .present ? scope.vector("bias", [parameter.shape[0]], .zeros, role) : nil
        statistics = scope.source.statistics(of: parameter)
        operands = scope.source.operands
    }

    /// Weight and bias for a step; nil where the weight is not packed, or a calibration watches the inputs.
    package var stepMatrix: StepMatrix? {
        guard case .packed(let matrix) = weight, statistics == nil else { return nil }
        return StepMatrix(matrix, bias: bias?.tensor)
    }

    /// `[rows, inputs]` to `[rows, outputs]`.
    ///
    /// - Parameter result: the type of the result of a stored weight; a packed one gives f32.
    package func callAsFunction(_ x: Tensor, result: ElementType = .f32) -> Tensor {
        statistics?.add(x)
        return switch weight {
        case .packed(let matrix): x.multiplied(by: matrix, bias: bias?.tensor)
        case .stored(let parameter):
            x.multiplied(byStored: parameter.tensor, bias: bias?.tensor, as: operands, result: result)
        }
    }

    /// Several projections of the same rows, in one pass over them: the same bits as one by one.
    package static func together(_ projections: [Linear], _ x: Tensor, result: ElementType = .f32) -> [Tensor] {
        let packed = projections.compactMap(\.packed)
        guard packed.count == projections.count else {
            // Rounded once for all.
            let x = projections.allSatisfy { $0.operands == .bf16 } ? x.asBFloat16() : x
            return projections.map { $0(x, result: result) }
        }
        for projection in projections { projection.statistics?.add(x) }
        return x.multiplied(byEach: packed, biases: projections.map { $0.bias?.tensor })
    }

    private var packed: PackedMatrix? { if case .packed(let matrix) = weight { matrix } else { nil } }

    /// Weight and bias as they are stored. - Precondition: nothing is packed.
    package var stored: (weight: Tensor, bias: Tensor?) {
        guard case .stored(let parameter) = weight else { preconditionFailure("linear: a packed weight is not stored") }
        return (parameter.tensor, bias?.tensor)
    }
}

/// A learned vector per token: `[count, width]`.
package struct TokenTable: Sendable {
    package let weight: Parameter

    package init(_ count: Int, _ width: Int, _ role: ParameterRole, _ scope: Scope) {
        weight = scope.table("weight", [count, width], role)
    }

    /// The vectors of `ids`, times `scale`: `[ids, width]`.
    package func callAsFunction(_ ids: [Int32], scale: Float = 1, on device: Device) -> Tensor {
        weight.tensor.lookup(ids, scale: scale, on: device)
    }
}

/// The norm that an `Architecture.Norm` describes, with its weights.
package enum NormLayer: Sendable {
    case layer(weight: Parameter?, bias: Parameter?, epsilon: Float)
    case rms(weight: Parameter, offset: Float, epsilon: Float)

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
        }
    }

    /// `[…, width]` to the same shape.
    package func callAsFunction(_ x: Tensor) -> Tensor {
        switch self {
        case .layer(let weight, let bias, let epsilon):
            x.layerNorm(weight: weight?.tensor, bias: bias?.tensor, epsilon: epsilon)
        case .rms(let weight, let offset, let epsilon):
            x.rmsNorm(weight: weight.tensor, weightOffset: offset, epsilon: epsilon)
        }
    }

    /// norm(x + y).
    package func callAsFunction(_ x: Tensor, adding y: Tensor) -> Tensor {
        switch self {
        case .layer(let weight, let bias, let epsilon):
            x.layerNorm(adding: y, weight: weight?.tensor, bias: bias?.tensor, epsilon: epsilon)
        case .rms: self(x + y)
        }
    }
}
