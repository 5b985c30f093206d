package import MartletDistributed
import MartletJSON
import MartletLayers
import MartletModels
package import MartletTensors

/// The learner of a recipe, with its first weights.
extension ModelLearner {
    /// The learner of a recipe, with its first weights.
    ///
    /// - Throws: also ``RunError`` for what cannot be trained, and what reading a checkpoint throws.
    package convenience init(
        _ preparation: RunPreparation, over communicator: any Communicator = Alone(), _ layout: RankLayout = .init(),
        on device: Device
    ) throws {
        let recipe = preparation.recipe
        var ranks = Ranks()
        (ranks.communicator, ranks.layout, ranks.mesh) = (
            communicator, layout, try layout.mesh(ranks: communicator.size)
        )
        (ranks.passes, ranks.shards) = (recipe.accumulation, recipe.shards)
        try preparation.checkMemory(layout, ranks.mesh)
        ranks.cutsParameters = OptimizerChoice.isElementwise(recipe.optimizer)
        ranks.family = preparation.config["model_type"]?.stringValue ?? ranks.family
        let fresh = SeededInitialiser(seed: recipe.seed, device: device)
        let (source, checkpoint) = try preparation.weights(fresh, on: device)
        try self.init(
            preparation.architecture, from: source, factors: fresh, Settings(preparation), over: ranks, on: device
        ) {
            OptimizerChoice.make(recipe.optimizer, $0)
        }
        if let failure = checkpoint?.failure { throw failure }
        if let objective = recipe.objective.labelled, objective.kind == .preferences, let data = preparation.labelled {
            let reference = try reference(data.training + data.validation, rows: recipe.batchTokens)
            self.settings.task = PreferenceLoss(beta: objective.beta, reference: reference)
        }
    }

    /// The log-probabilities of both answers of each example before the model learns: also those of a resumed run,
    /// which is restored afterwards.
    private func reference(_ examples: [Example], rows: Int) throws -> [Int: (chosen: Double, rejected: Double)] {
        guard let frozenHead else { return [:] }
        var reference: [Int: (chosen: Double, rejected: Double)] = [:]
        for batch in LabelledStream.batches(of: examples, .init(rows: rows, seed: 0)) {
            let found = try pass(learning: false) {
                PreferenceLoss.logProbabilities(frozenHead, try hidden(frozen, batch, nil).states, batch)
            }
            for (index, label) in batch.labels.enumerated() {
                guard case .preference(let number) = label else { continue }
                reference[number] = (found[2 * index], found[2 * index + 1])
            }
        }
        return reference
    }
}

extension ModelLearner.Settings {
    /// The settings of a recipe.
    ///
    /// - Throws: ``RunError`` for parts and dropouts that the model does not have.
    fileprivate init(_ preparation: RunPreparation) throws {
        let recipe = preparation.recipe
        precision = recipe.precision == .bf16 ? .bf16 : .f32
        dropout = try DropoutShares(recipe, preparation.config)
        expertBalance = Float(recipe.expertBalance)
        recomputation = recipe.recomputation ? .byLayer : .none
        loss.smoothing = Float(recipe.labelSmoothing)
        average = recipe.training.average
        task = recipe.objective.labelled.flatMap { objective in
            preparation.labelled.flatMap {
                objective.loss($0.names, loss, preparation.sentences, recipe.teacher?.distillation)
            }
        }
        comparesWholeSteps = recipe.objective.labelled?.comparesWholeSteps ?? false
        adapterDropout = Float(recipe.adapters?.dropout ?? 0)
        selection = try TrainedParts(recipe.training, preparation.architecture.inventory()).selection
        if let configuration = recipe.adapters, let (targets, layout) = try preparation.adapters {
            let hasNewHead = preparation.labelled != nil
            selection.adapters = layout
            selection.isTrained = { entry in
                (hasNewHead && TrainedParts.isLabelHead(entry.name)) || targets.isSaved(entry.name, configuration)
            }
        }
    }
}

extension RunPreparation {
    /// The source of a learner's first weights: `fresh`, or a checkpoint, which then tells what could not be read.
    ///
    /// - Throws: what reading a checkpoint throws.
    fileprivate func weights(
        _ fresh: SeededInitialiser, on device: Device
    ) throws -> (source: any ParameterSource, checkpoint: CheckpointSource?) {
        guard case .directory(let path) = recipe.model else { return (fresh, nil) }
        let file = try ModelFile(path: path)
        let stored: CheckpointSource
        var source: any ParameterSource
        var new: Set<String> = []
        if labelled == nil {
            stored = CheckpointSource(try file.checkpoint(), device: device)
            source = stored
        } else {
            let held: Checkpoint
            (held, new) = try file.checkpoint(under: architectureOfOrigin)
            stored = CheckpointSource(held, device: device)
            source = NewHeadSource(stored, new: new, from: fresh)
        }
        if let type = recipe.weights { source = RoundedSource(source, to: type, leaving: new, on: device) }
        if let layers = recipe.layers { source = KeptLayers(source, layers) }
        return (source, stored)
    }
}
