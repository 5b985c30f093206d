import CMartletKernels

/// How a matrix `B` of a product lies in memory.
enum MatrixOrder {
    /// `[columns, steps]`: a weight `[outputs, inputs]` in a forward product.
    case columns
    /// `[steps, columns]`.
    case steps
}

extension Tensor {
    /// y = x Wᵀ + bias with a weight as it is stored, for weights that change: panels are packed on the spot, in the second-level cache.
    ///
    /// The same bits as `multiplied(by:bias:)`. Backward: dx = dy W, dW = dyᵀ x, d bias = Σ dy, with rows in ascending order.
    ///
    /// - Parameters: `self` `[rows, inputs]`, `matrix` f32 `[outputs, inputs]`, `bias` `[outputs]`.
    /// - Returns: `[rows, outputs]`.
    package func multiplied(byStored matrix: Tensor, bias: Tensor? = nil) -> Tensor {
        precondition(
            shape.rank == 2 && matrix.shape.rank == 2 && shape[1] == matrix.shape[1]
                && (bias?.shape.elements ?? matrix.shape[0]) == matrix.shape[0],
            "product: \(shape) with a matrix of \(matrix.shape) and a bias of \(bias?.shape ?? [])")
        let device = device(for: "product")
        let result = device.make([shape[0], matrix.shape[0]])
        result.setProduct(untracked, matrix, .columns, bias: bias, adding: false, on: device)
        if node == nil && matrix.node == nil && bias?.node == nil { return result }
        let (x, xNode, weight, weightNode, biasNode) = (untracked, node, matrix.untracked, matrix.node, bias?.node)
        return result.recorded([self, matrix, bias]) { gradient, flow in
            if let xNode { flow.add(gradient.multiplied(byTransposed: weight, on: flow.device), to: xNode) }
            flow.addProduct(ofColumns: gradient, with: x, to: weightNode)
            flow.addColumnSums(gradient, to: biasNode)
        }
    }

    /// self `[rows, steps]` times `matrix` `[steps, columns]`; untracked.
    package func multiplied(byTransposed matrix: Tensor, on device: Device) -> Tensor {
        let result = device.make([shape[0], matrix.shape[1]])
        result.setProduct(self, matrix, .steps, adding: false, on: device)
        return result
    }

    /// self (+)= a B (+ bias), for a tensor that the caller owns: `[rows, columns]` from a `[rows, steps]`.
    ///
    /// Every element is one chain of fused multiply-adds in ascending order of steps, then the bias, then what was there.
    func setProduct(
        _ a: Tensor, _ b: Tensor, _ order: MatrixOrder, bias: Tensor? = nil, adding: Bool, on device: Device
    ) {
        let (rows, steps, columns) = (a.shape[0], a.shape[1], order == .columns ? b.shape[0] : b.shape[1])
        precondition(
            shape.elements == rows * columns && b.shape.elements == steps * columns,
            "product: \(a.shape) with \(b.shape) into \(shape)")
        let panel = Int(MARTLET_PANEL)
        let panels = (columns + panel - 1) / panel
        // A panel is packed anew for each piece of the rows, so pieces are cut only where panels do not occupy the threads.
        let wanted = device.threads == 1 ? 1 : (device.threads * 4 + panels - 1) / max(panels, 1)
        let pieces = max(1, min(wanted, rows / 252))
        let stride = b.shape[1]
        device.parallel(panels * pieces, cost: panel * steps * max(1, rows / pieces)) { range in
            let scratch = device.scratch(bytes: steps * panel * 4)
            let packed = unsafe scratch.mutablePointer.assumingMemoryBound(to: Float.self)
            var last = -1
            for item in range {
                let (index, piece) = (item / pieces, item % pieces)
                let (first, count) = (index * panel, min(panel, columns - index * panel))
                if index != last {
                    switch order {
                    case .columns: unsafe martlet_pack_columns(b.floats + first * stride, stride, count, steps, packed)
                    case .steps: unsafe martlet_pack_steps(b.floats + first, stride, count, steps, packed)
                    }
                    last = index
                }
                let (lower, upper) = (rows * piece / pieces, rows * (piece + 1) / pieces)
                unsafe martlet_matmul(
                    MARTLET_F32, packed, count, steps, a.floats + lower * steps, upper - lower,
                    bias.map { unsafe $0.floats + first }, mutableFloats + lower * columns + first, columns, adding, 0,
                    1)
            }
        }
    }
}

extension GradientFlow {
    /// Adds gradientᵀ x, `[outputs, inputs]`: what a weight gets.
    mutating func addProduct(ofColumns gradient: Tensor, with x: Tensor, to node: GradientNode?) {
        guard let node else { return }
        let device = device
        let turned = gradient.untracked.transposed(on: device)
        accumulate(node) { target, holdsSum in
            target.setProduct(turned, x, .steps, adding: holdsSum, on: device)
        }
    }
}
