import MartletDistributed
import MartletFormats
import MartletLayers
import MartletModels
import MartletPlanning
import MartletPlatform
import MartletTensors
import MartletTraining
import Testing

/// Layers cut into stages, each a rank's: the bytes of one rank, the simulated order of work, and the bytes on the way
/// that were counted before.
@Suite struct RankPipelineTests {
    private let runs = RankRuns()

    private static let deep = [
        "llama": "model.config.num_hidden_layers=4", "gpt2": "model.config.n_layer=4",
        "bert": "model.config.num_hidden_layers=4", "t5": "model.config.num_layers=2",
        "mixtral": "model.config.num_hidden_layers=4",
    ]

    /// Stages of every family, tied tables and an encoder-decoder among them: the bytes of one rank in every
    /// checkpoint, the order that the simulator gives, and the bytes on the way that were counted before.
    @Test(arguments: RankRuns.families.indices) func everyPipelineGivesTheBytesOfOneRank(_ family: Int) throws {
        let (name, overrides) = (
            RankRuns.families[family].name,
            RankRuns.families[family].overrides + [Self.deep[RankRuns.families[family].name] ?? ""]
        )
        let alone = try runs.train("one", overrides, ranks: 1)
        let whole = try runs.checkpoint("one")
        var layouts = [
            (2, "pipeline=2"), (2, "pipeline=2,schedule=gpipe"), (3, "pipeline=3"), (4, "pipeline=4"),
            (4, "data=2,pipeline=2"), (4, "pipeline=2,zero=1"), (2, "pipeline=2,schedule=zero-bubble"),
            (4, "pipeline=4,schedule=zero-bubble"),
        ]
        // Two runs of a stage would both read T5's table.
        if name != "t5" { layouts.append((2, "pipeline=2,interleave=2")) }
        for (ranks, text) in layouts {
            let layout = try RankLayout(text)
            let outcomes = try runs.train(text, overrides, ranks: ranks, layout)
            #expect(try runs.checkpoint(text) == whole, "\(name), \(text)")
            #expect(outcomes[0].losses == alone[0].losses, "\(name), \(text)")
            let mesh = try layout.mesh(ranks: ranks)
            let simulated = try PipelineSimulation(
                layout.schedule.order(stages: mesh.stages, microBatches: 4 / mesh.lanes),
                .init(
                    runs: mesh.stages * layout.schedule.interleave, forward: 1, backwardInput: 1,
                    backwardWeight: 1),
                keepsEvents: true)
            for (rank, outcome) in outcomes.enumerated() {
                #expect(outcome.sent == outcome.planned, "\(name), \(text)")
                let stage = mesh.stage(of: rank)
                #expect(
                    outcome.items == simulated.events.filter { $0.stage == stage }.map(\.item),
                    "\(name), \(text)")
                guard name == "llama", layout.schedule.interleave == 1 else { continue }
                // A row of 32 floats for each of a stage's neighbours.
                let neighbours = (stage > 0 ? 1 : 0) + (stage + 1 < mesh.stages ? 1 : 0)
                #expect(outcome.sent[2] == neighbours * outcome.rows * 32 * 4, "\(text)")
            }
        }
    }

    /// Optimizers that look at whole matrices, averages of weights, layers computed again, parts that are frozen,
    /// shards of several passes where no table is tied, passes behind the last epoch, layers that share parameters,
    /// positions that layers share, and adapters' random zeros.
    @Test(arguments: [
        ["optimizer.name=muon"], ["optimizer.name=adafactor"],
        ["optimizer.name=sgd", "train={average: 0.9}"],
        ["recomputation=true"], ["train={freeze: [tokens, decoder.0]}"], ["precision=bf16"],
        ["model.config.tie_word_embeddings=false", "batch.accumulation=8", "batch.shards=2"],
        ["model.config.tie_word_embeddings=false", "batch.shards=1"],
        ["epochs=1", "steps=null", "data.holdout=null"],
        ["albert"], ["deberta"],
    ]) func everyKindOfRunGivesTheBytesOfOneRankInStages(_ overrides: [String]) throws {
        let isCounted = overrides[0].hasPrefix("epochs")
        var overrides = overrides + (isCounted ? ["evaluation=null", "batch.sequences=9"] : [])
        let masked = [
            "tokenizer.special_tokens=[\"[MASK]\", \"[CLS]\", \"[SEP]\"]", "objective={name: masked}",
        ]
        if overrides == ["albert"] {
            overrides =
                masked + [
                    "model.config={model_type: albert, embedding_size: 16, hidden_size: 32, num_attention_heads: 4, num_hidden_layers: 4, intermediate_size: 64, max_position_embeddings: 32, architectures: [AlbertForMaskedLM]}"
                ]
        } else if overrides == ["deberta"] {
            overrides =
                masked + [
                    "model.config={model_type: deberta-v2, hidden_size: 32, num_attention_heads: 4, num_hidden_layers: 4, intermediate_size: 64, max_position_embeddings: 32, relative_attention: true, pos_att_type: [p2c, c2p], position_buckets: 8, share_att_key: true, norm_rel_ebd: layer_norm, conv_kernel_size: 3, conv_act: gelu, position_biased_input: false, type_vocab_size: 0, architectures: [DebertaV2ForMaskedLM]}"
                ]
        }
        let steps = try runs.train("one", overrides, ranks: 1)[0].end
        let whole = try runs.checkpoint("one", step: steps)
        let isOneShard = overrides.contains("batch.shards=1")
        for (ranks, text) in [(2, "pipeline=2"), (4, "pipeline=2,zero=1")]
        where ranks == 2 || !isOneShard {
            try runs.train(text, overrides, ranks: ranks, RankLayout(text))
            #expect(try runs.checkpoint(text, step: steps) == whole, "\(text)")
        }
    }

    @Test func pipelinesResumeAtAnyLayout() throws {
        let overrides = ["model.config.num_hidden_layers=4"]
        try runs.train("whole", overrides, ranks: 1)
        try runs.train("moved", overrides, ranks: 2, RankLayout("pipeline=2"), until: 2)
        try runs.train("moved", overrides, ranks: 1, until: 5)
        try runs.train("moved", overrides, ranks: 4, RankLayout("pipeline=4"), until: 7)
        try runs.train("moved", overrides, ranks: 2, zero: 3, until: 10)
        try runs.train("moved", overrides, ranks: 4, RankLayout("pipeline=2,zero=1"))
        #expect(try runs.checkpoint("moved") == runs.checkpoint("whole"))
    }

    /// The holdings of a rank: its stage's weights and gradients, and no pages of others.
    @Test func stagesHoldTheirLayersAlone() throws {
        let recipe = try runs.recipe([
            "model.config.hidden_size=128", "model.config.intermediate_size=512",
            "model.config.num_hidden_layers=8",
            "model.config.tie_word_embeddings=false",
        ])
        let path = runs.folder.path + "/memory"
        _ = try RunPreparation(recipe, folder: path, on: Device(threads: 1))
        let shares = try Crew(4).run { communicator -> [Double] in
            let device = Device(threads: 1)
            let preparation = try RunPreparation(recipe, folder: path, on: device)
            let learner = try ModelLearner(
                preparation, over: communicator, RankLayout("pipeline=4"), on: device)
            var stream = try preparation.stream(from: nil)
            let passes: [(batch: Batch, seed: UInt64)] = try (0..<4).map { _ in (try stream.next(), 1) }
            _ = try learner.accumulate(shards: passes.map { [$0] })
            let whole = Double(learner.gradients.count * 4)
            return [learner.gradients.storage, learner.parameters.all.storage].map {
                Double($0.residentBytes) / whole
            }
        }
        for share in shares { #expect(share[0] < 0.3 && share[1] < 0.3, "\(share)") }
    }

    @Test(arguments: [
        (2, "pipeline=2", ["batch.shards=2"], "set batch.shards to batch.accumulation, 4"),
        (4, "pipeline=4", [], "2 layers"),
        (
            2, "pipeline=2,interleave=2",
            ["model.config.num_hidden_layers=4", "batch.accumulation=1", "batch.shards=1"],
            "stages divide"
        ),
        (
            2, "pipeline=2",
            [
                "model.config.hidden_size=65536", "model.config.intermediate_size=1048576",
                "model.config.num_hidden_layers=96",
            ],
            "are free here"
        ),
    ]) func pipelinesThatCannotBeAreRefusedInWords(
        _ refused: (ranks: Int, layout: String, overrides: [String], word: String)
    ) throws {
        let error = #expect(throws: RunError.self) {
            try runs.train("no", refused.overrides, ranks: refused.ranks, RankLayout(refused.layout))
        }
        #expect(error.map { "\($0)".contains(refused.word) } == true, "\(error.map { "\($0)" } ?? "")")
    }

    @Test func pipelinesLearnTokensAlone() throws {
        let recipe = try runs.recipe()
        let preparation = try RunPreparation(
            recipe, folder: runs.folder.path + "/task", on: Device(threads: 1))
        let error = #expect(throws: RunError.self) {
            _ = try Crew(2).run { communicator in
                let device = Device(threads: 1)
                var settings = ModelLearner.Settings()
                settings.task = NumberLoss()
                var ranks = ModelLearner.Ranks()
                (ranks.communicator, ranks.mesh) = (communicator, RankMesh(lanes: 1, stages: 2))
                _ = try ModelLearner(
                    preparation.architecture, from: SeededInitialiser(seed: 1, device: device), settings,
                    over: ranks,
                    on: device
                ) { OptimizerChoice.make(recipe.optimizer, $0) }
            }
        }
        #expect(error.map { "\($0)".contains("predict tokens") } == true)
    }
}
