import CMartletKernels

extension Tensor {
    /// The Gram matrix x xᵀ for x `[rows, columns]`, or xᵀ x when there are more rows than columns: the smaller of the
    /// two; untracked.
    package func gram() -> Tensor {
        let turned = shape[0] > shape[1]
        let device = device(for: "gram")
        let result = device.make([min(shape[0], shape[1]), min(shape[0], shape[1])])
        result.setSymmetricProduct(self, turned: turned, self, turned ? .steps : .columns, on: device)
        return result
    }

    /// The product of two symmetric matrices of one size whose product is symmetric too: polynomials of one matrix;
    /// untracked.
    package func multiplied(byCommuting other: Tensor) -> Tensor {
        let device = device(for: "product")
        let result = device.make(shape)
        result.setSymmetricProduct(self, turned: false, other, .steps, on: device)
        return result
    }

    /// Half of a product that is known to be symmetric, mirrored. Panels are items: each holds the rows from its own
    /// on.
    private func setSymmetricProduct(_ a: Tensor, turned: Bool, _ b: Tensor, _ order: MatrixOrder, on device: Device) {
        let size = shape[0]
        let steps = turned ? a.shape[0] : a.shape[1]
        precondition(
            shape == [size, size] && a.shape.elements == size * steps && b.shape.elements == size * steps,
            "symmetric product: \(a.shape) with \(b.shape) into \(shape)")
        let panel = Int(MARTLET_PANEL)
        device.parallel((size + panel - 1) / panel, cost: panel * size * steps) { range in
            for index in range {
                let first = index * panel
                var product = unsafe martlet_stored_product()
                unsafe product.a = UnsafeRawPointer(a.floats + (turned ? first : first * steps))
                unsafe product.b = UnsafeRawPointer(b.floats + (order == .steps ? first : first * steps))
                unsafe (product.a_stride, product.a_turned) = (a.shape[1], turned)
                unsafe (product.b_stride, product.b_columns) = (b.shape[1], order == .columns)
                unsafe (product.rows, product.columns, product.steps) = (size - first, min(panel, size - first), steps)
                unsafe (product.y, product.y_stride) = (
                    UnsafeMutableRawPointer(mutableFloats + first * size + first), size
                )
                let items = unsafe martlet_plan_stored_product(&product, 1)
                let scratch = device.scratch(bytes: unsafe martlet_stored_product_scratch(&product) * 4)
                unsafe martlet_run_stored_product(
                    &product, 0, items, scratch.mutablePointer.assumingMemoryBound(to: Float.self))
            }
        }
        device.parallel(size, cost: size, grain: 16) { range in
            unsafe martlet_mirror(mutableFloats, size, range.lowerBound, range.upperBound)
        }
    }
}
