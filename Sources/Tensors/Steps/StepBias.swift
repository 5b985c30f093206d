import CMartletKernels

/// The position bias of attention scores in a step (T5's buckets, ALiBi before scaling): a table that grows with the
/// texts.
@safe package final class StepBias {
    private let make: (_ positions: Int) -> (values: Tensor, zero: Int?)
    private let place = unsafe Storage(bytes: MemoryLayout<martlet_step_bias>.stride)
    private var values: Tensor?
    private var positions = 0

    /// - Parameter make: the numbers for texts of so many positions, `[heads, …]`: by the key's position, or by its
    ///   distance from column `zero`, a key before the query lying to its left.
    package init(_ make: @escaping (_ positions: Int) -> (values: Tensor, zero: Int?)) { self.make = make }

    /// The bias as the kernels read it, valid as long as this lives.
    var kernel: UnsafePointer<martlet_step_bias> {
        unsafe place.pointer.assumingMemoryBound(to: martlet_step_bias.self)
    }

    /// Makes room for `count` positions.
    func reserve(_ count: Int) {
        guard count > positions else { return }
        positions = max(256, 2 * count)
        let (made, zero) = make(positions)
        values = made
        unsafe place.mutablePointer.assumingMemoryBound(to: martlet_step_bias.self).pointee = martlet_step_bias(
            values: made.floats, head_stride: made.shape.elements / made.shape[0], zero: zero ?? 0, moves: zero != nil)
    }
}
