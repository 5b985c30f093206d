internal import MartletLayers

/// The time of one training iteration of a layout, in seconds, by what takes it.
package struct IterationTime: Sendable, Hashable {
    /// Work of the fullest stage: forward, backward, and what is computed again.
    package let work: Double
    package let head: Double
    package let bubble: Double
    /// The exchange of tensor and expert parallelism, a part of `work`.
    package let exchange: Double
    /// The sends from stage to stage.
    package let sends: Double
    /// Gradients over data-parallel devices, and weights under ZeRO, as far as nothing hides them.
    package let gradients: Double
    package let optimizer: Double

    package var seconds: Double { work + head + bubble + sends + gradients + optimizer }

    /// The relative error that is stated, more than the model's worst, 7.3 %, on the published iterations that its
    /// constants were chosen over.
    package static let error = 0.10

    package func quantity(_ inputs: [Quantity.Input] = []) -> Quantity {
        let parts: [Quantity.Input] = [
            .init("work", readableSeconds(work)), .init("head", readableSeconds(head)),
            .init("bubble", readableSeconds(bubble)), .init("sends", readableSeconds(sends)),
            .init("gradients", readableSeconds(gradients)), .init("optimizer", readableSeconds(optimizer)),
        ]
        return Quantity(
            .range(
                low: seconds * (1 - IterationTime.error), middle: seconds, high: seconds * (1 + IterationTime.error)),
            .seconds, .iteration, inputs + parts)
    }
}

extension Formula {
    static let iteration = Formula(
        "time.iteration",
        "microbatches · (forward + backward + recomputation) · (1 + bubble) + head + gradients + optimizer",
        convention:
            "a roofline per operation; ±10 %, where the eight published iterations it was fitted to are met within 7.3 %",
        source: "constants chosen over arXiv:2205.05198 table 5")
}

/// A model of iteration times, for layouts of one model on one kind of device. Layers that are alike are timed once.
package struct IterationModel: Sendable {
    /// Layers that are alike, and how many they are.
    private struct Kind: Sendable {
        var layer: Blueprint.Layer
        var width: Int
        var tokens: Int
        var count: Int
    }

    let blueprint: Blueprint
    let model: ExecutionModel
    let recipe: TrainingFootprint.Recipe
    let workload: Workload
    let groups: ParameterGroups
    let profile: ActivationProfile
    private let kinds: [Kind]

    /// A model of iterations for sequences of `tokens` each.
    package init(
        _ blueprint: Blueprint, model: ExecutionModel, recipe: TrainingFootprint.Recipe, tokens: Int,
        sourceTokens: Int? = nil
    ) {
        let workload = Workload(tokens: tokens, sourceTokens: sourceTokens)
        (self.blueprint, self.model, self.recipe, self.workload) = (blueprint, model, recipe, workload)
        groups = ParameterGroups(blueprint, recipe: recipe)
        profile = recipe.activations.profile(blueprint, workload)
        var kinds: [Kind] = []
        for (index, stack) in blueprint.stacks.enumerated() {
            let rows = blueprint.rows(ofStack: index, workload)
            for layer in stack.layers {
                var nameless = layer
                nameless.name = ""
                nameless.sharesParametersOf = nil
                if let last = kinds.firstIndex(where: {
                    $0.layer == nameless && $0.width == stack.width && $0.tokens == rows
                }) {
                    kinds[last].count += 1
                } else {
                    kinds.append(Kind(layer: nameless, width: stack.width, tokens: rows, count: 1))
                }
            }
        }
        self.kinds = kinds
    }

    /// Seconds of one microbatch in all layers: forward, backward with what is computed again, and the exchanges in
    /// both.
    func passes(_ layout: ParallelLayout) -> (forward: Double, backward: Double, exchange: Double) {
        var (forward, backward, exchange) = (0.0, 0.0, 0.0)
        for kind in kinds {
            let time = LayerTime(
                kind.layer, width: kind.width, sequences: Double(layout.microBatch), tokens: Double(kind.tokens),
                sourceTokens: Double(blueprint.sourceRows(workload)), layout: layout, activations: recipe.activations,
                trainsMatrices: recipe.adapters == nil, model: model)
            var again = (work: 0.0, exchange: 0.0)
            switch layout.recomputation {
            case .none: break
            case .selective: again.work = recipe.activations.kernel == .plain ? time.scores : 0
            case .full: again = (time.forward, time.exchange)
            }
            forward += Double(kind.count) * time.forward
            backward += Double(kind.count) * (time.backward + again.work)
            exchange += Double(kind.count) * (2 * time.exchange + again.exchange)
        }
        return (forward, backward, exchange)
    }

    /// The time of an iteration over `globalBatch` sequences; nil when the batch does not divide.
    package func time(_ layout: ParallelLayout, globalBatch: Int) -> IterationTime? {
        guard let microBatches = layout.microBatches(globalBatch: globalBatch), microBatches > 0 else { return nil }
        let m = Double(microBatches)
        let stages = Double(layout.pipeline)
        let layerCount = Double(groups.layerCount)
        // The fullest stage has the layers that do not come out even.
        let uneven = layerCount > 0 ? (layerCount / stages).rounded(.up) / (layerCount / stages) : 1
        let all = passes(layout)
        let work = m * (all.forward + all.backward) / stages * uneven
        let bubble = work * (stages - 1) / (m * Double(layout.schedule.interleave))
        let rows = Double(layout.microBatch * workload.tokens) / Double(layout.context)
        let share = DeviceShare(groups, layout: layout)
        return IterationTime(
            work: work, head: m * head(rows: rows, layout), bubble: bubble,
            exchange: m * all.exchange / stages * uneven,
            sends: sends(rows: rows, layout), gradients: gradients(share, layout, hidden: work / m),
            optimizer: model.pass(bytes: 2 * share.optimizer + share.gradients + share.weights))
    }

    func head(rows: Double, _ layout: ParallelLayout) -> Double {
        guard !blueprint.headIsAbsent else { return 0 }
        let columns = Double(blueprint.vocabulary) / Double(layout.tensor)
        let product = model.product(rows: rows, inner: Double(blueprint.head.width), columns: columns)
        return 3 * product + model.pass(bytes: 16 * rows * columns)
    }

    /// The seconds of sends: one microbatch to the next stage and its gradient back, once for the last one; the others
    /// hide behind work.
    private func sends(rows: Double, _ layout: ParallelLayout) -> Double {
        2 * Double(layout.pipeline - 1) * send(rows: rows, layout)
    }

    /// The seconds of sending one microbatch from a stage to the next.
    func send(rows: Double, _ layout: ParallelLayout) -> Double {
        guard layout.pipeline > 1 else { return 0 }
        let bytes = Double(recipe.activations.elementBytes) * rows * Double(blueprint.width) / Double(layout.tensor)
        return model.network.send(bytes)
    }

    /// The seconds in which ZeRO and data parallelism exchange gradients and weights, less what hides behind the work
    /// of the last microbatch's backward pass.
    private func gradients(_ share: DeviceShare, _ layout: ParallelLayout, hidden microBatch: Double) -> Double {
        guard layout.data * layout.context > 1 else { return 0 }
        let link = model.link(for: layout.devices)
        // Weights are gathered for each pass of a microbatch, forward and back.
        let (bytes, times) =
            layout.sharding == .weights ? (recipe.precision.weights, 1.5) : (recipe.precision.gradients, 1)
        func summed(_ parameters: Double, over devices: Int) -> Double {
            times * link.allReduce(parameters * Double(bytes) / Double(layout.context), devices: devices)
        }
        let seconds =
            summed(share.trained - share.experts, over: layout.data)
            + (share.experts > 0 ? summed(share.experts, over: layout.expertReplicas) : 0)
        // Devices that divide rows hand each other what they have learnt.
        let handed = link.allGather(share.trained * Double(recipe.precision.weights), devices: layout.context)
        return max(0, seconds - 2.0 / 3 * microBatch) + handed
    }
}
