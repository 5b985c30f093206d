package import MartletTensors

/// A linear layer, the named parameters behind a ``Projection``: y = x Wᵀ + b, with W `[outputs, inputs]` and b
/// `[outputs]`, to which low-rank adapters may add.
package struct Linear: Sendable {
    /// Packed for inference, which then needs the stored matrix no more; stored where the weight is only counted,
    /// learns, or lets gradients through.
    private enum Weight: Sendable {
        case packed(PackedMatrix)
        case stored(Parameter)
    }

    private let weight: Weight
    private let bias: Parameter?
    private let adapters: [LowRankAdapter]
    /// The statistics of inputs that a calibration collects; nil in every other run.
    private let observer: InputStatistics?
    /// The element type that a stored weight is multiplied as, f32 or bf16.
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

    /// A convolution over `size` rows of `width` elements, whose weight `[width, width, size]` is read as `[width,
    /// width · size]`.
    package init(convolving width: Int, size: Int, _ scope: Scope) {
        let stored = scope.matrix("weight", [width, width, size], .normal(deviation: 0.02), .stem)
        self.init(stored.reshaped([width, width * size]), .present, .stem, scope)
    }

    private init(_ parameter: Parameter, _ bias: Architecture.Presence, _ role: ParameterRole, _ scope: Scope) {
        weight = scope.source.packed(parameter).map { .packed($0) } ?? .stored(parameter)
        self.bias = bias == .present ? scope.vector("bias", [parameter.shape[0]], .zeros, role) : nil
        adapters = scope.source.adapters(of: parameter)
        observer = scope.source.statistics(of: parameter)
        operands = scope.source.operands
    }

    /// The projection that operations multiply by.
    ///
    /// - Precondition: the parameters do not come from an inventory.
    package var lowered: Projection {
        let operand: Projection.Weight =
            switch weight {
            case .packed(let matrix): .packed(matrix)
            case .stored(let parameter): parameter.divided.map { .divided($0) } ?? .stored(parameter.tensor)
            }
        return Projection(operand, bias: bias?.tensor, addends: adapters.compactMap(\.addend), as: operands)
    }

    /// Weight and bias for a step; nil where the weight is not packed or has adapters, or a calibration watches the
    /// inputs.
    package var stepMatrix: StepMatrix? { observer == nil ? lowered.stepMatrix : nil }

    /// The product of rows with the weight, from `[rows, inputs]` to `[rows, outputs]`.
    ///
    /// - Parameter result: the type of the result of a stored weight; a packed one gives f32.
    package func callAsFunction(_ x: Tensor, result: ElementType = .f32) -> Tensor {
        observer?.add(x)
        return lowered(x, result: result)
    }

    /// The number of outputs.
    var outputs: Int { lowered.outputs }

    /// The ranks that divide the weight; nil where it is whole.
    var ranks: (any MatrixRanks)? {
        guard case .stored(let parameter) = weight else { return nil }
        return parameter.division?.ranks
    }

    /// This rank's outputs of several projections of the same rows, `[rows, own outputs]`.
    ///
    /// - Precondition: their weights are divided.
    static func ownOutputs(_ projections: [Linear], _ x: Tensor, result: ElementType = .f32) -> [Tensor] {
        // Rounded once for all.
        let x = projections.allSatisfy { $0.operands == .bf16 } ? x.asBFloat16() : x
        return projections.map { $0.lowered(x, dividing: .outputs, result: result) }
    }

    /// The product of rows of which each rank has its inputs, `[rows, own inputs]` to `[rows, outputs]`.
    func ofOwnInputs(_ x: Tensor) -> Tensor { lowered(x, dividing: .inputs) }

    /// Several projections of the same rows, in one pass over them: the same bits as one by one.
    package static func together(_ projections: [Linear], _ x: Tensor, result: ElementType = .f32) -> [Tensor] {
        for projection in projections { projection.observer?.add(x) }
        return Projection.together(projections.map(\.lowered), x, result: result)
    }
}
