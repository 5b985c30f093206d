import CMartletKernels

/// The memory order of the matrix `B` of a product.
enum MatrixOrder {
    /// `[columns, steps]`: a weight `[outputs, inputs]` in a forward product.
    case columns
    /// `[steps, columns]`.
    case steps
}

extension Tensor {
    /// The linear product y = x Wᵀ + bias with a weight as it is stored, for weights that change: nothing of it is
    /// packed for longer than its slice is multiplied.
    ///
    /// Its bits are those of `multiplied(by:bias:)`. Backward: dx = dy W, dW = dyᵀ x, d bias = Σ dy, with rows in
    /// ascending order.
    ///
    /// - Parameters:
    ///   - self: `[rows, inputs]`, f32 or bf16; `matrix` `[outputs, inputs]`, `bias` `[outputs]`. A matrix that is not
    ///     f32 is frozen: it is decoded slice by slice, with the bits of its decoded numbers, and gradients pass
    ///     through it to `self`.
    ///   - operands: what is multiplied in all three products. With bf16, what stays for the backward pass is bf16 too.
    ///   - result: the type of what is returned.
    /// - Returns: `[rows, outputs]`.
    package func multiplied(
        byStored matrix: Tensor, bias: Tensor? = nil, as operands: ElementType = .f32, result type: ElementType = .f32
    ) -> Tensor {
        if operands == .bf16 && self.type == .f32 {
            return asBFloat16().multiplied(byStored: matrix, bias: bias, as: .bf16, result: type)
        }
        precondition(
            shape.rank == 2 && matrix.shape.rank == 2 && shape[1] == matrix.shape[1]
                && (bias?.shape.elements ?? matrix.shape[0]) == matrix.shape[0],
            "product: \(shape) with a matrix of \(matrix.shape) and a bias of \(bias?.shape ?? [])")
        precondition(matrix.node == nil || matrix.type == .f32, "product: a matrix of \(matrix.type) cannot learn")
        let device = device(for: "product")
        let result = device.make([shape[0], matrix.shape[0]], type)
        result.setProduct(untracked, matrix, .columns, bias: bias, as: operands, on: device)
        if node == nil && matrix.node == nil && bias?.node == nil { return result }
        let (x, xNode, weight, weightNode, biasNode) = (untracked, node, matrix.untracked, matrix.node, bias?.node)
        return result.recorded([self, matrix, bias]) { gradient, flow in
            if let xNode {
                flow.add(gradient.multiplied(byTransposed: weight, as: operands, on: flow.device), to: xNode)
            }
            flow.addProduct(ofColumns: gradient, with: x, as: operands, to: weightNode)
            flow.addColumnSums(gradient, to: biasNode)
        }
    }

    /// The product of self `[rows, steps]` and `matrix` `[steps, columns]`; untracked.
    package func multiplied(byTransposed matrix: Tensor, as operands: ElementType = .f32, on device: Device) -> Tensor {
        let result = device.make([shape[0], matrix.shape[1]])
        result.setProduct(self, matrix, .steps, as: operands, on: device)
        return result
    }

    /// Sets the product self (+)= a B (+ bias), for a tensor that the caller owns: `[rows, columns]` from a `[rows,
    /// steps]`, or from `[steps, rows]` when `turned`.
    ///
    /// Every element is one chain of fused multiply-adds in an order that depends on the steps alone, then the bias,
    /// then what was there.
    ///
    /// - Parameters:
    ///   - operands: what both are multiplied as, f32 or bf16. f32 ones are rounded where bf16 is asked for.
    ///   - streaming: the result will not be read soon.
    func setProduct(
        _ a: Tensor, turned: Bool = false, _ b: Tensor, _ order: MatrixOrder, bias: Tensor? = nil, adding: Bool = false,
        as operands: ElementType = .f32, streaming: Bool = false, on device: Device
    ) {
        let (rows, steps) = turned ? (a.shape[1], a.shape[0]) : (a.shape[0], a.shape[1])
        let columns = order == .columns ? b.shape[0] : b.shape[1]
        precondition(
            shape.elements == rows * columns && b.shape.elements == steps * columns,
            "product: \(a.shape) with \(b.shape) into \(shape)")
        precondition(
            (operands == .bf16 || a.type == .f32) && b.type != .i32 && (!adding || type == .f32),
            "product: \(a.type) with \(b.type) as \(operands) into \(type)")
        var product = unsafe martlet_stored_product()
        unsafe (product.a, product.a_stride, product.a_turned) = (a.pointer, a.shape[1], turned)
        unsafe (product.b, product.b_stride, product.b_columns) = (b.pointer, b.shape[1], order == .columns)
        unsafe (product.a_type, product.b_type, product.y_type) = (
            a.type.kernelType, b.type.kernelType, type.kernelType
        )
        unsafe (product.rows, product.columns, product.steps) = (rows, columns, steps)
        unsafe (product.y, product.y_stride) = (storage.mutablePointer + byteOffset, columns)
        unsafe (product.pairs, product.accumulate) = (operands == .bf16, adding)
        unsafe product.bias = bias.map { unsafe $0.floats }
        unsafe product.streams = streaming && columns % 16 == 0 && byteOffset % Storage.alignment == 0
        let items = unsafe martlet_plan_stored_product(&product, device.threads)
        let plan = unsafe product
        device.parallel(items, cost: rows * columns / max(1, items) * max(1, steps)) { range in
            var plan = unsafe plan
            let scratch = device.scratch(bytes: unsafe martlet_stored_product_scratch(&plan) * 4)
            unsafe martlet_run_stored_product(
                &plan, range.lowerBound, range.upperBound,
                scratch.mutablePointer.assumingMemoryBound(to: Float.self))
        }
    }
}

extension GradientFlow {
    /// Adds gradientᵀ x, `[outputs, inputs]`: what a weight gets.
    mutating func addProduct(
        ofColumns gradient: Tensor, with x: Tensor, as operands: ElementType = .f32, to node: GradientNode?
    ) {
        guard let node else { return }
        let device = device
        if let ranks = rowRanks(for: node) {
            let (whole, parts) = ranks.wholeFactor(x, on: device)
            return addProduct(ofColumns: gradient, withWhole: whole, parts, as: operands, to: node, ranks)
        }
        accumulate(node) { target, holdsSum in
            target.setProduct(
                gradient, turned: true, x, .steps, adding: holdsSum, as: operands, streaming: true, on: device)
        }
    }
}
