import MartletDistributed
import MartletPlanning
import MartletPlatform

extension RunPreparation {
    /// The bytes that the fullest rank of a layout takes, by the planner's account: states of what it holds, and the
    /// activations of as many passes as are in flight. Nil for models of which parts are frozen or adapted alone, which
    /// take less than is counted.
    func plannedBytes(_ layout: RankLayout, _ mesh: RankMesh) -> Double? {
        guard recipe.adapters == nil, recipe.training.frozen.isEmpty,
            let blueprint = try? Blueprint(architecture, modelType: config["model_type"]?.stringValue ?? "")
        else { return nil }
        func footprint(tensor: Int, sharding: Int) -> TrainingFootprint {
            TrainingFootprint(
                blueprint,
                recipe: .init(
                    precision: .single, optimizer: .init(rawValue: recipe.optimizer.name) ?? .adam,
                    activations: Activations(elementBytes: recipe.precision == .bf16 ? 2 : 4)),
                layout: ParallelLayout(
                    tensor: tensor, pipeline: mesh.stages, data: mesh.lanes, context: layout.context,
                    expert: mesh.experts, schedule: layout.schedule,
                    sharding: mesh.lanes > 1 ? ShardingStage(rawValue: sharding) ?? .none : .none,
                    recomputation: recipe.recomputation ? .full : .none),
                tokens: recipe.batchTokens, microBatches: recipe.accumulation / mesh.lanes,
                shards: recipe.shards / mesh.lanes)
        }
        let own = footprint(tensor: layout.tensor, sharding: layout.zero)
        guard layout.tensor > 1 else { return own.total.amount }
        // What is divided by outputs is held by inputs too, by every lane.
        func weights(_ tensor: Int) -> Double { footprint(tensor: tensor, sharding: 0).weights.amount }
        return own.total.amount + (weights(1) - weights(layout.tensor)) / Double(layout.tensor - 1)
    }

    /// Compares what a stage of a pipeline will hold, by the planner's account, with the memory that is free here.
    ///
    /// - Throws: ``RunError`` with both numbers and what takes less.
    func checkMemory(_ layout: RankLayout, _ mesh: RankMesh) throws(RunError) {
        let free = Double(SystemMemory.available.bytes)
        guard mesh.stages > 1, let wanted = plannedBytes(layout, mesh), wanted > free else { return }
        throw RunError(
            "a stage of pipeline=\(mesh.stages) takes \(readableBytes(wanted)), but \(readableBytes(free)) are free here; more stages, recomputation or a smaller batch take less"
        )
    }
}
