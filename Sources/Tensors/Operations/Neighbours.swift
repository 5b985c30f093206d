import CMartletKernels

extension Tensor {
    /// For each row of `[rows, width]` its `size` neighbours within the same range, itself in the middle, zeros beyond the ends.
    ///
    /// - Returns: `[rows, width · size]`, element i of neighbour k at i · size + k.
    package func neighbours(_ size: Int, within ranges: [Range<Int>]) -> Tensor {
        precondition(shape.rank == 2 && size % 2 == 1, "neighbours: \(size) of \(shape)")
        let (device, width) = (device(for: "neighbours"), shape[1])
        let result = device.make([shape[0], width * size])
        for range in ranges {
            for row in range {
                let target = unsafe result.mutableFloats + row * width * size
                for k in 0..<size {
                    let other = row + k - size / 2
                    for i in 0..<width {
                        unsafe target[i * size + k] = range.contains(other) ? floats[other * width + i] : 0
                    }
                }
            }
        }
        return result
    }

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
        return result
    }
}
