package import MartletLayers

/// The attention kernel, by what it keeps of the scores for the backward pass.
package enum AttentionKernel: String, Sendable, Hashable, Codable, CaseIterable {
    /// All scores are kept: the square of the length.
    case plain
    /// One number per query and head is kept, the rest computed again (arXiv:2205.14135).
    case flash
}

/// The activations of the forward pass that the backward pass needs, by layer (arXiv:2205.05198, equations 1 to 6, for
/// any layer of a description).
///
/// With e bytes an element and dropout masks of one byte, a GPT layer comes out as s·b·h·(34 + 5·a·s/h) for e = 2.
package struct Activations: Sendable, Hashable {
    package var elementBytes: Int
    /// Dropout keeps a byte per element it may drop, and the scores once more.
    package var dropout: Architecture.Presence
    package var kernel: AttentionKernel

    package init(elementBytes: Int = 2, dropout: Architecture.Presence = .absent, kernel: AttentionKernel = .flash) {
        (self.elementBytes, self.dropout, self.kernel) = (elementBytes, dropout, kernel)
    }

    /// Bytes of a row in one layer, by how tensor parallelism treats them.
    struct RowBytes: Sendable, Hashable {
        /// The bytes that are on every device, unless rows are split too.
        var between = 0.0
        /// The bytes that are divided by the tensor-parallel devices.
        var inside = 0.0
        /// The bytes of the scores: divided too, and gone under selective recomputation.
        var scores = 0.0
        /// The bytes of the layer's input: all that full recomputation keeps.
        var input = 0.0

        var whole: Double { between + inside + scores }

        func times(_ rows: Double) -> RowBytes {
            RowBytes(between: between * rows, inside: inside * rows, scores: scores * rows, input: input * rows)
        }
    }

    func rowBytes(_ layer: Blueprint.Layer, width: Int, keys: Int, sourceKeys: Int) -> RowBytes {
        let e = Double(elementBytes)
        let mask = dropout == .present ? Double(width) : 0
        var bytes = RowBytes()
        bytes.input = e * Double(width)
        bytes.between = e * Double(layer.norms * width)
        for (attention, keys) in [(layer.attention, keys)] + (layer.crossAttention.map { [($0, sourceKeys)] } ?? []) {
            bytes.between += e * Double(width) + mask
            bytes.inside += e * inner(attention)
            bytes.scores += scoreBytes(attention, keys: keys)
        }
        let feedForward = hidden(layer.feedForward, width: width)
        bytes.between += e * Double(width) + mask
        bytes.inside += e * feedForward
        return bytes
    }

    /// The number of elements per row between the projections of an attention.
    private func inner(_ attention: Blueprint.Attention) -> Double {
        let own = attention.queryWidth + attention.keyWidth + attention.valuesWidth + attention.outputWidth
        guard let latent = attention.latent else { return Double(own) }
        // Both sides of the norms over the latent vectors, besides.
        return Double(own + 2 * (latent.queryRank ?? 0) + 2 * latent.keyValueRank + latent.rotaryWidth)
    }

    private func scoreBytes(_ attention: Blueprint.Attention, keys: Int) -> Double {
        let heads = Double(attention.queryHeads)
        if kernel == .flash { return 4 * heads }
        let perScore = Double(elementBytes) + (dropout == .present ? 1 + Double(elementBytes) : 0)
        return perScore * heads * Double(keys)
    }

    /// The number of elements per row inside a feed-forward: in and out of the activation, both factors of a gate.
    private func hidden(_ feedForward: Blueprint.FeedForward, width: Int) -> Double {
        switch feedForward {
        case .plain(let hidden): return 2 * Double(hidden)
        case .gated(let hidden): return 4 * Double(hidden)
        case .experts(let count, let active, let hidden, let sharedHidden):
            let routed = Double(active) * (4 * Double(hidden) + Double(width))
            return routed + 4 * Double(sharedHidden) + 2 * Double(count)
        }
    }

    /// The bytes of all layers of a model for one sequence, by how a layout divides them.
    func profile(_ blueprint: Blueprint, _ workload: Workload) -> ActivationProfile {
        var profile = ActivationProfile()
        let source = blueprint.sourceRows(workload)
        for (index, stack) in blueprint.stacks.enumerated() {
            let rows = blueprint.rows(ofStack: index, workload)
            for layer in stack.layers {
                profile.add(rowBytes(layer, width: stack.width, keys: rows, sourceKeys: source), rows: rows)
            }
        }
        return profile
    }

    /// The activations that every microbatch in flight keeps on the first stage, which holds the most of them.
    package func firstStage(_ blueprint: Blueprint, _ workload: Workload, layout: ParallelLayout, microBatches: Int)
        -> Quantity
    {
        let whole = profile(blueprint, workload).bytes(layout)
        let factor = Activations.inFlight(layout, microBatches: microBatches)
        return Quantity(
            whole * factor, .bytes, .activations(self, layout),
            [
                .init("all layers, one microbatch", whole), .init("microbatches in flight over stages", factor),
                .init("tokens", workload.tokens),
            ])
    }

    /// The number of microbatches whose activations the first stage keeps at once, over the number of stages.
    static func inFlight(_ layout: ParallelLayout, microBatches: Int) -> Double {
        let stages = Double(layout.pipeline)
        let most = Double(max(microBatches, 1))
        switch layout.schedule {
        case .allForwardFirst: return most / stages
        case .zeroBubble: return min(1, most)
        case .alternating(let interleave):
            let full = interleave > 1 ? 1 + (stages - 1) / (stages * Double(interleave)) : 1
            return min(full, most)
        }
    }
}

/// The activations of all layers for one sequence on one device, before any layout divides them.
struct ActivationProfile: Sendable, Hashable {
    var all = Activations.RowBytes()
    /// The largest layer by itself.
    var largest = Activations.RowBytes()

    mutating func add(_ layer: Activations.RowBytes, rows: Int) {
        let layer = layer.times(Double(rows))
        all = Activations.RowBytes(
            between: all.between + layer.between, inside: all.inside + layer.inside, scores: all.scores + layer.scores,
            input: all.input + layer.input)
        if layer.whole > largest.whole { largest = layer }
    }

    /// The bytes of one microbatch in all layers, on one device of each tensor-parallel group.
    func bytes(_ layout: ParallelLayout) -> Double {
        ActivationProfile.bytes(all, layout, layout.recomputation)
    }

    /// The layer that is computed again under full recomputation.
    func recomputedLayer(_ layout: ParallelLayout) -> Double {
        layout.recomputation == .full ? ActivationProfile.bytes(largest, layout, .none) : 0
    }

    private static func bytes(_ part: Activations.RowBytes, _ layout: ParallelLayout, _ recomputation: Recomputation)
        -> Double
    {
        let tensor = Double(layout.tensor)
        let spread = layout.sequenceParallel == .present ? tensor : 1
        let sequences = Double(layout.microBatch) / Double(layout.context)
        switch recomputation {
        case .full: return sequences * part.input / spread
        case .selective: return sequences * (part.between / spread + part.inside / tensor)
        case .none: return sequences * (part.between / spread + (part.inside + part.scores) / tensor)
        }
    }
}

extension Formula {
    static func activations(_ activations: Activations, _ layout: ParallelLayout) -> Formula {
        Formula(
            "memory.activations",
            "Σ layers rows · (between / (t if rows are split) + (inside + scores) / t) · in flight",
            convention:
                "\(activations.elementBytes)-byte elements, dropout \(activations.dropout.rawValue), \(activations.kernel.rawValue) attention, recompute \(layout.recomputation.rawValue)",
            source: "arXiv:2205.05198 eqs. 1 to 6")
    }
}
