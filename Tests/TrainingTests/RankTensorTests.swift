import MartletDistributed
import MartletFormats
import MartletLayers
import MartletModels
import MartletPlanning
import MartletPlatform
import MartletTensors
import MartletTraining
import Testing

/// Matrices divided among ranks: the bytes of one rank, and those on the way that were counted before.
@Suite struct RankTensorTests {
    private let runs = RankRuns()

    /// Matrices divided among ranks, heads and hidden elements with them, vocabulary and tied tables too: the bytes of
    /// one rank in every checkpoint, and the bytes on the way that were counted before.
    @Test(arguments: RankRuns.families.indices) func everyDivisionGivesTheBytesOfOneRank(_ family: Int) throws {
        let (name, overrides) = RankRuns.families[family]
        let alone = try runs.train("one", overrides, ranks: 1)
        let whole = try runs.checkpoint("one")
        for (ranks, text) in [
            (2, "tensor=2"), (4, "tensor=4"), (4, "data=2,tensor=2"), (4, "tensor=2,zero=1"),
            (4, "tensor=2,zero=2"), (4, "tensor=2,zero=3"), (4, "pipeline=2,tensor=2"),
        ] {
            let outcomes = try runs.train(text, overrides, ranks: ranks, RankLayout(text))
            #expect(try runs.checkpoint(text) == whole, "\(name), \(text)")
            #expect(outcomes[0].losses == alone[0].losses, "\(name), \(text)")
            for outcome in outcomes { #expect(outcome.sent == outcome.planned, "\(name), \(text)") }
        }
    }

    /// Averages of weights, layers computed again, parts that are frozen, 16-bit factors, every kind of dropout, tables
    /// that are not tied, passes behind the last epoch; attentions whose heads are not divided, for their norms, their
    /// positions or their number.
    @Test(arguments: [
        ["optimizer.name=sgd", "train={average: 0.9}"], ["optimizer.name=lion"],
        ["recomputation=true"], ["train={freeze: [tokens, decoder.0]}"], ["precision=bf16"],
        ["attention_dropout=0.2", "activation_dropout=0.2"], ["attention_dropout=0.2", "recomputation=true"],
        ["model.config.tie_word_embeddings=false", "batch.accumulation=8", "batch.shards=2"],
        ["model.config.hidden_size=64", "model.config.intermediate_size=650", "model.config.num_hidden_layers=1"],
        ["epochs=1", "steps=null", "data.holdout=null"],
        ["albert"], ["deberta"], ["bloom"], ["qwen3"],
    ]) func everyKindOfRunGivesTheBytesOfOneRankInParts(_ overrides: [String]) throws {
        let isCounted = overrides[0].hasPrefix("epochs")
        let overrides = RankRuns.others[overrides[0]] ?? overrides + (isCounted ? ["evaluation=null"] : [])
        let steps = try runs.train("one", overrides, ranks: 1)[0].end
        let whole = try runs.checkpoint("one", step: steps)
        // Where gradients are divided, each pass is a shard.
        let isInRounds = !overrides.contains("batch.shards=2")
        for (ranks, text) in [
            (2, "tensor=2"), (4, "tensor=2,zero=1"), (4, "tensor=4"), (4, "tensor=2,zero=2"), (4, "tensor=2,zero=3"),
        ] where isInRounds || !text.hasSuffix("2,zero=2") && !text.hasSuffix("zero=3") {
            try runs.train(text, overrides, ranks: ranks, RankLayout(text))
            #expect(try runs.checkpoint(text, step: steps) == whole, "\(text)")
        }
    }

    /// The holdings of a rank: its part of weights, gradients and optimizer's states.
    @Test func partsTakeTheirShareOfMemory() throws {
        let recipe = try runs.recipe([
            "model.config.hidden_size=128", "model.config.intermediate_size=512",
            "model.config.num_hidden_layers=8",
        ])
        let path = runs.folder.path + "/memory"
        _ = try RunPreparation(recipe, folder: path, on: Device(threads: 1))
        let shares = try Crew(4).run { communicator -> [Double] in
            let device = Device(threads: 1)
            let preparation = try RunPreparation(recipe, folder: path, on: device)
            let learner = try ModelLearner(preparation, over: communicator, RankLayout("tensor=4"), on: device)
            var stream = try preparation.stream(from: nil)
            _ = try learner.accumulate(stream.next(), seed: 1)
            return RankRuns.heldShares(of: learner)
        }
        for share in shares { #expect(share[0] < 0.3 && share[1] < 0.3 && share[2] < 0.52, "\(share)") }
    }

    @Test func dividedRunsResumeAtAnyLayout() throws {
        try runs.train("whole", ranks: 1)
        try runs.train("moved", [], ranks: 4, RankLayout("tensor=4"), until: 2)
        try runs.train("moved", ranks: 1, until: 5)
        try runs.train("moved", [], ranks: 4, RankLayout("tensor=2,data=2"), until: 7)
        try runs.train("moved", ranks: 2, zero: 3, until: 9)
        try runs.train("moved", [], ranks: 4, RankLayout("tensor=2,zero=3"), until: 11)
        try runs.train("moved", [], ranks: 4, RankLayout("tensor=2,pipeline=2"))
        #expect(try runs.checkpoint("moved") == runs.checkpoint("whole"))
    }

    @Test func whatIsNotDividedIsRefusedInWords() throws {
        for (overrides, word) in [(["optimizer.name=muon"], "as wholes"), (["optimizer.name=adafactor"], "as wholes")] {
            let error = #expect(throws: RunError.self) {
                try runs.train("no", overrides, ranks: 2, RankLayout("tensor=2"))
            }
            #expect(error.map { "\($0)".contains(word) } == true, "\(error.map { "\($0)" } ?? "")")
        }
    }
}
