import MartletDistributed
import MartletFormats
import MartletLayers
import MartletModels
import MartletPlanning
import MartletPlatform
import MartletTensors
import MartletTraining
import Testing

/// Rows of passes divided among ranks: the bytes of one rank, and those on the way that were counted before.
@Suite struct RankContextTests {
    private let runs = RankRuns()

    /// Families whose rows ranks divide: the five, others with norms of heads, biases, and rotations of some elements
    /// alone, and a mixture with a shared expert.
    private static let familiesByRows =
        RankRuns.families + [
            (
                "qwen3",
                (RankRuns.others["qwen3"] ?? []) + ["dropout=0.2", "attention_dropout=0.2"]
            ),
            (
                "stablelm",
                [
                    "model.config={model_type: stablelm, hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 4, max_position_embeddings: 32, layer_norm_eps: 1e-5, use_qkv_bias: true, partial_rotary_factor: 0.5, hidden_act: silu, tie_word_embeddings: false}",
                    "activation_dropout=0.2",
                ]
            ),
            ("qwen2_moe", RankExpertTests.mixtures["qwen2_moe"] ?? []),
        ]

    /// Rows of passes divided among ranks, also such as ranks do not divide evenly: the bytes of one rank in every
    /// checkpoint, and the bytes on the way that were counted before.
    @Test(arguments: familiesByRows.indices) func dividedRowsGiveTheBytesOfOneRank(_ family: Int) throws {
        let (name, overrides) = Self.familiesByRows[family]
        let alone = try runs.train("one", overrides, ranks: 1)
        let whole = try runs.checkpoint("one")
        for (ranks, text) in [
            (2, "context=2"), (4, "context=2,data=2"), (4, "context=4"), (4, "context=2,zero=1"),
            (4, "context=2,zero=2"),
        ] where !["llama", "mixtral", "qwen2_moe"].contains(name) || text != "context=4" {
            let outcomes = try runs.train(text, overrides, ranks: ranks, RankLayout(text))
            #expect(try runs.checkpoint(text) == whole, "\(name), \(text)")
            #expect(outcomes[0].losses == alone[0].losses, "\(name), \(text)")
            guard RankRuns.families.contains(where: { $0.name == name }) else { continue }
            for outcome in outcomes {
                #expect(outcome.sent == outcome.planned, "\(name), \(text)")
                #expect(outcome.experts.sent == outcome.experts.planned, "\(name), \(text)")
            }
        }
    }

    private static let t5 = RankRuns.families[3].overrides
    private static let mixtral = RankRuns.families[4].overrides

    @Test(arguments: [
        ["optimizer.name=sgd", "train={average: 0.9}"], ["recomputation=true"],
        ["train={freeze: [tokens, decoder.0]}"], ["precision=bf16"],
        ["model.config.tie_word_embeddings=false", "batch.accumulation=8", "batch.shards=2"],
        ["epochs=1", "steps=null", "data.holdout=null"],
        mixtral + ["recomputation=true"], mixtral + ["precision=bf16"],
        mixtral + ["train={freeze: [decoder.0, decoder.1.feedForward.experts.1]}"],
        t5 + ["recomputation=true"], t5 + ["precision=bf16", "attention_dropout=0.2"],
    ]) func everyKindOfRunGivesTheBytesOfOneRankWithDividedRows(_ overrides: [String]) throws {
        let isCounted = overrides[0].hasPrefix("epochs")
        let overrides = overrides + (isCounted ? ["evaluation=null", "batch.sequences=9"] : [])
        let steps = try runs.train("one", overrides, ranks: 1)[0].end
        let whole = try runs.checkpoint("one", step: steps)
        for (ranks, text) in [(2, "context=2"), (4, "context=2,zero=1")] {
            try runs.train(text, overrides, ranks: ranks, RankLayout(text))
            #expect(try runs.checkpoint(text, step: steps) == whole, "\(text)")
        }
    }

    @Test func dividedRowsResumeAtAnyLayout() throws {
        try runs.train("whole", ranks: 1)
        try runs.train("moved", [], ranks: 2, RankLayout("context=2"), until: 3)
        try runs.train("moved", ranks: 1, until: 5)
        try runs.train("moved", [], ranks: 4, RankLayout("context=2,zero=2"), until: 8)
        try runs.train("moved", [], ranks: 2, RankLayout("tensor=2"))
        #expect(try runs.checkpoint("moved") == runs.checkpoint("whole"))
    }

    /// Memory of a rank: all weights, its part of gradients and optimizer's states.
    @Test func partsTakeTheirShareOfMemory() throws {
        let recipe = try runs.recipe([
            "model.config.hidden_size=128", "model.config.intermediate_size=512", "model.config.num_hidden_layers=8",
            "model.config.num_key_value_heads=4",
        ])
        let path = runs.folder.path + "/memory"
        _ = try RunPreparation(recipe, folder: path, on: Device(threads: 1))
        let shares = try Crew(4).run { communicator -> [Double] in
            let device = Device(threads: 1)
            let preparation = try RunPreparation(recipe, folder: path, on: device)
            let learner = try ModelLearner(preparation, over: communicator, RankLayout("context=4"), on: device)
            var stream = try preparation.stream(from: nil)
            _ = try learner.accumulate(stream.next(), seed: 1)
            return RankRuns.heldShares(of: learner)
        }
        for share in shares { #expect(share[0] < 0.3 && share[1] > 0.95 && share[2] < 0.52, "\(share)") }
    }

    @Test func rowsThatCannotBeDividedAreRefusedInWords() throws {
        for (overrides, text, word) in [
            (RankExpertTests.mixtures["switch"] ?? [], "context=2", "the rows of switch_transformers: the experts"),
            (Self.mixtral + ["expert_balance=0.01"], "context=2", "set it to 0"),
            (
                Self.mixtral + ["model.config.num_local_experts=1", "model.config.num_experts_per_tok=1"], "context=2",
                "at most context=1"
            ),
            (RankRuns.others["bloom"] ?? [], "context=2", "the rows of bloom: the heads of layer 0"),
            ([], "context=4", "the rows of llama: the heads of layer 0"),
            (["optimizer.name=muon"], "context=2", "other optimizers"),
        ] {
            let layout = try RankLayout(text)
            let error = #expect(throws: RunError.self) {
                try runs.train("no", overrides, ranks: layout.context, layout)
            }
            #expect(error.map { "\($0)".contains(word) } == true, "\(error.map { "\($0)" } ?? "")")
        }
    }
}
