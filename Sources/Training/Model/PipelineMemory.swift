import MartletDistributed
import MartletPlanning
import MartletPlatform

extension RunPreparation {
    /// Compares what a stage of a pipeline will hold, by the planner's account, with the memory that is free here:
    /// states of its layers, and the activations of as many passes as its schedule keeps in flight.
    ///
    /// Models of which parts are frozen or adapted alone take less than is counted, and are not checked.
    ///
    /// - Throws: ``RunError`` with both numbers and what takes less.
    func checkMemory(_ layout: RankLayout, _ mesh: RankMesh) throws(RunError) {
        guard mesh.stages > 1, recipe.adapters == nil, recipe.training.frozen.isEmpty,
            let blueprint = try? Blueprint(
                architecture, modelType: config["model_type"]?.stringValue ?? "")
        else { return }
        let footprint = TrainingFootprint(
            blueprint,
            recipe: .init(
                precision: .single, optimizer: .init(rawValue: recipe.optimizer.name) ?? .adam,
                activations: Activations(elementBytes: recipe.precision == .bf16 ? 2 : 4)),
            layout: ParallelLayout(
                pipeline: mesh.stages, data: mesh.lanes, schedule: layout.schedule,
                sharding: ShardingStage(rawValue: layout.zero) ?? .none,
                recomputation: recipe.recomputation ? .full : .none),
            tokens: recipe.batchTokens, microBatches: recipe.accumulation / mesh.lanes)
        let (wanted, free) = (footprint.total.amount, Double(SystemMemory.available.bytes))
        guard wanted > free else { return }
        throw RunError(
            "a stage of pipeline=\(mesh.stages) takes \(readableBytes(wanted)), but \(readableBytes(free)) are free here; more stages, recomputation or a smaller batch take less"
        )
    }
}
