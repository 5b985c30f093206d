extension Tensor {
    /// The `size` neighbours of each row of `[rows, width]` within the same range, itself in the middle, zeros beyond
    /// the ends (the windows of a convolution).
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
        guard let node else { return result }
        return result.recorded([self]) { [shape] gradient, flow in
            flow.add(gradient.gathered(shape, size, within: ranges), to: node)
        }
    }

    /// The sum for each row of `shape` of what its neighbours' copies of it hold, in ascending order of copies.
    private func gathered(_ shape: Shape, _ size: Int, within ranges: [Range<Int>]) -> Tensor {
        let (result, width) = (device(for: "neighbours").make(shape).filled(with: 0), shape[1])
        for range in ranges {
            for row in range {
                for k in 0..<size where range.contains(row + k - size / 2) {
                    let target = unsafe result.mutableFloats + (row + k - size / 2) * width
                    for i in 0..<width { unsafe target[i] += floats[row * width * size + i * size + k] }
                }
            }
        }
        return result
    }
}
