import MartletJSON
import MartletTensors
import MartletTraining
import Testing

/// Settings of recipes, tokens, dropout and those that change, in runs of a tiny model.
@Suite struct RecipeRunTests {
    private let folder = FolderForTests()

    private func recipe(_ overrides: [String] = []) throws -> Recipe {
        let text = folder.writeText()
        return try Recipe(
            yaml: """
                model: {config: {model_type: llama, hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2,
                  num_attention_heads: 4, num_key_value_heads: 2, max_position_embeddings: 32, rms_norm_eps: 1e-5,
                  hidden_act: silu}}
                tokenizer: {kind: bpe, vocabulary: 90}
                data: {sources: [{paths: \(text), documents: line}]}
                objective: {name: causal}
                length: 32
                batch: {sequences: 4, accumulation: 2}
                optimizer: {learning_rate: 1e-2}
                dropout: 0.1
                steps: 40
                checkpoints: {every: 5, keep: 2}
                """, path: "recipe", overrides: overrides)
    }

    /// The run in `name`, from its newest checkpoint where there is one.
    private func run(_ name: String, _ overrides: [String], threads: Int = 2) throws -> TrainingRun {
        let (device, path) = (Device(threads: threads), folder.path + "/" + name)
        let preparation = try RunPreparation(recipe(overrides), folder: path, on: device)
        let learner = try ModelLearner(preparation, on: device)
        let store = CheckpointStore(path + "/checkpoints")
        let state = try store.newest().step.map { try store.restore(learner, to: $0) }
        return try TrainingRun(
            path, preparation.settings, learner, preparation.stream(from: state?.cursor), validation: [], from: state)
    }

    private func bits(_ run: TrainingRun) throws -> [UInt8] {
        try Storage(mapping: run.store.path(40) + "/weights.safetensors").contents
    }

    @Test func subwordsResumeInAnyEpoch() throws {
        let overrides = [
            "data.augmentation={subwords: 0.3}", "attention_dropout=0.1", "activation_dropout=0.1",
        ]
        let whole = try run("whole", overrides)
        _ = try whole.run()
        #expect(whole.state.cursor.places[0].epoch >= 2)
        let plain = try run("plain", overrides + ["data.augmentation.subwords=null"])
        _ = try plain.run()
        #expect(try bits(plain) != bits(whole))
        let first = try run("stopped", overrides, threads: 1)
        _ = try first.run { first.state.step == 23 }
        let second = try run("stopped", overrides, threads: 3)
        #expect(second.state.step == 23)
        _ = try second.run()
        #expect(try bits(second) == bits(whole))
    }

    @Test func mixedPrecisionDropsToo() throws {
        let overrides = ["precision=bf16", "attention_dropout=0.1", "activation_dropout=0.1"]
        let run = try run("bf16", overrides)
        _ = try run.run()
        let losses = run.records.map(\.loss)
        #expect(losses.count == 40 && losses[39] < losses[0] - 1, "\(losses)")
    }

    @Test func heldOutTextsStayWhatTheyAre() throws {
        #expect(throws: RecipeError.self) { try recipe(["data.augmentation={subwords: 0.1}", "data.holdout=0.1"]) }
    }

    @Test func dropoutIsTheRecipesElseTheConfigs() throws {
        func shares(_ overrides: [String]) throws -> [Float] {
            let preparation = try RunPreparation(recipe(overrides), folder: folder.path, on: Device(threads: 1))
            let shares = try DropoutShares(preparation.recipe, preparation.config)
            return [shares.residual, shares.attention, shares.activation]
        }
        #expect(try shares([]) == [0.1, 0, 0])
        #expect(try shares(["model.config.attention_dropout=0.25"]) == [0.1, 0.25, 0])
        #expect(
            try shares(["dropout=null", "model.config.attention_dropout=0.25", "attention_dropout=0"]) == [0, 0, 0])
        #expect(throws: RunError.self) { try shares(["model.config.attention_dropout=1.5"]) }
    }

    @Test func aRunRemembersWhatWasChanged() throws {
        let run = try RunFolder(folder.path + "/changed")
        try run.write(recipe(), tokenizer: [:])
        try run.write(run.recipe(overrides: ["steps=77", "export.gguf=f16"]))
        let again = try run.recipe(overrides: [])
        #expect(again.duration == .steps(77) && again.gguf == .f16 && again.dropout == 0.1)
    }
}
