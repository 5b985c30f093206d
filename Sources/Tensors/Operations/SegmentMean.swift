import CMartletKernels

extension Tensor {
    /// The mean of the rows of each range: `[rows, width]` to `[ranges, width]`. Rows are added in ascending order.
    ///
    /// Backward: every row of a range gets the mean's gradient divided by the range's length.
    package func averaged(over ranges: [Range<Int>]) -> Tensor {
        precondition(
            shape.rank == 2 && ranges.allSatisfy { !$0.isEmpty && $0.lowerBound >= 0 && $0.upperBound <= shape[0] },
            "averaged: ranges of \(shape), one of which is empty or beyond its rows")
        let (device, width) = (device(for: "averaged"), shape.width)
        let result = device.make([ranges.count, width]).filled(with: 0)
        let longest = ranges.reduce(1) { max($0, $1.count) }
        device.parallel(ranges.count, cost: width * longest) { chosen in
            for index in chosen {
                let mean = unsafe result.mutableFloats + index * width
                for row in ranges[index] { unsafe martlet_add(mean, floats + row * width, mean, width) }
                unsafe martlet_scale(mean, 1 / Float(ranges[index].count), mean, width)
            }
        }
        guard let node else { return result }
        return result.recorded([self]) { [shape] gradient, flow in
            let dx = flow.device.make(shape).filled(with: 0)
            for (index, range) in ranges.enumerated() {
                for row in range {
                    let target = unsafe dx.mutableFloats + row * width
                    unsafe martlet_blend(
                        target, 1, gradient.floats + index * width, 1 / Float(range.count), target, width)
                }
            }
            flow.add(dx, to: node)
        }
    }
}
