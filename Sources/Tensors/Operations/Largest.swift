import CMartletKernels

extension Tensor {
    /// The index of the largest element, the first of equals; NaN is never the largest.
    package func argmax() -> Int { unsafe martlet_argmax(floats, shape.elements) }
}
