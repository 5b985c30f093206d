import MartletJSON
import MartletLayers
import MartletModels
import MartletTensors
import MartletTraining
import Testing

/// Runs of a real, tiny model from a recipe.
@Suite struct ModelLearnerTests {
    private let folder = FolderForTests()

    private func recipe(_ overrides: [String] = []) throws -> Recipe {
        let text = folder.write(
            (0..<200).map { "line \($0 * 7919 % 1000) of a text to learn from\n" }.joined(), to: "text")
        return try Recipe(
            yaml: """
                model: {config: {model_type: llama, hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2,
                  num_attention_heads: 4, num_key_value_heads: 2, max_position_embeddings: 32, rms_norm_eps: 1e-5,
                  hidden_act: silu, tie_word_embeddings: true}}
                tokenizer: {kind: characters}
                data: {sources: [{paths: \(text), documents: line}], holdout: 0.1}
                objective: {name: causal}
                length: 32
                batch: {sequences: 4, accumulation: 2}
                optimizer: {learning_rate: 1e-2, weight_decay: 0.1, clip: 1}
                schedule: {name: cosine, warmup: 3}
                dropout: 0.1
                steps: 12
                evaluation: {every: 6, batches: 3}
                checkpoints: {every: 5, keep: 2}
                """, path: "recipe", overrides: overrides)
    }

    private struct Prepared {
        let run: TrainingRun
        let learner: ModelLearner
        let preparation: RunPreparation
    }

    private func prepare(_ name: String, _ overrides: [String] = [], threads: Int = 2) throws -> Prepared {
        let device = Device(threads: threads)
        let path = folder.path + "/" + name
        let preparation = try RunPreparation(recipe(overrides), folder: path, on: device)
        let learner = try ModelLearner(preparation, on: device)
        let store = CheckpointStore(path + "/checkpoints")
        var state: RunState?
        if let step = store.newest().step {
            let found = try store.state(step)
            try learner.restore(
                weights: store.weights(step), optimizerState: store.optimizerState(step), updates: found.updates)
            state = found
        }
        let run = try TrainingRun(
            path, preparation.settings, learner, preparation.stream(from: state?.cursor),
            validation: preparation.validation(), from: state)
        return Prepared(run: run, learner: learner, preparation: preparation)
    }

    private func bits(_ prepared: Prepared, _ step: Int = 12) throws -> [UInt8] {
        try Storage(mapping: prepared.run.store.path(step) + "/weights.safetensors").contents
    }

    @Test func resumedEqualsUninterruptedForAnyThreads() throws {
        let whole = try prepare("whole")
        _ = try whole.run.run()
        let first = try prepare("stopped", threads: 1)
        #expect(try first.run.run { first.run.state.step == 7 }.end == .stopped)
        let second = try prepare("stopped", threads: 3)
        #expect(second.run.state.step == 7)
        _ = try second.run.run()
        #expect(try bits(second) == bits(whole))
        #expect(second.run.state.best == whole.run.state.best)
    }

    @Test func subwordsResumeInAnyEpoch() throws {
        let held = folder.write("line 17 of a text to learn from\n", to: "held")
        let overrides = [
            "tokenizer={kind: bpe, vocabulary: 90}", "data.augmentation={subwords: 0.3}", "data.holdout=0",
            "data.validation=[{paths: \(held), documents: line}]", "steps=40", "attention_dropout=0.1",
            "activation_dropout=0.1",
        ]
        let whole = try prepare("whole", overrides)
        _ = try whole.run.run()
        #expect(whole.run.state.cursor.places[0].epoch >= 2)
        let plain = try prepare("plain", overrides + ["data.augmentation.subwords=null"])
        _ = try plain.run.run()
        #expect(try bits(plain, 40) != bits(whole, 40))
        let first = try prepare("stopped", overrides, threads: 1)
        _ = try first.run.run { first.run.state.step == 23 }
        let second = try prepare("stopped", overrides, threads: 3)
        _ = try second.run.run()
        #expect(try bits(second, 40) == bits(whole, 40))
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

    @Test func recomputationChangesNoBit() throws {
        let whole = try prepare("kept")
        _ = try whole.run.run()
        let again = try prepare("recomputed", ["recomputation=true"])
        _ = try again.run.run()
        #expect(try bits(again) == bits(whole))
    }

    @Test func itLearns() throws {
        let prepared = try prepare("learns", ["steps=60", "dropout=0"])
        _ = try prepared.run.run()
        let losses = prepared.run.records.map(\.loss)
        #expect(losses[0] > 3 && losses[59] < 1.6, "\(losses[0]) to \(losses[59])")
    }

    @Test func theExportedModelHasTheSameLoss() throws {
        let prepared = try prepare("exported")
        _ = try prepared.run.run()
        let device = Device(threads: 2)
        let path = folder.path + "/exported/model"
        try RunExport(prepared.preparation, on: device).write(prepared.learner.weights, to: path)
        let decoder = try ModelFile(path: path).decoder(on: device)
        var (total, count) = (0.0, 0)
        for batch in try prepared.preparation.validation() {
            var state = Uncached()
            let logits = decoder.logits(decoder.hidden(batch.rows, &state, on: device))
            let (values, width) = (logits.values, logits.shape.width)
            for (row, target) in batch.targets.enumerated() {
                let row = values[row * width..<(row + 1) * width].map(Double.init)
                total += row.reduce(0) { $0 + $1.exponential }.logarithm - row[Int(target)]
                count += 1
            }
        }
        #expect(abs(total / Double(count) - (try prepared.run.validationLoss())) < 1e-5)
    }

    @Test func whatDoesNotFitIsRefused() throws {
        #expect(throws: RunError.self) { try prepare("long", ["length=64", "batch.sequences=4"]) }
        #expect(throws: RunError.self) { try prepare("masked", ["objective.name=masked"]) }
        #expect(throws: DataError.self) { try prepare("end", ["data.document_end=</s>"]) }
        #expect(throws: RecipeError.self) { try prepare("held", ["data.augmentation={subwords: 0.1}"]) }
    }
}
