import CMartletKernels

extension Tensor {
    /// Adds `bias`, as wide as a row, to each row.
    package func adding(toEachRow bias: Tensor) -> Tensor {
        let width = shape.width
        precondition(bias.shape.elements == width, "adding to each row: \(shape) and \(bias.shape)")
        let device = device(for: "adding to each row")
        let result = device.make(shape)
        device.parallel(shape.rows, cost: width) { range in
            unsafe martlet_add_bias(
                floats + range.lowerBound * width, bias.floats, result.mutableFloats + range.lowerBound * width,
                range.count, width)
        }
        if node == nil && bias.node == nil { return result }
        let (xNode, biasNode) = (node, bias.node)
        return result.recorded([self, bias]) { gradient, flow in
            flow.add(gradient, to: xNode)
            flow.addColumnSums(gradient, to: biasNode)
        }
    }
}
