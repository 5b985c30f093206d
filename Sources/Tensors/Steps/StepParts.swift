import CMartletKernels

/// A projection as a step reads it.
package struct StepMatrix: Sendable {
    package let matrix: PackedMatrix
    package let bias: Tensor?

    package init(_ matrix: PackedMatrix, bias: Tensor?) {
        precondition(
            bias.map { $0.type == .f32 && $0.shape.elements == matrix.outputs } ?? true,
            "StepMatrix: [\(matrix.outputs), \(matrix.inputs)] with a bias of \(bias?.shape ?? [])")
        (self.matrix, self.bias) = (matrix, bias)
    }

    /// The matrix as the kernel reads it, valid as long as this lives.
    func kernel(into y: UnsafeMutablePointer<Float>?) -> martlet_step_matrix {
        unsafe martlet_step_matrix(
            type: matrix.type.kernelType, packed: matrix.storage.pointer, outputs: matrix.outputs, bias: bias?.floats,
            y: y)
    }
}

/// A norm inside a step, its weights in f32.
package enum StepNorm: Sendable {
    case rms(weight: Tensor, offset: Float, epsilon: Float)
    case layer(weight: Tensor?, bias: Tensor?, epsilon: Float)

    /// The norm as the kernel reads it, valid as long as `held` lives.
    var kernel: martlet_step_norm {
        switch self {
        case .rms(let weight, let offset, let epsilon):
            unsafe martlet_step_norm(
                kind: MARTLET_NORM_RMS, weight: weight.floats, bias: nil, offset: offset, epsilon: epsilon)
        case .layer(let weight, let bias, let epsilon):
            unsafe martlet_step_norm(
                kind: MARTLET_NORM_LAYER, weight: weight?.floats, bias: bias?.floats, offset: 0, epsilon: epsilon)
        }
    }

    var held: [Storage] {
        switch self {
        case .rms(let weight, _, _): [weight.storage]
        case .layer(let weight, let bias, _): [weight, bias].compactMap { $0?.storage }
        }
    }
}

/// Attention inside a step: softmax(q kᵀ · scale) v over the past, or a part of it.
package struct StepAttention {
    package var keyHeads: Int
    /// The number of query heads that share a key head.
    package var group: Int
    package var headWidth: Int
    /// The width of a head's value, in elements.
    package var valueWidth: Int
    package var queryNorm: StepNorm?
    package var keyNorm: StepNorm?
    /// The weights by which normed queries and keys are multiplied, `[heads · headWidth]`, where each head has its own.
    package var headWeights: (query: Tensor?, key: Tensor?)
    /// The rotation (RoPE) of queries and keys: which of the plan's, and whether pairs are neighbours.
    package var rotation: (index: Int, neighbours: Bool)?
    package var scale: Float
    package var cap: Float?
    /// ALiBi slopes, one per query head.
    package var slopes: [Float]?
    /// Attention sinks, `[query heads]`.
    package var sinks: Tensor?
    package var bias: StepBias?
    /// The KV cache of this layer: which of the plan's tables holds its keys and values, and where in its blocks they
    /// begin, in bytes.
    package var cache: (table: Int, offset: Int)

    package init(
        keyHeads: Int, group: Int, headWidth: Int, valueWidth: Int, scale: Float, cache: (table: Int, offset: Int)
    ) {
        (self.keyHeads, self.group, self.headWidth) = (keyHeads, group, headWidth)
        (self.valueWidth, self.scale, self.cache) = (valueWidth, scale, cache)
    }
}

/// Attention inside a step to an encoder's output, whose keys and values do not change.
package struct StepCrossAttention {
    package var keyHeads: Int
    package var group: Int
    package var headWidth: Int
    package var query: StepMatrix
    package var scale: Float
    package var cap: Float?
    package var cache: (table: Int, offset: Int)

    package init(
        keyHeads: Int, group: Int, headWidth: Int, query: StepMatrix, scale: Float, cap: Float?,
        cache: (table: Int, offset: Int)
    ) {
        (self.keyHeads, self.group, self.headWidth, self.query) = (keyHeads, group, headWidth, query)
        (self.scale, self.cap, self.cache) = (scale, cap, cache)
    }
}
