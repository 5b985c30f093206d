import MartletJSON
import MartletTraining
import Testing

@Suite struct RecipeTests {
    private static let small = """
        model:
          config: {model_type: llama, hidden_size: 64}
        tokenizer: {kind: characters}
        data:
          folder: /texts
          sources:
            - {paths: a.txt, documents: line, weight: 2}
            - {paths: [b.tsv, /c.tsv], format: tsv, columns: [0, 1]}
          holdout: 0.1
        objective: {name: causal}
        length: 64
        batch: {sequences: 12, accumulation: 2}
        optimizer: {learning_rate: 1e-3, betas: [0.9, 0.99]}
        schedule: {name: cosine, warmup: 100}
        steps: 2000

        """

    private func offences(_ text: String, _ overrides: [String] = []) -> [String] {
        do throws(RecipeError) {
            _ = try Recipe(yaml: text, path: "r.yaml", overrides: overrides)
            return []
        } catch { return error.offences }
    }

    /// A length that is out of its range is one that was given.
    @Test func aLengthThatIsWrongIsNotMissing() {
        let found = offences(RecipeTests.small, ["steps=0"])
        #expect(found.contains { $0.contains("steps") } && !found.contains { $0.contains("needs one of") }, "\(found)")
    }

    @Test func everythingIsRead() throws {
        let recipe = try Recipe(yaml: RecipeTests.small, path: "r.yaml")
        #expect(recipe.data.sources.map(\.files.paths) == [["/texts/a.txt"], ["/texts/b.tsv", "/c.tsv"]])
        #expect(recipe.data.sources[0].weight == 2 && recipe.data.sources[1].weight == nil)
        #expect(recipe.data.sources[1].files.format == .tabSeparated(columns: [0, 1]))
        #expect(recipe.length == 64 && recipe.batchTokens == 768 && recipe.accumulation == 2)
        #expect(recipe.optimizer.learningRate == 1e-3 && recipe.optimizer.betas == (0.9, 0.99))
        #expect(recipe.schedule == .init(name: "cosine", warmUp: 100) && recipe.duration == .steps(2000))
        #expect(recipe.tokenizer == .trained(kind: .characters, vocabulary: 0, specialTokens: []))
    }

    @Test func unknownKeysAreNamedWithTheNearest() {
        let text = RecipeTests.small.replacing("length: 64", with: "lenght: 64").replacing("warmup", with: "warm_up")
        #expect(
            offences(text) == [
                "\"length\" is missing", "unknown key \"lenght\"; did you mean \"length\"?",
                "unknown key \"schedule.warm_up\"; did you mean \"schedule.warmup\"?",
            ])
    }

    @Test func everyOffenceAtOnce() {
        let text =
            "model: {config: 3}\ndata: {sources: [{path: x}]}\nobjective: {name: guess}\nbatch: {}\nsteps: 0\nepochs: 2\n"
        let found = offences(text)
        for part in [
            "\"model.config\" should be", "\"tokenizer\" is missing", "\"data.sources.0.paths\" is missing",
            "\"objective.name\" should be one of causal", "\"batch\" needs either", "\"length\" is missing",
            "\"steps\" should be", "\"data.sources.0.path\"; did you mean \"data.sources.0.paths\"?",
            "\"optimizer.learning_rate\" is missing",
        ] { #expect(found.contains { $0.contains(part) }, "\(part) in \(found)") }
    }

    @Test func patienceNeedsEvaluations() {
        let text = RecipeTests.small + "evaluation: {patience: 3}\n"
        #expect(offences(text).contains { $0.contains("\"evaluation.patience\" counts evaluations") })
        let every = RecipeTests.small + "evaluation: {every: 10, patience: 3}\n"
        #expect(!offences(every).contains { $0.contains("\"evaluation.patience\" counts") })
    }

    @Test func overrides() throws {
        let recipe = try Recipe(
            yaml: RecipeTests.small, path: "r.yaml",
            overrides: [
                "optimizer.learning_rate=3e-4", "data.sources.1.weight=0.5", "seed=9", "data.folder=/other",
                "evaluation.every=10", "model.config.hidden_size=128",
            ])
        #expect(recipe.optimizer.learningRate == 3e-4 && recipe.seed == 9 && recipe.evaluation.every == 10)
        #expect(recipe.data.sources[1].weight == 0.5 && recipe.data.sources[0].files.paths == ["/other/a.txt"])
        guard case .config(let config) = recipe.model else { return #expect(Bool(false)) }
        #expect(config["hidden_size"]?.integerValue == 128)
        #expect(offences(RecipeTests.small, ["seeds=1"]).first?.contains("did you mean \"seed\"?") == true)
        #expect(throws: RecipeError.self) { try Recipe(yaml: RecipeTests.small, path: "", overrides: ["seed"]) }
        #expect(throws: RecipeError.self) {
            try Recipe(yaml: RecipeTests.small, path: "", overrides: ["data.sources.7.weight=1"])
        }
    }

    @Test func nullIsAbsent() throws {
        let recipe = try Recipe(yaml: RecipeTests.small, path: "", overrides: ["output=null", "schedule.name=~"])
        #expect(recipe.output == nil && recipe.schedule.name == "constant")
    }

    @Test func writtenYAMLReadsTheSame() throws {
        let object = try RecipeText.parse(RecipeTests.small + "output: \"a: 'b'\\n# 1e3\"\n", path: "")
        #expect(try RecipeText.parse(RecipeText.yaml(object), path: "") == object)
    }

    @Test func scalarsByTheCoreSchema() throws {
        let object = try RecipeText.parse("a: yes\nb: 1e-3\nc: '1'\nd: ~\ne: 0.5\nf: -2\ng: 1.5.2\nh: on", path: "")
        #expect(
            object.members.map(\.value) == [
                .string("yes"), .number(1e-3), .string("1"), .null, .number(0.5), .integer(-2), .string("1.5.2"),
                .string("on"),
            ])
    }

    @Test(arguments: ["[1, 2]", "a: [", "a: 1\na: 2", "*a", "? [x]\n: 1"])
    func brokenTexts(text: String) {
        #expect(throws: RecipeError.self) { try RecipeText.parse(text, path: "r.yaml") }
    }

    @Test func billionLaughsEnd() {
        let names = "abcdefghij".map(String.init)
        var lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
        for (before, name) in zip(names, names.dropFirst()) {
            lines.append("\(name): &\(name) [" + Array(repeating: "*\(before)", count: 9).joined(separator: ", ") + "]")
        }
        #expect(throws: RecipeError.self) { try RecipeText.parse(lines.joined(separator: "\n"), path: "r.yaml") }
    }
}
