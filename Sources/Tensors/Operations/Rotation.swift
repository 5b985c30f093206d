import CMartletKernels

/// The cosines and sines of one pass, `[rows, width / 2]` each, shared by all layers that rotate alike.
package struct RotationTable: Sendable {
    package let cosines: Tensor
    package let sines: Tensor

    package init(cosines: Tensor, sines: Tensor) {
        precondition(cosines.shape == sines.shape, "RotationTable: \(cosines.shape) and \(sines.shape)")
        (self.cosines, self.sines) = (cosines, sines)
    }

    /// The inverse rotation, which turns back.
    fileprivate var reversed: RotationTable { RotationTable(cosines: cosines, sines: sines * -1) }
}

extension Tensor {
    /// Turns pairs of `2 · table.width` elements of each head, from element `first` on, by the row's angles
    /// (arXiv:2104.09864).
    ///
    /// - Parameters: `self` `[rows, heads, headWidth]`; `neighbours` pairs (2i, 2i + 1), otherwise (i, i + width / 2).
    /// - Returns: the same shape.
    package func rotated(by table: RotationTable, neighbours: Bool, from first: Int = 0) -> Tensor {
        precondition(
            shape.rank == 3 && table.cosines.shape[0] == shape[0] && first >= 0
                && first + table.cosines.shape[1] * 2 <= shape[2],
            "rotated: \(shape) by \(table.cosines.shape) from \(first)")
        let device = device(for: "rotated")
        let (heads, headWidth, half) = (shape[1], shape[2], table.cosines.shape[1])
        let result = device.make(shape)
        device.parallel(shape[0], cost: heads * headWidth * 2) { range in
            let start = range.lowerBound * heads * headWidth
            let target = unsafe result.mutableFloats + start
            unsafe target.update(from: floats + start, count: range.count * heads * headWidth)
            unsafe martlet_rotate(
                target + first, range.count, heads, headWidth, half * 2, neighbours,
                table.cosines.floats + range.lowerBound * half,
                table.sines.floats + range.lowerBound * half)
        }
        guard let node else { return result }
        return result.recorded([self]) { gradient, flow in
            flow.add(gradient.rotated(by: table.reversed, neighbours: neighbours, from: first), to: node)
        }
    }
}
