import MartletJSON
import MartletLayers
import MartletTensors
import MartletTokenizers
import MartletTraining
import Testing

/// `epochs: N` sees every document N times.
@Suite struct EpochTests {
    private let folder = FolderForTests()

    private func preparation(_ lines: [String], _ settings: String) throws -> RunPreparation {
        let text = folder.write(lines.joined(separator: "\n") + "\n", to: "text.txt")
        let yaml = """
            model: {config: {model_type: gpt2, n_embd: 8, n_head: 2, n_layer: 1, n_positions: 64}}
            tokenizer: {kind: characters}
            data: {sources: [{paths: \(text), documents: line}]}
            objective: {name: causal}
            length: 16
            batch: {tokens: 40}
            optimizer: {learning_rate: 1e-3}
            \(settings)
            """
        return try RunPreparation(
            Recipe(yaml: yaml, path: "recipe.yaml"), folder: folder.path, on: Device(threads: 1))
    }

    /// The targets that a whole run has.
    private func targets(_ preparation: RunPreparation) throws -> Int {
        var stream = try preparation.stream(from: nil)
        var targets = 0
        for _ in 0..<(preparation.settings.steps * preparation.settings.accumulation) {
            targets += try stream.next().targetCount
        }
        #expect(try stream.next().examples == 0)
        return targets
    }

    @Test(arguments: [1, 5]) func everyDocumentAsOftenAsAsked(_ epochs: Int) throws {
        // Documents of mixed lengths, which leave holes at the ends of batches.
        let lines = (0..<50).map { String(repeating: "ab", count: 1 + $0 * 7 % 13) }
        let preparation = try preparation(lines, "epochs: \(epochs)")
        let perEpoch = lines.reduce(0) { $0 + $1.utf8.count - 1 }
        #expect(preparation.epochs == epochs && preparation.passedOver == 0)
        #expect(try targets(preparation) == epochs * perEpoch)
    }

    @Test func warmUpsThatNeverEndAreRefused() throws {
        let error = #expect(throws: RunError.self) {
            try preparation(["abab", "ab"], "epochs: 1\nschedule: {name: linear, warmup: 500}")
        }
        #expect(error?.description.contains("warmup") == true)
    }

    @Test func evaluationNeedsData() throws {
        let error = #expect(throws: RecipeError.self) { try preparation(["ab"], "epochs: 1\nevaluation: {every: 5}") }
        #expect(error.map { "\($0)".contains("data.validation") } == true)
    }

    @Test func causalNeedsAModelThatReadsForward() throws {
        let text = folder.write("abab\nab\n", to: "text.txt")
        let yaml = """
            model: {config: {model_type: bert, hidden_size: 8, num_attention_heads: 2, num_hidden_layers: 1, intermediate_size: 16, max_position_embeddings: 32, architectures: [BertForMaskedLM]}}
            tokenizer: {kind: characters}
            data: {sources: [{paths: \(text), documents: line}]}
            objective: {name: causal}
            length: 8
            batch: {tokens: 32}
            optimizer: {learning_rate: 1e-3}
            steps: 3
            """
        let error = #expect(throws: RunError.self) {
            try RunPreparation(Recipe(yaml: yaml, path: "recipe.yaml"), folder: folder.path, on: Device(threads: 1))
        }
        #expect(error?.description.contains("both directions") == true)
    }

    @Test func lowerCaseIsPythons() {
        let bleu = BLEU(lowercases: true)
        #expect(bleu.corpus(["ΚΤΕΊΣ a b c"], [["κτείς a b c"]]).score > 99.9)
    }
}
