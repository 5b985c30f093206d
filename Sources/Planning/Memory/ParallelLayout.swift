package import MartletLayers

/// Activation recomputation: what is computed twice instead of kept.
package enum Recomputation: String, Sendable, Hashable, Codable, CaseIterable {
    case none
    /// The scores and what follows from them up to the values (arXiv:2205.05198 §5).
    case selective
    /// Every layer from its input.
    case full
}

/// The pipeline schedule, by which the stages take turns.
package enum PipelineSchedule: Sendable, Hashable {
    /// GPipe, all forward, then all backward: every microbatch is in flight at once (arXiv:1811.06965).
    case allForwardFirst
    /// 1F1B, one forward, one backward, with so many groups of layers per device (arXiv:2104.04473); 1 is the plain
    /// schedule.
    case alternating(interleave: Int)
    /// Backward passes in two halves, of which the second fills waits (ZB-H1, arXiv:2401.10241).
    case zeroBubble

    package var interleave: Int { if case .alternating(let interleave) = self { max(interleave, 1) } else { 1 } }
}

/// The parallel layout of a training run, by which it is spread over devices.
///
/// `tensor · pipeline · context · data` devices take part; experts are spread over `expert` of the data-parallel ones.
/// Devices of `context` divide the rows of a pass: each has all weights, and learns a part of each matrix.
package struct ParallelLayout: Sendable, Hashable {
    package var tensor: Int
    package var pipeline: Int
    package var data: Int
    package var context: Int
    package var expert: Int
    /// Sequence parallelism: whether the rows between tensor-parallel regions are split too (arXiv:2205.05198 §4.2.2).
    package var sequenceParallel: Architecture.Presence
    package var schedule: PipelineSchedule
    package var sharding: ShardingStage
    package var recomputation: Recomputation
    /// The micro-batch size, the number of sequences that one device group takes at once.
    package var microBatch: Int

    package init(
        tensor: Int = 1, pipeline: Int = 1, data: Int = 1, context: Int = 1, expert: Int = 1,
        sequenceParallel: Architecture.Presence = .absent, schedule: PipelineSchedule = .alternating(interleave: 1),
        sharding: ShardingStage = .none, recomputation: Recomputation = .none, microBatch: Int = 1
    ) {
        (self.tensor, self.pipeline, self.data) = (max(tensor, 1), max(pipeline, 1), max(data, 1))
        (self.context, self.expert, self.microBatch) = (max(context, 1), max(expert, 1), max(microBatch, 1))
        (self.sequenceParallel, self.schedule) = (sequenceParallel, schedule)
        (self.sharding, self.recomputation) = (sharding, recomputation)
    }

    package var devices: Int { tensor * pipeline * data * context }
    /// The devices that have copies of an expert and sum its gradients.
    var expertReplicas: Int { max(1, data / expert) }

    /// The number of microbatches that a pipeline takes for its share of the batch; nil when they do not come out even.
    package func microBatches(globalBatch: Int) -> Int? {
        let share = data * microBatch
        return globalBatch % share == 0 ? globalBatch / share : nil
    }

    /// The layout as text: "tensor 8, pipeline 4, data 16, …", without the ones.
    package var text: String {
        var parts: [String] = []
        for (name, count) in [
            ("tensor", tensor), ("pipeline", pipeline), ("data", data), ("context", context), ("expert", expert),
        ] where count > 1 { parts.append("\(name) \(count)") }
        if schedule.interleave > 1 { parts.append("interleave \(schedule.interleave)") }
        if sequenceParallel == .present { parts.append("sequence parallel") }
        parts.append("microbatch \(microBatch)")
        if sharding != .none { parts.append("ZeRO \(sharding.rawValue)") }
        parts.append("recompute \(recomputation.rawValue)")
        return parts.joined(separator: ", ")
    }

    /// The command by which `martlet train` runs this layout, with the parts of the recipe that it decides; nil for
    /// layouts that are planned and not run.
    ///
    /// - Parameter sharesTable: whether a table is read by the first stage and the last, so that each pass is a shard.
    package func command(globalBatch: Int, sharesTable: Bool) -> String? {
        guard tensor == 1, recomputation != .selective, pipeline == 1 || sharding.rawValue < 2,
            context == 1 || (pipeline == 1 && expert == 1 && sharding.rawValue < 3),
            expert == 1 || sharding.rawValue >= 2, data % expert == 0, let own = microBatches(globalBatch: globalBatch)
        else { return nil }
        let passes = own * data
        let shards = sharding.rawValue >= 2 || (pipeline > 1 && sharesTable) ? passes : data
        guard shards & (shards - 1) == 0, data & (data - 1) == 0 else { return nil }
        var words: [String] = []
        if data > 1 { words.append("data=\(data)") }
        if context > 1 { words.append("context=\(context)") }
        if expert > 1 { words.append("expert=\(expert)") }
        if pipeline > 1 { words.append("pipeline=\(pipeline)") }
        if schedule == .allForwardFirst { words.append("schedule=gpipe") }
        if schedule == .zeroBubble { words.append("schedule=zero-bubble") }
        if schedule.interleave > 1 { words.append("interleave=\(schedule.interleave)") }
        if sharding != .none { words.append("zero=\(sharding.rawValue)") }
        let start = devices > 1 ? "mpirun -np \(devices) martlet train" : "martlet train"
        let layout = words.isEmpty ? "" : " --layout \(words.joined(separator: ","))"
        let batch =
            "--set batch.sequences=\(microBatch) --set batch.accumulation=\(passes) --set batch.shards=\(shards)"
        return "\(start) RECIPE\(layout) \(batch)" + (recomputation == .full ? " --set recomputation=true" : "")
    }
}
