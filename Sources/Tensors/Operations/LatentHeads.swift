extension Tensor {
    /// Keys and values of latent attention (arXiv:2405.04434), as attention reads them.
    ///
    /// - Parameters:
    ///   - self: `[rows, heads · (own + valueWidth)]`, of each head first what is its own of a key, then its value.
    ///   - own: elements of a key that its head has for itself.
    ///   - shared: `[rows, elements]`, which every head's key ends with.
    /// - Returns: `[rows, heads, own + elements]` and `[rows, heads, valueWidth]`.
    package func withinHeads(_ heads: Int, keys own: Int, shared: Tensor) -> (keys: Tensor, values: Tensor) {
        let (rows, common) = (shape[0], shared.shape[1])
        precondition(
            shape.rank == 2 && shape[1] % heads == 0 && shape[1] / heads >= own && shared.shape[0] == rows,
            "withinHeads: \(shape) for \(heads) heads, \(own) of a key and \(shared.shape)")
        let each = shape[1] / heads
        let device = device(for: "withinHeads")
        let (keys, values) = (device.make([rows, heads, own + common]), device.make([rows, heads, each - own]))
        device.parallel(rows, cost: heads * (each + common)) { range in
            for item in range.lowerBound * heads..<range.upperBound * heads {
                let source = unsafe floats + item * each
                let key = unsafe keys.mutableFloats + item * (own + common)
                unsafe key.update(from: source, count: own)
                unsafe (key + own).update(from: shared.floats + item / heads * common, count: common)
                unsafe (values.mutableFloats + item * (each - own)).update(from: source + own, count: each - own)
            }
        }
        if node == nil && shared.node == nil { return (keys, values) }
        let (node, sharedNode) = (node, shared.node)
        let trackedKeys = keys.recorded([self, shared]) { gradient, flow in
            let (parts, sum) = gradient.keyParts(own: own, each: each, on: flow.device)
            flow.add(parts, to: node)
            flow.add(sum, to: sharedNode)
        }
        let trackedValues = values.recorded([self]) { gradient, flow in
            flow.add(gradient.spread(from: own, each: each, on: flow.device), to: node)
        }
        return (trackedKeys, trackedValues)
    }

    /// The parts of a gradient of keys `[rows, heads, own + common]`: what belongs to the heads, among zeros, `[rows,
    /// heads · each]`, and the sum over heads of what they share, `[rows, common]`.
    private func keyParts(own: Int, each: Int, on device: Device) -> (parts: Tensor, sum: Tensor) {
        let (rows, heads, width) = (shape[0], shape[1], shape[2])
        let parts = device.make([rows, heads * each]).filled(with: 0)
        let sum = device.make([rows, width - own]).filled(with: 0)
        for item in 0..<rows * heads {
            let source = unsafe floats + item * width
            unsafe (parts.mutableFloats + item * each).update(from: source, count: own)
            let target = unsafe sum.mutableFloats + item / heads * (width - own)
            for i in own..<width { unsafe target[i - own] += source[i] }
        }
        return (parts, sum)
    }

    /// `[rows, heads, width]` as the elements from `first` on of heads of `each`, among zeros: `[rows, heads · each]`.
    private func spread(from first: Int, each: Int, on device: Device) -> Tensor {
        let (rows, heads, width) = (shape[0], shape[1], shape[2])
        let result = device.make([rows, heads * each]).filled(with: 0)
        for item in 0..<rows * heads {
            unsafe (result.mutableFloats + item * each + first).update(from: floats + item * width, count: width)
        }
        return result
    }
}
