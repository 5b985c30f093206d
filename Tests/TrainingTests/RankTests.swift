import MartletDistributed
import MartletFormats
import MartletLayers
import MartletModels
import MartletPlanning
import MartletPlatform
import MartletTensors
import MartletTraining
import Testing

/// One recipe on one, two and four ranks, as threads, with everything whole on each or divided among them (ZeRO):
/// the same bytes in every checkpoint, and the bytes on the way that were counted before.
@Suite struct RankTests {
    private let runs = RankRuns()

    @Test(arguments: RankRuns.families.indices) func everyLayoutGivesTheBytesOfOneRank(_ family: Int) throws {
        let overrides = RankRuns.families[family].overrides
        let alone = try runs.train("one", overrides, ranks: 1)
        let whole = try runs.checkpoint("one")
        for (ranks, zero) in [(2, 0), (2, 1), (2, 2), (2, 3), (4, 0), (4, 1), (4, 2), (4, 3)] {
            let name = "\(ranks)-\(zero)"
            let outcomes = try runs.train(name, overrides, ranks: ranks, zero: zero)
            #expect(try runs.checkpoint(name) == whole, "\(ranks) ranks, zero=\(zero)")
            #expect(outcomes[0].losses == alone[0].losses)
            for outcome in outcomes {
                #expect(outcome.sent == outcome.planned, "\(ranks) ranks, zero=\(zero)")
            }
        }
    }

    /// Optimizers that look at whole matrices, averages of weights, layers computed again, parts that are frozen, and
    /// passes behind the last epoch, of which some ranks have more than others.
    @Test(arguments: [
        ["optimizer.name=muon"], ["optimizer.name=adafactor"],
        ["optimizer.name=sgd", "train={average: 0.9}"],
        ["recomputation=true"], ["train={freeze: [tokens, decoder.0]}"],
        ["epochs=1", "steps=null", "data.holdout=null"],
    ]) func everyKindOfRunGivesTheBytesOfOneRank(_ overrides: [String]) throws {
        let isCounted = overrides[0].hasPrefix("epochs")
        let overrides = overrides + (isCounted ? ["evaluation=null", "batch.sequences=9"] : [])
        let steps = try runs.train("one", overrides, ranks: 1)[0].end
        let whole = try runs.checkpoint("one", step: steps)
        for (ranks, zero) in [(2, 1), (2, 2), (4, 3)] {
            try runs.train("\(ranks)-\(zero)", overrides, ranks: ranks, zero: zero)
            #expect(
                try runs.checkpoint("\(ranks)-\(zero)", step: steps) == whole, "\(ranks) ranks, zero=\(zero)")
        }
    }

    /// A matrix of more elements than a piece of a sum of squares is cut inside.
    @Test func parametersAreCutInside() throws {
        let overrides = [
            "model.config.hidden_size=64", "model.config.intermediate_size=640",
            "model.config.num_hidden_layers=1",
        ]
        try runs.train("one", overrides, ranks: 1)
        for zero in 1...3 {
            try runs.train("\(zero)", overrides, ranks: 4, zero: zero)
            #expect(try runs.checkpoint("\(zero)") == runs.checkpoint("one"), "zero=\(zero)")
        }
    }

    @Test func resumingAtAnotherLayoutGivesTheUninterruptedBytes() throws {
        try runs.train("whole", ranks: 1)
        try runs.train("moved", ranks: 2, zero: 2, until: 2)
        try runs.train("moved", ranks: 1, until: 5)
        try runs.train("moved", ranks: 4, zero: 3, until: 7)
        try runs.train("moved", ranks: 2, zero: 1, until: 10)
        try runs.train("moved", ranks: 4)
        #expect(try runs.checkpoint("moved") == runs.checkpoint("whole"))
    }

    @Test func ranksThatDoNotDivideTheShardsAreRefused() throws {
        let error = #expect(throws: RunError.self) { try runs.train("three", ranks: 8) }
        #expect(error.map { "\($0)".contains("1, 2, 4") } == true)
    }

    @Test func shardsOfSeveralPassesAreRefusedWhereGradientsAreDivided() throws {
        let error = #expect(throws: RunError.self) {
            try runs.train("two", ["batch.accumulation=8"], ranks: 2, zero: 2)
        }
        #expect(error.map { "\($0)".contains("batch.shards to batch.accumulation, 8") } == true)
    }

    @Test func layoutsAreReadAndRefusedInWords() throws {
        let layout = try RankLayout("data=4,zero=2")
        #expect(layout.zero == 2 && layout.data == 4)
        #expect(throws: RunError.self) { try layout.mesh(ranks: 2) }
        let staged = try RankLayout("pipeline=2,interleave=2,zero=1")
        #expect(try staged.mesh(ranks: 8) == RankMesh(lanes: 4, stages: 2))
        #expect(throws: RunError.self) { try staged.mesh(ranks: 3) }
        let divided = try RankLayout("data=2,tensor=2,pipeline=2")
        #expect(try divided.mesh(ranks: 8) == RankMesh(lanes: 2, stages: 2, parts: 2))
        #expect(throws: RunError.self) { try divided.mesh(ranks: 4) }
        let error = #expect(throws: RunError.self) {
            try RankLayout("zero=4,tensor=0,context=0,sequence=2,x,data=0,expert=0,schedule=2f2b,interleave=2")
        }
        for word in [
            "zero=4", "tensor=0", "context=0", "sequence=2", "\"x\"", "data=0", "expert=0", "2f2b",
            "name pipeline= too",
        ] {
            #expect(error.map { "\($0)".contains(word) } == true, "\(word)")
        }
        #expect(throws: RunError.self) { try RankLayout("pipeline=2,zero=2") }
        #expect(try RankLayout("expert=2").zero == 2)
        #expect(try RankLayout("expert=2").mesh(ranks: 4) == RankMesh(lanes: 4, experts: 2))
        #expect(throws: RunError.self) { try RankLayout("expert=4").mesh(ranks: 2) }
        #expect(try RankLayout("context=2").mesh(ranks: 4) == RankMesh(lanes: 2, parts: 2))
        for (text, word) in [
            ("expert=2,zero=1", "zero=3 go with it"), ("expert=2,pipeline=2", "with pipeline="),
            ("context=2,tensor=2", "with tensor="),
            ("context=2,pipeline=2", "with pipeline="), ("context=2,zero=3", "zero=2 go with it"),
        ] {
            let error = #expect(throws: RunError.self) { try RankLayout(text) }
            #expect(error.map { "\($0)".contains(word) } == true, "\(text)")
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
            #expect(
                rank == 2 ? text == "FullDisk()" : text.contains("rank 2: FullDisk()"), "\(rank): \(text)")
        }
    }

    /// The holdings of a rank between two steps: pages of gradients and of weights.
    @Test func dividedArraysTakeTheirShareOfMemory() throws {
        let overrides = [
            "model.config.hidden_size=128", "model.config.intermediate_size=512",
            "model.config.num_hidden_layers=8",
            "steps=1", "evaluation=null",
        ]
        let recipe = try runs.recipe(overrides)
        let path = runs.folder.path + "/memory"
        _ = try RunPreparation(recipe, folder: path, on: Device(threads: 1))
        func shares(zero: Int) throws -> [(gradients: Double, weights: Double)] {
            try Crew(4).run { communicator in
                let device = Device(threads: 1)
                let preparation = try RunPreparation(recipe, folder: path, on: device)
                let learner = try ModelLearner(
                    preparation, over: communicator, RankLayout(zero: zero), on: device)
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
