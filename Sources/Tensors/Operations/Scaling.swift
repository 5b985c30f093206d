import CMartletKernels

extension Tensor {
    /// Each row times its own factor: `self` `[rows, width]`, `factors` `[rows, 1]`.
    package func scaled(byRow factors: Tensor) -> Tensor {
        precondition(factors.shape.elements == shape.rows, "scaled by row: \(shape) by \(factors.shape)")
        let result = rowsScaled(factors)
        if node == nil && factors.node == nil { return result }
        let (x, xNode, scales, scaleNode) = (untracked, node, factors.untracked, factors.node)
        return result.recorded([self, factors]) { gradient, flow in
            if let xNode { flow.add(gradient.rowsScaled(scales), to: xNode) }
            guard let scaleNode else { return }
            let products = (0..<x.shape.rows).map { gradient.product($0, x, $0) }
            flow.add(flow.device.tensor(products, shape: scales.shape), to: scaleNode)
        }
    }

    private func rowsScaled(_ factors: Tensor) -> Tensor {
        let (device, width) = (device(for: "scaled by row"), shape.width)
        let result = device.make(shape)
        device.parallel(shape.rows, cost: width) { range in
            for row in range {
                unsafe martlet_scale(
                    floats + row * width, factors.floats[row], result.mutableFloats + row * width, width)
            }
        }
        return result
    }

    /// The product Σ over columns of row `row` times row `other` of `value`.
    func product(_ row: Int, _ value: Tensor, _ other: Int) -> Float {
        var sum: Double = 0
        let width = shape.width
        for i in 0..<width { unsafe sum += Double(floats[row * width + i]) * Double(value.floats[other * width + i]) }
        return Float(sum)
    }

    /// Each head times weights of its own: `self` `[rows, heads, width]`, `weights` one `[width]` for each head.
    package func scaled(byHead weights: [Tensor]) -> Tensor {
        precondition(
            shape.rank == 3 && shape[1] == weights.count && weights.allSatisfy { $0.shape.elements == shape.width },
            "scaled by head: \(shape) by \(weights.map(\.shape))")
        let result = headsScaled(weights)
        if node == nil && weights.allSatisfy({ $0.node == nil }) { return result }
        let (x, xNode, values, nodes) = (untracked, node, weights.map(\.untracked), weights.map(\.node))
        return result.recorded([self] + weights) { gradient, flow in
            if let xNode { flow.add(gradient.headsScaled(values), to: xNode) }
            let (rows, width) = (x.shape[0], x.shape.width)
            let products = (gradient * x).reshaped([rows, nodes.count * width])
            for (head, node) in nodes.enumerated() {
                flow.addColumnSums(products.selecting(columns: head * width..<(head + 1) * width), to: node)
            }
        }
    }

    private func headsScaled(_ weights: [Tensor]) -> Tensor {
        let (device, width) = (device(for: "scaled by head"), shape.width)
        let result = device.make(shape)
        device.parallel(shape.rows, cost: width) { range in
            for row in range {
                let weight = weights[row % weights.count]
                unsafe martlet_multiply(
                    floats + row * width, weight.floats, result.mutableFloats + row * width, width)
            }
        }
        return result
    }
}
