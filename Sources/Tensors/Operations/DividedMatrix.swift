/// The ranks that divide the matrices of a model that learns (tensor parallelism, arXiv:1909.08053), as operations see
/// them.
///
/// All of them do the same operations in the same order, each on its columns of rows that all have. Every sum is one
/// rank's, in the order of a run without ranks: an output is a sum over all inputs, a slope of an input one over all
/// outputs.
package protocol MatrixRanks: AnyObject, Sendable {
    var rank: Int { get }
    var count: Int { get }

    /// Sends `sent` to rank `target` and receives `received` from rank `origin`, at once. What fails is told to
    /// whoever runs the pass, as rules of a backward pass cannot throw.
    func exchange(
        _ sent: UnsafeRawBufferPointer, to target: Int, _ received: UnsafeMutableRawBufferPointer, from origin: Int)
}

extension MatrixRanks {
    /// The columns, of `width`, that a rank has; this one where none is named.
    package func part(of width: Int, rank: Int? = nil) -> Range<Int> {
        let rank = rank ?? self.rank
        return width * rank / count..<width * (rank + 1) / count
    }

    /// Exchanges with every other rank at once, the nearest first.
    package func exchangeAll(_ body: (_ target: Int, _ origin: Int) -> Void) {
        for distance in 1..<max(count, 1) { body((rank + distance) % count, (rank + count - distance) % count) }
    }

    /// The whole rows `[rows, width]` of which each rank has some columns (all-gather).
    func gathered(_ own: Tensor, width: Int, on device: Device) -> Tensor {
        let rows = own.shape[0]
        let whole = device.make([rows, width], own.type)
        whole.setColumns(part(of: width), to: own, on: device)
        exchangeAll { target, origin in
            let columns = part(of: width, rank: origin)
            let part = device.make([rows, columns.count], own.type)
            unsafe exchange(
                UnsafeRawBufferPointer(start: own.pointer, count: own.bytes), to: target,
                UnsafeMutableRawBufferPointer(
                    start: part.storage.mutablePointer + part.byteOffset, count: part.bytes), from: origin)
            whole.setColumns(columns, to: part, on: device)
        }
        return whole
    }
}

/// A weight `[outputs, inputs]` that ranks divide by its outputs; of all outputs each has the columns of its share of
/// the inputs too, which slopes of inputs are made of.
package struct DividedMatrix: Sendable {
    /// The weight, of which the rows of this rank's outputs alone are there. Where it is tracked, by a parameter's
    /// node.
    package let weight: Tensor
    /// The columns, `[outputs, own inputs]`.
    package let columns: Tensor
    package let ranks: any MatrixRanks

    package init(weight: Tensor, columns: Tensor, ranks: any MatrixRanks) {
        precondition(
            weight.shape.rank == 2 && columns.shape == [weight.shape[0], ranks.part(of: weight.shape[1]).count]
                && (weight.node.map { $0.leaf != nil } ?? true),
            "DividedMatrix: \(weight.shape) with columns of \(columns.shape)")
        (self.weight, self.columns, self.ranks) = (weight, columns, ranks)
    }

    /// The side of a product that a rank has its columns of alone: neither rows nor products, products, or rows.
    package enum Side: Sendable { case none, outputs, inputs }

    package var untracked: DividedMatrix { DividedMatrix(weight: weight.untracked, columns: columns, ranks: ranks) }
    package var outputs: Int { weight.shape[0] }
    package var inputs: Int { weight.shape[1] }
    package var ownOutputs: Range<Int> { ranks.part(of: outputs) }

    /// The rows of a table that `indices` name, times `scale`, as ``Tensor/lookup(_:scale:on:)`` finds them.
    package func lookup(_ indices: [Int32], scale: Float, on device: Device) -> Tensor {
        let found = ranks.gathered(columns.lookup(indices, scale: scale, on: device), width: inputs, on: device)
        guard let node = weight.node else { return found }
        let own = ownOutputs
        return found.recorded([weight]) { gradient, flow in
            let chosen = indices.indices.filter { own.contains(Int(indices[$0])) }
            flow.scatter(
                gradient.selecting(rows: chosen), to: chosen.map { indices[$0] - Int32(own.lowerBound) },
                factor: scale, node, rows: own)
        }
    }
}

extension Tensor {
    /// The linear product y = x Wᵀ + bias with a weight that ranks divide: the bits of
    /// ``multiplied(byStored:bias:as:result:)``, forwards and backwards.
    ///
    /// - Parameters:
    ///   - self: `[rows, inputs]`, or `[rows, own inputs]`.
    ///   - side: what is divided beside the weight.
    /// - Returns: `[rows, outputs]`, or `[rows, own outputs]`.
    package func multiplied(
        by matrix: DividedMatrix, dividing side: DividedMatrix.Side = .none, bias: Tensor? = nil,
        as operands: ElementType = .f32, result type: ElementType = .f32
    ) -> Tensor {
        if operands == .bf16 && self.type == .f32 {
            return asBFloat16().multiplied(by: matrix, dividing: side, bias: bias, as: .bf16, result: type)
        }
        let (device, ranks) = (device(for: "product"), matrix.ranks)
        let x = side == .inputs ? ranks.gathered(untracked, width: matrix.inputs, on: device) : untracked
        precondition(
            x.shape.rank == 2 && x.shape[1] == matrix.inputs
                && (bias?.shape.elements ?? matrix.outputs) == matrix.outputs,
            "product: \(x.shape) with a divided matrix of \(matrix.weight.shape) and a bias of \(bias?.shape ?? [])")
        let own = device.make([x.shape[0], matrix.ownOutputs.count], type)
        own.setProduct(
            x, matrix.weight.untracked.rows(matrix.ownOutputs), .columns,
            bias: bias?.untracked.elements(matrix.ownOutputs), as: operands, on: device)
        let result = side == .outputs ? own : ranks.gathered(own, width: matrix.outputs, on: device)
        if node == nil && matrix.weight.node == nil && bias?.node == nil { return result }
        let (xNode, biasNode) = (node, bias?.node)
        return result.recorded([self, matrix.weight, bias]) { gradient, flow in
            flow.addGradients(of: matrix, dividing: side, gradient, at: x, to: xNode, bias: biasNode, as: operands)
        }
    }

    /// This rank's columns of rows that all ranks have: their gradients are gathered.
    package func ownColumns(of ranks: any MatrixRanks) -> Tensor {
        let (device, width) = (device(for: "ownColumns"), shape.width)
        let own = columns(ranks.part(of: width), on: device)
        guard let node else { return own }
        return own.recorded([self]) { gradient, flow in
            flow.add(ranks.gathered(gradient, width: width, on: flow.device), to: node)
        }
    }

    /// Dropout of this rank's columns of rows that are `width` wide: the zeros of the whole rows.
    package func dropped(_ dropout: Dropout?, width: Int, _ ranks: any MatrixRanks) -> Tensor {
        guard let dropout, dropout.share > 0 else { return self }
        @Sendable func masked(_ own: Tensor, on device: Device) -> Tensor {
            let whole = device.make([own.shape[0], width], own.type)
            whole.setColumns(ranks.part(of: width), to: own, on: device)
            return whole.masked(dropout).columns(ranks.part(of: width), on: device)
        }
        let result = masked(untracked, on: device(for: "dropped"))
        guard let node else { return result }
        return result.recorded([self]) { gradient, flow in flow.add(masked(gradient, on: flow.device), to: node) }
    }
}

extension GradientFlow {
    /// The gradients of a product with a divided weight.
    ///
    /// - Parameter gradient: dy, `[rows, outputs]`, or `[rows, own outputs]` where products are divided.
    fileprivate mutating func addGradients(
        of matrix: DividedMatrix, dividing side: DividedMatrix.Side, _ gradient: Tensor, at x: Tensor,
        to node: GradientNode?, bias: GradientNode?, as operands: ElementType
    ) {
        let isWanted = node != nil || bias != nil
        let whole =
            side == .outputs && isWanted
            ? matrix.ranks.gathered(gradient, width: matrix.outputs, on: device) : gradient
        if let node {
            let slopes = whole.multiplied(byTransposed: matrix.columns, as: operands, on: device)
            add(side == .inputs ? slopes : matrix.ranks.gathered(slopes, width: matrix.inputs, on: device), to: node)
        }
        addProduct(ofColumns: gradient, isDivided: side == .outputs, with: x, as: operands, to: matrix)
        addColumnSums(whole, to: bias)
    }

    /// Adds the rows of gradientᵀ x that are this rank's: what a divided weight gets.
    mutating func addProduct(
        ofColumns gradient: Tensor, isDivided: Bool = false, with x: Tensor, as operands: ElementType,
        to matrix: DividedMatrix
    ) {
        guard let node = matrix.weight.node else { return }
        let (device, rows) = (device, matrix.ownOutputs)
        let own = isDivided ? gradient : gradient.columns(rows, on: device)
        accumulate(node) { target, holdsSum in
            target.rows(rows).setProduct(
                own, turned: true, x, .steps, adding: holdsSum, as: operands, streaming: true, on: device)
        }
    }

    /// dx = dy W of a divided weight, `[rows, inputs]`.
    mutating func slopes(_ gradient: Tensor, of matrix: DividedMatrix, as operands: ElementType) -> Tensor {
        let own = gradient.multiplied(byTransposed: matrix.columns, as: operands, on: device)
        return matrix.ranks.gathered(own, width: matrix.inputs, on: device)
    }
}
