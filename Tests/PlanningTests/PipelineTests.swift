import MartletLayers
import MartletPlanning
import Testing

/// Pipeline schedules as data, and what a simulation says of them.
@Suite struct PipelineTests {
    private static func even(_ order: PipelineOrder) throws -> PipelineSimulation {
        try PipelineSimulation(
            order,
            .init(runs: order.stages * order.chunks, forward: 1, backwardInput: 1, backwardWeight: 1))
    }

    struct Shape: Sendable {
        let stages, microBatches, chunks: Int
        init(_ stages: Int, _ microBatches: Int, _ chunks: Int) {
            (self.stages, self.microBatches, self.chunks) = (stages, microBatches, chunks)
        }
    }

    /// (p − 1) / (v m) where stages are even, and p (1 + (p − 1) / (p v)) microbatches in flight on the first stage
    /// (arXiv:2205.05198 §4.2.3).
    @Test(arguments: [
        Shape(1, 3, 1), Shape(4, 8, 1), Shape(8, 64, 1), Shape(8, 64, 3), Shape(35, 280, 1), Shape(35, 280, 3),
        Shape(64, 512, 1), Shape(4, 4, 2),
    ]) func bubblesAreThePublishedOnes(_ shape: Shape) throws {
        let (p, m, v) = (Double(shape.stages), Double(shape.microBatches), Double(shape.chunks))
        let order = PipelineOrder.interleaved(
            stages: shape.stages, microBatches: shape.microBatches, chunks: shape.chunks)
        let found = try Self.even(order)
        #expect(abs(found.bubble - (p - 1) / (v * m)) < 1e-9, "\(found.bubble)")
        let inFlight = v == 1 ? min(p, m) : p * (1 + (p - 1) / (p * v))
        #expect(abs(found.stages[0].inFlight - min(inFlight, m)) < 1e-9, "\(found.stages[0].inFlight)")
        for stage in found.stages {
            let all = stage.busy + stage.before + stage.between + stage.after
            #expect(abs(all - found.seconds) < 1e-6)
        }
    }

    /// (p − 1)(F + B − W) of waiting, where F, B and W are the times of a forward pass and of both halves of a backward
    /// one (arXiv:2401.10241, table 1), with no more in memory than one forward, one backward.
    @Test(arguments: [Shape(4, 8, 1), Shape(8, 32, 1), Shape(16, 64, 1)], [(1.0, 1.0, 1.0), (1.0, 1.2, 0.8)])
    func splitBackwardPassesWaitLess(_ shape: Shape, _ times: (Double, Double, Double)) throws {
        let order = PipelineOrder.zeroBubble(stages: shape.stages, microBatches: shape.microBatches)
        let parts = PipelineSimulation.Times(
            runs: shape.stages, forward: times.0, backwardInput: times.1, backwardWeight: times.2)
        let found = try PipelineSimulation(order, parts)
        let waited = found.seconds - Double(shape.microBatches) * (times.0 + times.1 + times.2)
        #expect(abs(waited - Double(shape.stages - 1) * (times.0 + times.1 - times.2)) < 1e-6, "\(waited)")
        let plain = try PipelineSimulation(
            .alternating(stages: shape.stages, microBatches: shape.microBatches), parts)
        #expect(found.seconds < plain.seconds)
        for (split, whole) in zip(found.stages, plain.stages) {
            #expect(split.inFlight <= Double(shape.stages) && whole.inFlight <= Double(shape.stages))
        }
    }

    /// All microbatches in flight, the published bubble, and runs of layers that do not come out even.
    @Test func allForwardFirstKeepsEveryMicrobatch() throws {
        let found = try Self.even(.allForwardFirst(stages: 4, microBatches: 8))
        #expect(abs(found.bubble - 3.0 / 8) < 1e-9 && found.stages.allSatisfy { $0.inFlight == 8 })
        _ = try Self.even(.allForwardFirst(stages: 2, microBatches: 3, chunks: 2))
        #expect((0..<3).map { PipelineOrder.layers(8, run: $0, of: 3) } == [0..<3, 3..<6, 6..<8])
    }

    /// The command of a layout that is trained, with a batch that its ranks divide; none of one that is not.
    @Test func layoutsSayTheirCommand() {
        let layout = ParallelLayout(
            pipeline: 2, data: 4, schedule: .alternating(interleave: 2), sharding: .optimizer, microBatch: 2)
        #expect(
            layout.command(globalBatch: 64, sharesTable: false)
                == "mpirun -np 8 martlet train RECIPE --layout data=4,pipeline=2,interleave=2,zero=1 --set batch.sequences=2 --set batch.accumulation=32 --set batch.shards=4"
        )
        #expect(layout.command(globalBatch: 64, sharesTable: true)?.hasSuffix("batch.shards=32") == true)
        #expect(layout.command(globalBatch: 63, sharesTable: true) == nil)
        #expect(
            ParallelLayout(data: 4, expert: 2, sharding: .gradients).command(globalBatch: 8, sharesTable: false)
                == "mpirun -np 4 martlet train RECIPE --layout data=4,expert=2,zero=2 --set batch.sequences=1 --set batch.accumulation=8 --set batch.shards=8"
        )
        #expect(ParallelLayout(data: 4, expert: 2).command(globalBatch: 8, sharesTable: false) == nil)
        #expect(ParallelLayout(tensor: 2).command(globalBatch: 8, sharesTable: false) == nil)
        #expect(
            ParallelLayout(data: 2, context: 4, sharding: .gradients).command(globalBatch: 8, sharesTable: false)
                == "mpirun -np 8 martlet train RECIPE --layout data=2,context=4,zero=2 --set batch.sequences=1 --set batch.accumulation=8 --set batch.shards=8"
        )
        for layout in [
            ParallelLayout(data: 2, context: 2, sharding: .weights), ParallelLayout(pipeline: 2, context: 2),
        ] { #expect(layout.command(globalBatch: 8, sharesTable: false) == nil) }
    }

    @Test func ordersThatCannotRunAreRefused() throws {
        typealias Item = PipelineOrder.Item
        func refusal(_ order: PipelineOrder, limit: Double? = nil) -> String {
            let error = #expect(throws: PipelineOrderError.self) {
                _ = try PipelineSimulation(
                    order, .init(runs: order.stages, forward: 1, backwardInput: 1, backwardWeight: 1), limit: limit)
            }
            return error?.description ?? ""
        }
        // The last stage wants the backward pass of a microbatch that it has not read.
        let waiting = PipelineOrder(
            microBatches: 1,
            items: [[Item(.forward, 0), Item(.backward, 0)], [Item(.backward, 0), Item(.forward, 0)]])
        #expect(refusal(waiting).contains("stage 0 waits without end"))
        let lacking = PipelineOrder(microBatches: 2, items: [[Item(.forward, 0), Item(.backward, 0)]])
        #expect(refusal(lacking).contains("1 forward"))
        let twice = PipelineOrder(
            microBatches: 1, items: [[Item(.forward, 0), Item(.forward, 0), Item(.backward, 0)]])
        #expect(refusal(twice).contains("twice"))
        #expect(refusal(.alternating(stages: 4, microBatches: 8), limit: 3).contains("4.0 microbatches"))
    }

    /// A slow stage in the midst: everything waits for it alone.
    @Test func unevenStagesWaitForTheSlowest() throws {
        let order = PipelineOrder.alternating(stages: 3, microBatches: 10)
        let found = try PipelineSimulation(
            order, .init(forward: [1, 2, 1], backwardInput: [1, 2, 1], backwardWeight: [1, 2, 1], send: 0.5),
            keepsEvents: true)
        // The slow stage works without a pause once its first microbatch has come, but for the last stage's answer.
        #expect(found.stages[1].busy == 60 && found.stages[1].before == 1.5)
        #expect(found.seconds >= 60 && found.seconds < 72, "\(found.seconds)")
        #expect(found.explanation(ofStage: 1).contains("stage 1 works"))
        #expect(found.events.map(\.start) == found.events.map(\.start).sorted() && found.events.count == 60)
    }

    /// 4,096 devices are one pipeline of 64 stages, 64 times over.
    @Test func thousandsOfDevicesAreSimulated() throws {
        let blueprint = try GroundTruth.gpt(heads: 160, width: 25600, layers: 128, vocabulary: 51200, positions: 2048)
        let model = IterationModel(
            blueprint, model: try ExecutionModel(HardwareTable.standard().device(named: "a100")),
            recipe: .init(), tokens: 2048)
        let layout = ParallelLayout(
            tensor: 8, pipeline: 64, data: 8, sequenceParallel: .present, schedule: .alternating(interleave: 2))
        #expect(layout.devices == 4_096)
        let found = try #require(model.simulated(layout, globalBatch: 4_096))
        #expect(found.pipeline.stages.count == 64 && found.pipeline.events.isEmpty)
        let closed = try #require(model.time(layout, globalBatch: 4_096))
        #expect(abs(found.seconds / closed.seconds - 1) < 0.05, "\(found.seconds) against \(closed.seconds)")
    }

    /// The published iterations of arXiv:2205.05198, table 5, by simulation: the mean error.
    @Test func publishedIterationsAreMet() throws {
        var errors: [Double] = []
        for run in IterationTests.all {
            let blueprint = try GroundTruth.gpt(
                heads: run.heads, width: run.width, layers: run.layers, vocabulary: 51200, positions: 2048)
            let recipe = TrainingFootprint.Recipe(
                precision: .megatron,
                activations: .init(elementBytes: 2, dropout: .present, kernel: .plain))
            let model = IterationModel(
                blueprint, model: try ExecutionModel(HardwareTable.standard().device(named: "a100")), recipe: recipe,
                tokens: 2048)
            for (recomputation, parallel, seconds) in [
                (Recomputation.full, false, run.full), (.selective, true, run.selective),
            ] {
                let layout = ParallelLayout(
                    tensor: 8, pipeline: run.pipeline, sequenceParallel: parallel ? .present : .absent,
                    schedule: .alternating(interleave: run.name == "175B" || run.name == "530B" ? 3 : 1),
                    recomputation: recomputation, microBatch: run.microBatch)
                let found = try #require(model.simulated(layout, globalBatch: run.batch))
                errors.append(abs(found.seconds / seconds - 1))
            }
        }
        #expect(errors.allSatisfy { $0 < 0.08 }, "\(errors)")
        #expect(errors.reduce(0, +) / 8 < 0.05, "\(errors)")
    }
}
