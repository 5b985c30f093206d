package import MartletLayers

/// Low-rank adapters beside frozen matrices (LoRA, arXiv:2106.09685).
package struct Adapters: Sendable, Hashable {
    package var rank: Int
    /// The roles of the matrices that get them.
    package var roles: Set<ParameterRole>
    /// The storage type of the frozen weights: nf4 for QLoRA.
    package var base: StorageType

    package init(
        rank: Int, roles: Set<ParameterRole> = [.query, .key, .value, .queryKeyValue, .output],
        base: StorageType = .bf16
    ) { (self.rank, self.roles, self.base) = (rank, roles, base) }

    /// The adapter parameters of a matrix, rank · (inputs + outputs), for each expert.
    func parameters(of tensor: ParameterTensor) -> Count {
        let copies = tensor.shape.count == 3 ? tensor.shape[0] : 1
        return Count(rank) * Count(copies) * tensor.shape.suffix(2).reduce(0) { $0 + Count($1) }
    }

    /// The adapter parameters of a model, rank · (inputs + outputs) of every matrix that gets them.
    package func parameters(_ blueprint: Blueprint) -> Quantity {
        var total: Count = 0
        for tensor in blueprint.tensors where roles.contains(tensor.role) && tensor.isMatrix {
            total += parameters(of: tensor)
        }
        return Quantity(
            total, .parameters,
            Formula(
                "parameters.adapters", "Σ rank · (inputs + outputs)",
                convention: roles.map(\.rawValue).sorted().joined(separator: ", "), source: "arXiv:2106.09685"),
            [.init("rank", rank)])
    }
}

/// The memory footprint of training on one device.
package struct TrainingFootprint: Sendable {
    package let weights: Quantity
    package let gradients: Quantity
    package let optimizer: Quantity
    package let activations: Quantity
    /// Logits and their gradient, and the head's input, where the head is on the device.
    package let logits: Quantity
    /// The activations of the one layer that is computed again under full recomputation.
    package let recomputed: Quantity

    /// The recipe of a training run, as far as memory depends on it.
    package struct Recipe: Sendable, Hashable {
        package var precision: TrainingPrecision
        package var optimizer: Optimizer
        package var activations: Activations
        package var adapters: Adapters?
        /// Roles of parameters that stay as they are: they have neither gradient nor optimizer states.
        package var frozen: Set<ParameterRole>

        package init(
            precision: TrainingPrecision = .mixed, optimizer: Optimizer = .adam,
            activations: Activations = Activations(),
            adapters: Adapters? = nil, frozen: Set<ParameterRole> = []
        ) {
            (self.precision, self.optimizer) = (precision, optimizer)
            (self.activations, self.adapters, self.frozen) = (activations, adapters, frozen)
        }

        /// The passes that a training step's products take, a forward pass being one: backwards one for the gradients
        /// of their inputs, and one for those of the matrices that learn.
        package func passes(_ blueprint: Blueprint) -> Double {
            guard adapters == nil else { return 2 }
            guard !frozen.isEmpty else { return 3 }
            var (all, learning) = (0.0, 0.0)
            for tensor in blueprint.tensors where tensor.isMatrix {
                all += Double(tensor.elements)
                if !frozen.contains(tensor.role) { learning += Double(tensor.elements) }
            }
            return 2 + (all > 0 ? learning / all : 0)
        }
    }

    /// - Parameter shards: of the passes of a step, on each device: their gradients are added in a binary tree, which
    ///   holds an array for each of its levels beside the one that a pass adds to.
    package init(
        _ blueprint: Blueprint, recipe: Recipe, layout: ParallelLayout, tokens: Int, sourceTokens: Int? = nil,
        microBatches: Int, shards: Int = 1
    ) {
        let workload = Workload(tokens: tokens, sourceTokens: sourceTokens)
        let share = DeviceShare(ParameterGroups(blueprint, recipe: recipe), layout: layout)
        func quantity(_ bytes: Double, _ name: String, _ text: String, _ inputs: [Quantity.Input]) -> Quantity {
            Quantity(
                bytes, .bytes,
                Formula("memory.\(name)", text, convention: recipe.precision.name, source: "arXiv:1910.02054"), inputs)
        }
        weights = quantity(
            share.weights, "training_weights", "parameters here · bytes / shards",
            [.init("parameters here", share.parameters)])
        let levels = Int.bitWidth - 1 - max(shards, 1).leadingZeroBitCount
        gradients = quantity(
            share.gradients * Double(1 + levels), "gradients",
            "trained parameters here · bytes / shards · (1 + levels of the sum over passes)",
            [.init("trained parameters here", share.trained), .init("levels of the sum over passes", levels)])
        optimizer = quantity(
            share.optimizer, "optimizer", "(master copy + states) / shards",
            [.init("trained parameters here", share.trained), .init("optimizer", recipe.optimizer.rawValue)])
        activations = recipe.activations.firstStage(blueprint, workload, layout: layout, microBatches: microBatches)
        logits = TrainingFootprint.logits(blueprint, recipe, layout, tokens)
        recomputed = Quantity(
            recipe.activations.profile(blueprint, workload).recomputedLayer(layout), .bytes,
            Formula(
                "memory.recomputed_layer", "the activations of the largest layer",
                convention: "full recomputation only",
                source: "arXiv:2205.05198"))
    }

    package var total: Quantity {
        let parts = [weights, gradients, optimizer, activations, logits, recomputed]
        let names = ["weights", "gradients", "optimizer", "activations", "logits", "recomputed layer"]
        return Quantity(
            parts.reduce(0) { $0 + $1.amount }, .bytes,
            Formula(
                "memory.training", "weights + gradients + optimizer + activations + logits + recomputed layer",
                convention: "the fullest device, without fragmentation and communication buffers", source: "the parts"),
            zip(names, parts).map { .init($0, $1.amount) })
    }

    /// The bytes of logits: 4 bytes · rows · vocabulary for the logits, as much for their gradient in the element type,
    /// and the head's input.
    static func logitBytes(_ blueprint: Blueprint, _ recipe: Recipe, _ layout: ParallelLayout, _ tokens: Int) -> Double
    {
        let rows = Double(tokens * layout.microBatch) / Double(layout.context)
        let e = Double(recipe.activations.elementBytes)
        let vocabulary = blueprint.headIsAbsent || layout.pipeline > 1 ? 0 : Double(blueprint.vocabulary)
        return rows * ((4 + e) * vocabulary / Double(layout.tensor) + e * Double(blueprint.width))
    }

    private static func logits(_ blueprint: Blueprint, _ recipe: Recipe, _ layout: ParallelLayout, _ tokens: Int)
        -> Quantity
    {
        Quantity(
            logitBytes(blueprint, recipe, layout, tokens), .bytes,
            Formula(
                "memory.training_logits", "rows · ((4 + e) · vocabulary / t + e · width)",
                convention:
                    "32-bit logits and a gradient in the element type; the first stage has none when there are several",
                source: "arXiv:2205.05198 §4.3"),
            [
                .init("rows", tokens * layout.microBatch / layout.context), .init("vocabulary", blueprint.vocabulary),
                .init("e", recipe.activations.elementBytes), .init("t", layout.tensor),
            ])
    }
}
