extension Tensor {
    /// Gradient checkpointing: returns the result of `body` without keeping what it made on the way; the backward pass
    /// runs it again (arXiv:1604.06174).
    ///
    /// Gradients have the bits of an ordinary pass, because the second run records the same graph and adds to the same
    /// sums.
    ///
    /// - Parameters:
    ///   - inputs: every tracked tensor from outside that `body` reads; parameters need not stand here.
    ///   - body: gives the same bits whenever it is called.
    package static func recomputed(from inputs: [Tensor?], _ body: @escaping @Sendable () -> Tensor) -> Tensor {
        let result = body()
        guard result.node != nil else { return result }
        let ends = inputs.compactMap { $0?.node }
        let node = GradientNode(result.shape, parents: ends) { gradient, flow in
            guard let again = body().node else { return }
            flow.add(gradient, to: again)
            flow.run(from: [again], stoppingAt: ends)
        }
        return result.tracked(by: node)
    }
}
