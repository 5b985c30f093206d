import MartletJSON
import MartletLayers
import MartletModels
import MartletPlatform
import MartletTensors
import MartletTraining
import Testing

/// Runs of a real, tiny model from a recipe.
@Suite struct ModelLearnerTests {
    private let folder = FolderForTests()

    private func recipe(_ overrides: [String] = []) throws -> Recipe {
        let text = folder.writeText()
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
        let state = try store.newest().step.map { try store.restore(learner, to: $0) }
        let run = try TrainingRun(
            path, preparation.settings, learner, preparation.stream(from: state?.cursor),
            validation: preparation.validation(), from: state)
        return Prepared(run: run, learner: learner, preparation: preparation)
    }

    private func bits(_ prepared: Prepared) throws -> [UInt8] {
        try Storage(mapping: prepared.run.store.path(12) + "/weights.safetensors").contents
    }

    @Test(arguments: ["f32", "bf16"]) func resumedEqualsUninterruptedForAnyThreads(_ precision: String) throws {
        let whole = try prepare("whole-\(precision)", ["precision=\(precision)"])
        _ = try whole.run.run()
        let first = try prepare("stopped-\(precision)", ["precision=\(precision)"], threads: 1)
        #expect(try first.run.run { first.run.state.step == 7 }.end == .stopped)
        let second = try prepare("stopped-\(precision)", ["precision=\(precision)"], threads: 3)
        #expect(second.run.state.step == 7)
        _ = try second.run.run()
        #expect(try bits(second) == bits(whole))
        #expect(second.run.state.best == whole.run.state.best)
    }

    @Test(arguments: ["f32", "bf16"]) func recomputationChangesNoBit(_ precision: String) throws {
        let whole = try prepare("kept-\(precision)", ["precision=\(precision)"])
        _ = try whole.run.run()
        let again = try prepare("recomputed-\(precision)", ["recomputation=true", "precision=\(precision)"])
        _ = try again.run.run()
        #expect(try bits(again) == bits(whole))
    }

    @Test func mixedPrecisionIsCloseAndSmaller() throws {
        let exact = try prepare("exact", ["length=32", "batch.sequences=64", "steps=6"])
        _ = try exact.run.run()
        let mixed = try prepare("mixed", ["length=32", "batch.sequences=64", "steps=6", "precision=bf16"])
        _ = try mixed.run.run()
        for (a, b) in zip(exact.run.records, mixed.run.records) {
            #expect(a.loss != b.loss && abs(a.loss - b.loss) < 0.02, "step \(a.step): \(a.loss), \(b.loss)")
        }
        let bytes = (exact.learner.parameters.device.heldBytes, mixed.learner.parameters.device.heldBytes)
        #expect(Double(bytes.1) < 0.9 * Double(bytes.0), "\(bytes)")
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
        try RunExport(prepared.preparation, on: device).write(prepared.learner.exported, to: path)
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
    }

    @Test(arguments: ["{kind: characters}", "{kind: byte-bpe, vocabulary: 300}"])
    func aMissingTextIsNamedByItsPath(tokenizer: String) throws {
        let path = folder.path + "/nowhere"
        #expect(throws: FileError(path: path, operation: "open", reason: "No such file or directory")) {
            try prepare("missing", ["data.sources.0.paths=\(path)", "tokenizer=\(tokenizer)"])
        }
    }
}
