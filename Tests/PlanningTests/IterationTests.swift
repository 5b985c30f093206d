import MartletLayers
import MartletPlanning
import Testing

/// The eight iterations of arXiv:2205.05198, table 5, over which the constants of the execution model were chosen.
@Suite struct IterationTests {
    struct Published: Sendable, CustomTestStringConvertible {
        let name: String
        let heads, width, layers, pipeline, batch, microBatch: Int
        let full, selective: Double
        var testDescription: String { name }
    }

    static let all = [
        Published(
            name: "22B", heads: 64, width: 6144, layers: 48, pipeline: 1, batch: 4, microBatch: 4, full: 1.42,
            selective: 1.10),
        Published(
            name: "175B", heads: 96, width: 12288, layers: 96, pipeline: 8, batch: 64, microBatch: 1, full: 18.13,
            selective: 13.75),
        Published(
            name: "530B", heads: 128, width: 20480, layers: 105, pipeline: 35, batch: 280, microBatch: 1, full: 49.05,
            selective: 37.83),
        Published(
            name: "1T", heads: 160, width: 25600, layers: 128, pipeline: 64, batch: 512, microBatch: 1, full: 94.42,
            selective: 71.49),
    ]

    @Test(arguments: all) func isNear(_ run: Published) throws {
        let blueprint = try GroundTruth.gpt(
            heads: run.heads, width: run.width, layers: run.layers, vocabulary: 51200, positions: 2048)
        let hardware = try HardwareTable.standard().device(named: "a100")
        let recipe = TrainingFootprint.Recipe(
            precision: .megatron, activations: Activations(elementBytes: 2, dropout: .present, kernel: .plain))
        let model = IterationModel(blueprint, model: try ExecutionModel(hardware), recipe: recipe, tokens: 2048)
        for (recomputation, parallel, seconds) in [
            (Recomputation.full, false, run.full), (.selective, true, run.selective),
        ] {
            let layout = ParallelLayout(
                tensor: 8, pipeline: run.pipeline, sequenceParallel: parallel ? .present : .absent,
                schedule: .alternating(interleave: run.name == "175B" || run.name == "530B" ? 3 : 1),
                recomputation: recomputation, microBatch: run.microBatch)
            let time = try #require(model.time(layout, globalBatch: run.batch))
            let ratio = time.seconds / seconds
            #expect(abs(ratio - 1) < 0.08, "\(run.name) \(recomputation): \(time.seconds) against \(seconds)")
        }
    }
}
