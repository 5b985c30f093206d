import CMartletKernels

extension Tensor {
    /// RMS norm: x / √(mean(x²) + epsilon) · (weight + weightOffset), over the last axis (arXiv:1910.07467).
    ///
    /// - Parameters: `self` `[…, width]`, `weight` `[width]`.
    package func rmsNorm(weight: Tensor, weightOffset: Float, epsilon: Float) -> Tensor {
        precondition(weight.shape.elements == shape.width, "rmsNorm: \(shape) with a weight of \(weight.shape)")
        let device = device(for: "rmsNorm")
        let (result, width) = (device.make(shape), shape.width)
        device.parallel(shape.rows, cost: width * 2) { range in
            unsafe martlet_rms_norm(
                floats + range.lowerBound * width, weight.floats, weightOffset, epsilon,
                result.mutableFloats + range.lowerBound * width, range.count, width)
        }
        if node == nil && weight.node == nil { return result }
        let (x, xNode, values, weightNode) = (untracked, node, weight.untracked, weight.node)
        return result.recorded([self, weight]) { gradient, flow in
            let (dx, factors) = (flow.device.make(x.shape), flow.device.make([x.shape.rows]))
            flow.device.parallel(x.shape.rows, cost: width * 4) { range in
                let first = range.lowerBound * width
                unsafe martlet_rms_norm_backward(
                    x.floats + first, values.floats, weightOffset, epsilon, gradient.floats + first,
                    dx.mutableFloats + first, factors.mutableFloats + range.lowerBound, range.count, width)
            }
            flow.add(dx, to: xNode)
            flow.addNormWeight(x, means: nil, factors: factors, gradient, to: weightNode)
        }
    }

    /// Layer norm: (x − mean) / √(variance + epsilon) · weight + bias, over the last axis (arXiv:1607.06450).
    ///
    /// - Parameters: `self` `[…, width]`, `weight` and `bias` `[width]`.
    package func layerNorm(weight: Tensor?, bias: Tensor?, epsilon: Float) -> Tensor {
        for operand in [weight, bias].compactMap({ $0 }) {
            precondition(operand.shape.elements == shape.width, "layerNorm: \(shape) with \(operand.shape)")
        }
        let device = device(for: "layerNorm")
        let (result, width) = (device.make(shape), shape.width)
        device.parallel(shape.rows, cost: width * 3) { range in
            unsafe martlet_layer_norm(
                floats + range.lowerBound * width, weight?.floats, bias?.floats, epsilon,
                result.mutableFloats + range.lowerBound * width, range.count, width)
        }
        if node == nil && weight?.node == nil && bias?.node == nil { return result }
        let (x, xNode, values, weightNode, biasNode) = (untracked, node, weight?.untracked, weight?.node, bias?.node)
        return result.recorded([self, weight, bias]) { gradient, flow in
            let rows = x.shape.rows
            let (dx, means, factors) = (flow.device.make(x.shape), flow.device.make([rows]), flow.device.make([rows]))
            flow.device.parallel(rows, cost: width * 6) { range in
                let first = range.lowerBound * width
                unsafe martlet_layer_norm_backward(
                    x.floats + first, values?.floats, epsilon, gradient.floats + first, dx.mutableFloats + first,
                    means.mutableFloats + range.lowerBound, factors.mutableFloats + range.lowerBound, range.count,
                    width)
            }
            flow.add(dx, to: xNode)
            flow.addNormWeight(x, means: means, factors: factors, gradient, to: weightNode)
            flow.addColumnSums(gradient, to: biasNode)
        }
    }
}

extension Tensor {
    /// Layer norm of a sum, layerNorm(self + other): the same bits as in two steps, in one pass over memory.
    package func layerNorm(adding other: Tensor, weight: Tensor?, bias: Tensor?, epsilon: Float) -> Tensor {
        guard ([self, other, weight, bias].compactMap { $0?.node }).isEmpty, shape == other.shape else {
            return (self + other).layerNorm(weight: weight, bias: bias, epsilon: epsilon)
        }
        let device = device(for: "layerNorm")
        let (result, width) = (device.make(shape), shape.width)
        device.parallel(shape.rows, cost: width * 4) { range in
            for row in range {
                let (first, target) = unsafe (row * width, result.mutableFloats + row * width)
                unsafe martlet_add(floats + first, other.floats + first, target, width)
                unsafe martlet_layer_norm(target, weight?.floats, bias?.floats, epsilon, target, 1, width)
            }
        }
        return result
    }
}

extension GradientFlow {
    /// Adds the gradient of a norm's weight: Σ over rows of gradient · (x − mean) · factor, columns shared among the
    /// threads.
    fileprivate mutating func addNormWeight(
        _ x: Tensor, means: Tensor?, factors: Tensor, _ gradient: Tensor, to node: GradientNode?
    ) {
        guard let node else { return }
        let (device, width) = (device, x.shape.width)
        let ranks = rowRanks(for: node).map { ($0, $0.parts(ofOwn: x.shape[0])) }
        let all = [x, factors, gradient, means].map { rows in
            rows.map { own in ranks.map { $0.whole(own, $1, on: device) } ?? own }
        }
        guard let x = all[0], let factors = all[1], let gradient = all[2] else { return }
        let (means, rows) = (all[3], x.shape.elements / width)
        accumulate(node) { target, holdsSum in
            device.parallel(width, cost: rows * 3, grain: 16) { range in
                unsafe martlet_norm_weight_backward(
                    x.floats, means?.floats, factors.floats, gradient.floats, target.mutableFloats, holdsSum, rows,
                    width, range.lowerBound, range.upperBound)
            }
        }
    }

    /// The sums of the columns of `gradient` `[…, width]`: what a bias gets.
    mutating func addColumnSums(_ gradient: Tensor, to node: GradientNode?) {
        guard let node else { return }
        let device = device
        let whole = rowRanks(for: node).map { $0.whole(gradient, $0.parts(ofOwn: gradient.shape[0]), on: device) }
        addColumnSums(ofWhole: whole ?? gradient, to: node)
    }

    /// The sums of the columns of the rows of all ranks.
    mutating func addColumnSums(ofWhole gradient: Tensor, to node: GradientNode) {
        let (device, width) = (device, node.shape.elements)
        let rows = gradient.shape.elements / max(width, 1)
        accumulate(node) { target, holdsSum in
            device.parallel(width, cost: rows, grain: 16) { range in
                unsafe martlet_column_sums(
                    gradient.floats, target.mutableFloats, holdsSum, rows, width, range.lowerBound, range.upperBound)
            }
        }
    }
}
