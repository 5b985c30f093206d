/// A training iteration of a layout, its pipeline simulated stage by stage: uneven stages, the head on the last one,
/// and sends as they come.
package struct SimulatedIteration: Sendable {
    package let layout: ParallelLayout
    package let pipeline: PipelineSimulation
    /// The seconds after the last microbatch: gradients over data-parallel devices as far as nothing hides them, and
    /// the update.
    package let rest: Double

    package var seconds: Double { pipeline.seconds + rest }

    /// The stage that works longest.
    package var slowest: Int {
        pipeline.stages.indices.max { pipeline.stages[$0].busy < pipeline.stages[$1].busy } ?? 0
    }
}

extension IterationModel {
    /// The iteration over `globalBatch` sequences; nil where the batch does not divide, or the stages do not divide the
    /// microbatches of an interleaved schedule.
    ///
    /// All pipelines of a layout are alike, so that one stands for every device.
    package func simulated(_ layout: ParallelLayout, globalBatch: Int) -> SimulatedIteration? {
        guard let microBatches = layout.microBatches(globalBatch: globalBatch), microBatches > 0,
            let time = time(layout, globalBatch: globalBatch)
        else { return nil }
        guard layout.schedule.interleave == 1 || microBatches % layout.pipeline == 0 else { return nil }
        let order = layout.schedule.order(stages: layout.pipeline, microBatches: microBatches)
        guard let pipeline = try? PipelineSimulation(order, times(layout, runs: order.stages * order.chunks)) else {
            return nil
        }
        return SimulatedIteration(layout: layout, pipeline: pipeline, rest: time.gradients + time.optimizer)
    }

    /// The time in seconds of each run of layers: the first ones have those that do not come out even, the last one the
    /// head.
    private func times(_ layout: ParallelLayout, runs: Int) -> PipelineSimulation.Times {
        let all = passes(layout)
        let layerCount = max(1, groups.layerCount)
        var forward: [Double] = []
        var backward: [Double] = []
        for run in 0..<runs {
            let own = PipelineOrder.layers(groups.layerCount, run: run, of: runs)
            let share = Double(own.count) / Double(layerCount)
            forward.append(share * all.forward)
            backward.append(share * all.backward)
        }
        let rows = Double(layout.microBatch * workload.tokens) / Double(layout.context)
        let head = head(rows: rows, layout)
        forward[runs - 1] += head / 3
        backward[runs - 1] += head * 2 / 3
        return PipelineSimulation.Times(
            forward: forward, backwardInput: backward.map { $0 / 2 }, backwardWeight: backward.map { $0 / 2 },
            send: send(rows: rows, layout))
    }
}

extension LayoutSearch {
    /// The fastest few layouts of a search, by their simulated time.
    package func simulated(_ result: Result, most: Int = 8) -> [SimulatedIteration] {
        result.fitting.prefix(most).compactMap { model.simulated($0.layout, globalBatch: globalBatch) }
            .sorted { $0.seconds < $1.seconds }
    }
}
