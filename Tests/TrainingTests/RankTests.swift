import MartletDistributed
import MartletModels
import MartletPlatform
import MartletTensors
import MartletTraining
import Testing

/// The same recipe on one, two and four ranks, as threads: the same bits, and the bytes that were counted before.
@Suite struct RankTests {
    private let folder = FolderForTests()

    private func recipe(_ overrides: [String] = []) throws -> Recipe {
        try Recipe(
            yaml: """
                model: {config: {model_type: llama, hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2,
                  num_attention_heads: 4, num_key_value_heads: 2, max_position_embeddings: 32, rms_norm_eps: 1e-5,
                  hidden_act: silu, tie_word_embeddings: true}}
                tokenizer: {kind: characters}
                data: {sources: [{paths: \(folder.writeText()), documents: line}], holdout: 0.1}
                objective: {name: causal}
                length: 32
                batch: {sequences: 2, accumulation: 8, shards: 4}
                optimizer: {learning_rate: 1e-2, weight_decay: 0.1, clip: 1}
                dropout: 0.1
                steps: 6
                evaluation: {every: 3, batches: 3}
                checkpoints: {every: 3, keep: 2}
                """, path: "recipe", overrides: overrides)
    }

    private struct Outcome: Sendable {
        let losses: [Double]
        let sent: Int
        let parameters: Int
    }

    /// Trains in `name` until `last`, the leader first making what the others find.
    private func train(_ name: String, ranks: Int, until last: Int = 6) throws -> [Outcome] {
        let path = folder.path + "/" + name
        let recipe = try recipe()
        _ = try RunPreparation(recipe, folder: path, on: Device(threads: 1))
        return try Crew(ranks).run { communicator in
            let device = Device(threads: 1)
            let preparation = try RunPreparation(recipe, folder: path, on: device)
            let learner = try ModelLearner(preparation, on: device)
            let store = CheckpointStore(path + "/checkpoints")
            var state: RunState?
            if let step = store.newest().step {
                let found = try store.state(step)
                try learner.restore(
                    weights: store.weights(step), optimizerState: store.optimizerState(step), updates: found.updates)
                state = found
            }
            try communicator.barrier()
            let run = try TrainingRun(
                path, preparation.settings, learner, preparation.stream(from: state?.cursor),
                validation: preparation.validation(), from: state, over: communicator)
            _ = try run.run { run.state.step == last }
            return Outcome(
                losses: run.records.map(\.loss), sent: communicator.traffic[.gradients],
                parameters: learner.gradients.count)
        }
    }

    private func checkpoint(_ name: String, step: Int = 6) throws -> [[UInt8]] {
        let store = CheckpointStore(folder.path + "/" + name + "/checkpoints")
        return try ["weights", "optimizer"].map {
            try Storage(mapping: store.path(step) + "/\($0).safetensors").contents
        }
    }

    @Test func everyNumberOfRanksGivesTheBitsOfOne() throws {
        let alone = try train("one", ranks: 1)
        let whole = try checkpoint("one")
        for ranks in [2, 4] {
            let outcomes = try train("\(ranks)", ranks: ranks)
            #expect(try checkpoint("\(ranks)") == whole)
            #expect(outcomes[0].losses == alone[0].losses)
            for (rank, outcome) in outcomes.enumerated() {
                let step = Halving.sentBytes(outcome.parameters, rank: rank, size: ranks)
                #expect(outcome.sent == 6 * step)
            }
        }
    }

    @Test func resumingOnAnotherNumberOfRanksGivesTheUninterruptedBits() throws {
        _ = try train("whole", ranks: 1)
        _ = try train("moved", ranks: 2, until: 2)
        _ = try train("moved", ranks: 1, until: 4)
        _ = try train("moved", ranks: 4)
        #expect(try checkpoint("moved") == checkpoint("whole"))
    }

    @Test func ranksThatDoNotDivideTheShardsAreRefused() throws {
        let error = #expect(throws: RunError.self) { try train("three", ranks: 8) }
        #expect(error.map { "\($0)".contains("1, 2, 4") } == true)
    }
}
