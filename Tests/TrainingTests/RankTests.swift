import MartletDistributed
import MartletFormats
import MartletLayers
import MartletModels
import MartletPlatform
import MartletTensors
import MartletTraining
import Testing

/// The same recipe on one, two and four ranks, as threads, with everything whole on each or divided among them: the
/// same bytes in every checkpoint, and the bytes on the way that were counted before.
@Suite struct RankTests {
    private let folder = FolderForTests()
    private static let steps = 12

    /// A tiny model of each of five families, with what its objective needs.
    private static let families: [(name: String, overrides: [String])] = [
        ("llama", []),
        ("gpt2", ["model.config={model_type: gpt2, n_embd: 32, n_head: 4, n_layer: 2, n_positions: 32}"]),
        (
            "bert",
            [
                "model.config={model_type: bert, hidden_size: 32, num_attention_heads: 4, num_hidden_layers: 2, intermediate_size: 64, max_position_embeddings: 32, architectures: [BertForMaskedLM]}",
                "tokenizer.special_tokens=[\"[MASK]\", \"[CLS]\", \"[SEP]\"]", "objective={name: masked}",
            ]
        ),
        (
            "t5",
            [
                "model.config={model_type: t5, d_model: 32, d_kv: 8, d_ff: 64, num_layers: 2, num_heads: 4, feed_forward_proj: gated-gelu, decoder_start_token_id: 0, eos_token_id: 1}",
                "tokenizer.special_tokens=[<pad>, </s>, <extra_id_0>, <extra_id_1>, <extra_id_2>, <extra_id_3>]",
                "objective={name: span-corruption}",
            ]
        ),
        (
            "mixtral",
            [
                "model.config={model_type: mixtral, hidden_size: 32, intermediate_size: 32, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, max_position_embeddings: 32, num_local_experts: 4, num_experts_per_tok: 2, rms_norm_eps: 1e-5, hidden_act: silu}"
            ]
        ),
    ]

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
                batch: {sequences: 2, accumulation: 4, shards: 4}
                optimizer: {learning_rate: 1e-2, weight_decay: 0.1, clip: 1}
                dropout: 0.1
                steps: \(Self.steps)
                evaluation: {every: 6, batches: 3}
                checkpoints: {every: 6, keep: 2}
                """, path: "recipe", overrides: overrides)
    }

    private struct Outcome: Sendable {
        let losses: [Double]
        let sent, planned: [Int]
        let end: Int
    }

    /// Trains in `name` until `last`, the leader first making what the others find.
    @discardableResult
    private func train(
        _ name: String, _ overrides: [String] = [], ranks: Int, zero: Int = 0, until last: Int = steps
    ) throws -> [Outcome] {
        let path = folder.path + "/" + name
        let recipe = try recipe(overrides)
        _ = try RunPreparation(recipe, folder: path, on: Device(threads: 1))
        return try Crew(ranks).run { communicator in
            let device = Device(threads: 1)
            let preparation = try RunPreparation(recipe, folder: path, on: device)
            let learner = try ModelLearner(preparation, over: communicator, RankLayout(zero: zero), on: device)
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
            let begun = run.state.step
            _ = try run.run { run.state.step == last }
            let (gradients, weights) = learner.plannedTraffic
            let steps = run.state.step - begun
            return Outcome(
                losses: run.records.map(\.loss),
                sent: [communicator.traffic[.gradients], communicator.traffic[.weights]],
                planned: [steps * gradients, steps * weights], end: run.state.step)
        }
    }

    private func checkpoint(_ name: String, step: Int = steps) throws -> [[UInt8]] {
        let store = CheckpointStore(folder.path + "/" + name + "/checkpoints")
        return try ["weights", "optimizer"].map {
            try Storage(mapping: store.path(step) + "/\($0).safetensors").contents
        }
    }

    @Test(arguments: families.indices) func everyLayoutGivesTheBytesOfOneRank(_ family: Int) throws {
        let overrides = Self.families[family].overrides
        let alone = try train("one", overrides, ranks: 1)
        let whole = try checkpoint("one")
        for (ranks, zero) in [(2, 0), (2, 1), (2, 2), (2, 3), (4, 0), (4, 1), (4, 2), (4, 3)] {
            let name = "\(ranks)-\(zero)"
            let outcomes = try train(name, overrides, ranks: ranks, zero: zero)
            #expect(try checkpoint(name) == whole, "\(ranks) ranks, zero=\(zero)")
            #expect(outcomes[0].losses == alone[0].losses)
            for outcome in outcomes { #expect(outcome.sent == outcome.planned, "\(ranks) ranks, zero=\(zero)") }
        }
    }

    /// Optimizers that look at whole matrices, averages of weights, layers computed again, parts that are frozen, and
    /// passes behind the last epoch, of which some ranks have more than others.
    @Test(arguments: [
        ["optimizer.name=muon"], ["optimizer.name=adafactor"], ["optimizer.name=sgd", "train={average: 0.9}"],
        ["recomputation=true"], ["train={freeze: [tokens, decoder.0]}"],
        ["epochs=1", "steps=null", "data.holdout=null"],
    ]) func everyKindOfRunGivesTheBytesOfOneRank(_ overrides: [String]) throws {
        let isCounted = overrides[0].hasPrefix("epochs")
        let overrides = overrides + (isCounted ? ["evaluation=null", "batch.sequences=9"] : [])
        let steps = try train("one", overrides, ranks: 1)[0].end
        let whole = try checkpoint("one", step: steps)
        for (ranks, zero) in [(2, 1), (2, 2), (4, 3)] {
            try train("\(ranks)-\(zero)", overrides, ranks: ranks, zero: zero)
            #expect(try checkpoint("\(ranks)-\(zero)", step: steps) == whole, "\(ranks) ranks, zero=\(zero)")
        }
    }

    /// A matrix of more elements than a piece of a sum of squares is cut inside.
    @Test func parametersAreCutInside() throws {
        let overrides = [
            "model.config.hidden_size=64", "model.config.intermediate_size=640", "model.config.num_hidden_layers=1",
        ]
        try train("one", overrides, ranks: 1)
        for zero in 1...3 {
            try train("\(zero)", overrides, ranks: 4, zero: zero)
            #expect(try checkpoint("\(zero)") == checkpoint("one"), "zero=\(zero)")
        }
    }

    @Test func resumingAtAnotherLayoutGivesTheUninterruptedBytes() throws {
        try train("whole", ranks: 1)
        try train("moved", ranks: 2, zero: 2, until: 2)
        try train("moved", ranks: 1, until: 5)
        try train("moved", ranks: 4, zero: 3, until: 7)
        try train("moved", ranks: 2, zero: 1, until: 10)
        try train("moved", ranks: 4)
        #expect(try checkpoint("moved") == checkpoint("whole"))
    }

    @Test func ranksThatDoNotDivideTheShardsAreRefused() throws {
        let error = #expect(throws: RunError.self) { try train("three", ranks: 8) }
        #expect(error.map { "\($0)".contains("1, 2, 4") } == true)
    }

    @Test func shardsOfSeveralPassesAreRefusedWhereGradientsAreDivided() throws {
        let error = #expect(throws: RunError.self) {
            try train("two", ["batch.accumulation=8"], ranks: 2, zero: 2)
        }
        #expect(error.map { "\($0)".contains("batch.shards to batch.accumulation, 8") } == true)
    }

    @Test func layoutsAreReadAndRefusedInWords() throws {
        let layout = try RankLayout("data=4,zero=2")
        #expect(layout.zero == 2 && layout.data == 4)
        #expect(throws: RunError.self) { try layout.check(ranks: 2) }
        let error = #expect(throws: RunError.self) { try RankLayout("zero=4,tensor=2,x,data=0") }
        for word in ["zero=4", "tensor=2", "\"x\"", "data=0"] {
            #expect(error.map { "\($0)".contains(word) } == true, "\(word)")
        }
    }

    /// A full disk on one rank: all are told, in its words, and nothing of the checkpoint stays.
    @Test func allThrowWhereOneFails() throws {
        struct FullDisk: Error {}
        let found = try Crew(4).run { communicator -> String in
            do {
                try communicator.agree {}
                try communicator.agree { if communicator.rank == 2 { throw FullDisk() } }
                return ""
            } catch {
                return "\(error)"
            }
        }
        for (rank, text) in found.enumerated() {
            #expect(rank == 2 ? text == "FullDisk()" : text.contains("rank 2: FullDisk()"), "\(rank): \(text)")
        }
    }

    /// What a rank holds between two steps: pages of gradients and of weights.
    @Test func dividedArraysTakeTheirShareOfMemory() throws {
        let overrides = [
            "model.config.hidden_size=128", "model.config.intermediate_size=512", "model.config.num_hidden_layers=8",
            "steps=1", "evaluation=null",
        ]
        let recipe = try recipe(overrides)
        let path = folder.path + "/memory"
        _ = try RunPreparation(recipe, folder: path, on: Device(threads: 1))
        func shares(zero: Int) throws -> [(gradients: Double, weights: Double)] {
            try Crew(4).run { communicator in
                let device = Device(threads: 1)
                let preparation = try RunPreparation(recipe, folder: path, on: device)
                let learner = try ModelLearner(preparation, over: communicator, RankLayout(zero: zero), on: device)
                var stream = try preparation.stream(from: nil)
                for pass in 0..<4 {
                    let batch = try stream.next()
                    if pass == communicator.rank { _ = try learner.accumulate(batch, seed: 1) }
                }
                let whole = Double(learner.gradients.count * 4)
                return (
                    Double(learner.gradients.storage.residentBytes) / whole,
                    Double(learner.parameters.all.storage.residentBytes) / whole
                )
            }
        }
        for share in try shares(zero: 1) { #expect(share.gradients > 0.95 && share.weights > 0.95) }
        for share in try shares(zero: 2) { #expect(share.gradients < 0.3 && share.weights > 0.95) }
        for share in try shares(zero: 3) { #expect(share.gradients < 0.3 && share.weights < 0.3) }
    }
}
