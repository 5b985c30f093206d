/// A low-rank addend of a projection, s · (x Aᵀ) Bᵀ (LoRA, arXiv:2106.09685).
package struct LowRankAddend: Sendable {
    /// A, `[rank, inputs]`.
    package let down: Tensor
    /// The factor B, `[outputs, rank]`.
    package let up: Tensor
    package let scale: Float
    /// Dropout of x, while the factors learn.
    package let dropout: Dropout?
    /// The rows that it is added to; nil for all.
    ///
    /// - Precondition: nothing learns where it is not nil.
    package let rows: [Range<Int>]?

    package init(down: Tensor, up: Tensor, scale: Float, dropout: Dropout? = nil, rows: [Range<Int>]? = nil) {
        precondition(
            down.shape.rank == 2 && up.shape.rank == 2 && down.shape[0] == up.shape[1],
            "low-rank addend: A of \(down.shape) and B of \(up.shape)")
        (self.down, self.up, self.scale, self.dropout, self.rows) = (down, up, scale, dropout, rows)
    }

    var untracked: LowRankAddend {
        LowRankAddend(down: down.untracked, up: up.untracked, scale: scale, dropout: dropout, rows: rows)
    }

    /// The addend of `x`, from `[rows, inputs]` to `[rows, outputs]`.
    fileprivate func callAsFunction(_ x: Tensor, as operands: ElementType) -> Tensor {
        (x.dropped(dropout).multiplied(byStored: down, as: operands) * scale).multiplied(byStored: up, as: operands)
    }

    /// The sum of `sum` `[rows, outputs]`, a product of `x` that nobody else reads, and this addend.
    fileprivate func added(to sum: Tensor, _ x: Tensor, as operands: ElementType) -> Tensor {
        guard let rows else { return sum + self(x, as: operands) }
        for range in rows.map({ $0.clamped(to: 0..<x.shape.rows) }) where !range.isEmpty {
            sum.rows(range).overwrite(with: self(x.rows(range), as: operands), adding: true)
        }
        return sum
    }
}

/// A linear layer as operations multiply by it: y = x Wᵀ + b + Σ s · (x Aᵀ) Bᵀ, with W `[outputs, inputs]` and b
/// `[outputs]`.
///
/// The one lowering of a projection: plain calls, several projections of the same rows, decode steps, feed-forwards and
/// losses all read it.
package struct Projection: Sendable {
    /// The form in which the weight is kept.
    package enum Weight: Sendable {
        /// Panels that products stream; nothing before it learns.
        case packed(PackedMatrix)
        /// The weight `[outputs, inputs]` as stored: f32 where it learns, of any type where it is frozen (mapped from a
        /// file, quantized).
        case stored(Tensor)
        /// A weight that learns and that ranks divide.
        case divided(DividedMatrix)
    }

    package let weight: Weight
    package let bias: Tensor?
    /// Low-rank addends, added in this order.
    package let addends: [LowRankAddend]
    /// The element type that stored weights are multiplied as, f32 or bf16.
    package let operands: ElementType

    package init(_ weight: Weight, bias: Tensor? = nil, addends: [LowRankAddend] = [], as operands: ElementType = .f32)
    {
        (self.weight, self.bias, self.addends, self.operands) = (weight, bias, addends, operands)
    }

    package var outputs: Int {
        switch weight {
        case .packed(let matrix): matrix.width
        case .stored(let tensor): tensor.shape[0]
        case .divided(let matrix): matrix.outputs
        }
    }

    /// Weight and bias for a decode step; nil where the weight is not packed, is not all, or is divided.
    package var stepMatrix: StepMatrix? {
        guard case .packed(let matrix) = weight, addends.isEmpty, matrix.part == nil else { return nil }
        return StepMatrix(matrix, bias: bias)
    }

    /// This projection detached from the autograd graph: nobody differentiates by its weights.
    package var untracked: Projection {
        let weight: Weight
        switch self.weight {
        case .packed: weight = self.weight
        case .stored(let tensor): weight = .stored(tensor.untracked)
        case .divided(let matrix): weight = .divided(matrix.untracked)
        }
        return Projection(weight, bias: bias?.untracked, addends: addends.map(\.untracked), as: operands)
    }

    /// The projection of rows, from `[rows, inputs]` to `[rows, outputs]`.
    ///
    /// - Parameter result: the type of the result of a stored weight; a packed one gives f32.
    package func callAsFunction(_ x: Tensor, result: ElementType = .f32) -> Tensor {
        let type = addends.isEmpty ? result : .f32
        let product =
            switch weight {
            case .packed(let matrix): x.multiplied(by: matrix, bias: bias)
            case .stored(let tensor): x.multiplied(byStored: tensor, bias: bias, as: operands, result: type)
            case .divided(let matrix): x.multiplied(by: matrix, bias: bias, as: operands, result: type)
            }
        return adding(to: product, x, result: result)
    }

    /// Several projections of the same rows, in one pass over them: the same bits as one by one.
    package static func together(_ projections: [Projection], _ x: Tensor, result: ElementType = .f32) -> [Tensor] {
        let packed = projections.compactMap { if case .packed(let matrix) = $0.weight { matrix } else { nil } }
        guard packed.count == projections.count else {
            // Rounded once for all.
            let x = projections.allSatisfy { $0.operands == .bf16 } ? x.asBFloat16() : x
            return projections.map { $0(x, result: result) }
        }
        let products = x.multiplied(byEach: packed, biases: projections.map(\.bias))
        return zip(projections, products).map { $0.adding(to: $1, x, result: .f32) }
    }

    /// The projection of rows whose products, or themselves, ranks have columns of alone.
    ///
    /// - Precondition: the weight is divided, without addends.
    package func callAsFunction(
        _ x: Tensor, dividing side: DividedMatrix.Side, result: ElementType = .f32
    ) -> Tensor {
        guard case .divided(let matrix) = weight, addends.isEmpty else {
            preconditionFailure("product: ranks do not divide a matrix of \(outputs) outputs")
        }
        return x.multiplied(by: matrix, dividing: side, bias: bias, as: operands, result: result)
    }

    private func adding(to product: Tensor, _ x: Tensor, result: ElementType) -> Tensor {
        guard !addends.isEmpty else { return product }
        let sum = addends.reduce(product) { $1.added(to: $0, x, as: operands) }
        return result == .bf16 ? sum.asBFloat16() : sum
    }
}

extension GradientFlow {
    /// The backward pass of a projection of some rows: writes dx = dy W + Σ s · (dy B) A, and adds to the gradients of
    /// what is trained.
    ///
    /// - Parameters: `gradient`: dy, `[rows, outputs]`; `x` `[rows, inputs]`, untracked; `dx`: as x, which the caller
    ///   owns.
    /// - Precondition: the weight is stored.
    mutating func addGradients(of projection: Projection, _ gradient: Tensor, at x: Tensor, into dx: Tensor) {
        let operands = projection.operands
        switch projection.weight {
        case .packed:
            preconditionFailure(
                "loss: no gradient comes out of a packed [\(projection.outputs), \(x.shape.width)]; store it")
        case .stored(let weight):
            addColumnSums(gradient, to: projection.bias?.node)
            dx.setProduct(gradient, weight.untracked, .steps, as: operands, on: device)
            addProduct(ofColumns: gradient, with: x, as: operands, to: weight.node)
        case .divided(let matrix):
            addColumnSums(gradient, to: projection.bias?.node)
            dx.overwrite(with: slopes(gradient, of: matrix, as: operands), adding: false)
            addProduct(ofColumns: gradient, with: x, as: operands, to: matrix)
        }
        for addend in projection.addends {
            let (down, up) = (addend.down.untracked, addend.up.untracked)
            let read = x.dropped(addend.dropout)
            let low = read.multiplied(byStored: down, as: operands) * addend.scale
            let lowGradient = gradient.multiplied(byTransposed: up, as: operands, on: device) * addend.scale
            let passed = lowGradient.multiplied(byTransposed: down, as: operands, on: device)
            dx.overwrite(with: passed.dropped(addend.dropout), adding: true)
            addProduct(ofColumns: gradient, with: low, as: operands, to: addend.up.node)
            addProduct(ofColumns: lowGradient, with: read, as: operands, to: addend.down.node)
        }
    }
}
