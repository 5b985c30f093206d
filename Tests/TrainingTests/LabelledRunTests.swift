import MartletFormats
import MartletJSON
import MartletLayers
import MartletModels
import MartletPlatform
import MartletTensors
import MartletTokenizers
import MartletTraining
import TestSupport
import Testing

/// Runs over labelled files: a new head on a tiny BERT, full and with low-rank adapters.
@Suite struct LabelledRunTests {
    private let folder = FolderForTests()
    private static let base = Fixtures.folder + "/tasks/classes"

    /// Two intents that one word tells apart.
    private func writeTexts() -> String {
        let places = ["london", "paris", "the river", "the old house"]
        let rows = (0..<48).map { index in
            let text = "\(index % 2 == 0 ? "ada" : "bob") walked to \(places[index / 2 % 4])"
            return
                "\"\(text), \(index % 3 == 0 ? "and" : "who") lived\",\(index % 2 == 0 ? "person ada" : "person bob")\n"
        }
        return folder.write("text,category\n" + rows.joined(), to: "train.csv")
    }

    private func recipe(_ overrides: [String]) throws -> Recipe {
        let text = writeTexts()
        return try Recipe(
            yaml: """
                model: {from: \(Self.base)}
                objective: {name: classification, text: text, label: category}
                data: {sources: [{paths: \(text)}], validation: [{paths: \(text)}]}
                length: 32
                batch: {examples: 8}
                optimizer: {learning_rate: 5e-3, weight_decay: 0.01}
                schedule: {name: linear, warmup: 10%}
                steps: 18
                evaluation: {every: 6, metric: accuracy}
                checkpoints: {every: 5, keep: 2}
                """, path: "recipe", overrides: overrides)
    }

    private struct Prepared {
        let run: TrainingRun
        let learner: ModelLearner
        let preparation: RunPreparation
        let device: Device
    }

    private func prepare(_ name: String, _ overrides: [String], threads: Int = 2) throws -> Prepared {
        let (device, path) = (Device(threads: threads), folder.path + "/" + name)
        let preparation = try RunPreparation(recipe(overrides), folder: path, on: device)
        let learner = try ModelLearner(preparation, on: device)
        let store = CheckpointStore(path + "/checkpoints")
        let state = try store.newest().step.map { try store.restore(learner, to: $0) }
        let run = try TrainingRun(
            path, preparation.settings, learner, preparation.stream(from: state?.cursor),
            validation: preparation.validation(), from: state)
        return Prepared(run: run, learner: learner, preparation: preparation, device: device)
    }

    static let kinds: [[String]] = [
        [], ["objective.pooling=mean"],
        ["adapters={rank: 4, alpha: 32, targets: [query, value], dropout: 0.1, save: [pooler.dense]}"],
        ["objective.pooling=mean", "adapters={rank: 2, rank_stabilised: true, ranks: {query: 3}}"],
        ["train={freeze: [embeddings], layer_decay: 0.8}"], ["train={average: 0.7}"],
    ]

    @Test(arguments: kinds) func resumesLearnsAndIsExported(_ overrides: [String]) throws {
        let whole = try prepare("whole", overrides)
        _ = try whole.run.run()
        let first = try prepare("stopped", overrides, threads: 1)
        #expect(try first.run.run { first.run.state.step == 7 }.end == .stopped)
        let second = try prepare("stopped", overrides, threads: 3)
        #expect(second.run.state.step == 7)
        _ = try second.run.run()
        func bits(_ item: Prepared) throws -> [UInt8] {
            try Storage(mapping: item.run.store.path(18) + "/weights.safetensors").contents
        }
        #expect(try bits(second) == bits(whole))
        #expect(second.run.state.best == whole.run.state.best && whole.run.state.best != nil)
        let measures = try #require(whole.run.records.last).measures
        #expect(measures.first?.name == "accuracy" && (measures.first?.value ?? 0) > 0.7, "\(measures)")

        let path = folder.path + "/whole/model"
        try RunExport(whole.preparation, on: whole.device).write(whole.learner.exported, to: path)
        let file = try ModelFile(path: path)
        #expect(file.settings["id2label"]?["1"]?.stringValue == "person bob")
        #expect(abs(try loss(of: file, whole) - (try whole.run.validationLoss())) < 1e-5)
    }

    /// The loss of an exported model over the validation texts.
    private func loss(of file: ModelFile, _ item: Prepared) throws -> Double {
        guard case .encoder(let encoder) = try file.model(on: item.device) else {
            Issue.record("no encoder")
            return .infinity
        }
        var (loss, count) = (0.0, 0)
        for batch in try item.preparation.validation() {
            var state = Uncached()
            let hidden = encoder.hidden(batch.rows, &state, on: item.device)
            var flow = GradientFlow(into: Gradients([[1]], on: item.device), on: item.device)
            let task = ClassLoss(.texts, names: ["person ada", "person bob"])
            loss += task(encoder.head, hidden, batch, dropout: nil, &flow).loss
            count += batch.targetCount
        }
        return loss / Double(count)
    }

    /// Adapters over a GGUF's body, with a head that GGUF has no name for.
    @Test func aHeadOverAGGUFIsReadAgain() throws {
        let text = writeTexts()
        let recipe = try TrainingRecipe(
            yaml: """
                model: {from: \(Fixtures.folder)/../../Sources/CShippedModel/sentences.gguf}
                objective: {name: classification, text: text, label: category, pooling: mean}
                adapters: {rank: 2}
                data: {sources: [{paths: \(text)}], validation: [{paths: \(text)}]}
                length: 32
                batch: {examples: 8}
                optimizer: {learning_rate: 5e-3}
                steps: 3
                """)
        let session = try TrainingSession(recipe, in: folder.path + "/head", threads: 2)
        _ = try session.train()
        let file = try ModelFile(path: session.modelPath)
        #expect(file.settings["id2label"]?["1"]?.stringValue == "person bob")
        #expect(file.architecture.head == .sequence(nil, labels: 2, from: .mean))
        _ = try file.model(on: Device(threads: 1))
    }

    /// A student of one layer learns from the classes of a model that was trained before.
    @Test func aStudentOfFewerLayersLearnsFromItsTeacher() throws {
        let teacher = try prepare("teacher", ["objective.pooling=mean"])
        _ = try teacher.run.run()
        let path = folder.path + "/teacher/model"
        try RunExport(teacher.preparation, on: teacher.device).write(teacher.learner.exported, to: path)
        let overrides = [
            "model.layers=[1]", "objective.pooling=mean", "teacher={from: \(path), temperature: 2, weight: 0.5}",
        ]
        let student = try prepare("student", overrides)
        let batch = student.preparation.labelledExamples
        #expect(batch.allSatisfy { $0.teacher.count == 2 })
        #expect(student.learner.parameters.names.contains { $0.hasPrefix("encoder.0.") })
        #expect(!student.learner.parameters.names.contains { $0.hasPrefix("encoder.1.") })
        _ = try student.run.run()
        #expect((student.run.records.last?.measures.first?.value ?? 0) > 0.7)
        let target = folder.path + "/student/model"
        try RunExport(student.preparation, on: student.device).write(student.learner.exported, to: target)
        let file = try ModelFile(path: target)
        #expect(file.settings["num_hidden_layers"]?.integerValue == 1)
        _ = try file.model(on: student.device)
        #expect(throws: RunError.self) { try prepare("layers", ["model.layers=[7]"]) }
        #expect(throws: RunError.self) { try prepare("classes", ["teacher={from: \(Self.base)}"]) }
    }

    /// A student with another vocabulary and fewer layers learns the vectors of its teacher, which are kept on disk.
    @Test func aStudentLearnsTheVectorsOfItsTeacher() throws {
        let small = folder.path + "/small"
        let tokenizer = try JSON(contentsOf: Self.base + "/tokenizer.json")
        let text = writeTexts()
        var request = ModelPruning.Request()
        request.kept = [1]
        let words = try Tokenizer(json: tokenizer.serialized())
        let lines = try Storage(mapping: text).contents.split(separator: 10)
        let tokens = try lines.flatMap { try words.encode(String(decoding: $0, as: UTF8.self)) }
        request.vocabulary = try VocabularyPruning(
            tokenizer, keeping: words.vocabularySize - 12,
            frequencies: tokens.reduce(into: [:]) { $0[Int($1), default: 0] += 1 })
        _ = try ModelPruning(Self.base, texts: [], on: Device(threads: 2)).write(request, to: small)
        let vectors = [
            "objective={name: embeddings, text: text, loss: teacher}", "model.from=\(small)",
            "teacher={from: \(Self.base), cache: \(folder.path)/vectors}", "evaluation={every: 6, metric: cosine}",
        ]
        let student = try prepare("vectors", vectors)
        #expect(
            student.preparation.labelledExamples.allSatisfy {
                $0.teacher.count == student.preparation.architecture.width
            })
        let before = try student.learner.evaluate(student.preparation.validation()).loss
        _ = try student.run.run()
        let last = try #require(student.run.records.last)
        #expect(last.measures.map(\.name) == ["cosine"])
        #expect(abs((last.measures.first?.value ?? 0) + (try student.run.validationLoss()) - 1) < 1e-5)
        #expect(try student.run.validationLoss() < before / 2, "\(before)")

        // What is on disk is used: a number changed there is found in the next run.
        let cache = try #require(Folder.names(in: folder.path + "/vectors").first)
        let path = folder.path + "/vectors/" + cache
        let rows = try Safetensors(contentsOf: path).tensors.tensor("rows")
        var values = rows.values
        values[3] = 77
        try Safetensors.write([("rows", Tensor(values, shape: rows.shape))], to: path)
        #expect(try prepare("again", vectors).preparation.labelledExamples[0].teacher[3] == 77)
        #expect(throws: RecipeError.self) { try recipe(vectors.filter { !$0.hasPrefix("teacher") }) }
        #expect(throws: RecipeError.self) { try recipe(vectors + ["teacher.weight=0.5"]) }
        #expect(throws: RecipeError.self) { try recipe(vectors + ["objective.pair=category"]) }
    }

    /// The public way: a recipe, a session, its measures, its model.
    @Test func aSessionTrainsStopsResumesAndExports() throws {
        let text = writeTexts()
        let yaml = """
            model: {from: \(Self.base)}
            objective: {name: classification, text: text, label: category, pooling: mean}
            data: {sources: [{paths: \(text)}], validation: [{paths: \(text)}]}
            length: 32
            batch: {examples: 8}
            optimizer: {learning_rate: 5e-3}
            steps: 12
            evaluation: {every: 4, metric: accuracy}
            train: {freeze: [embeddings]}
            """
        let path = folder.path + "/session"
        let loss = try begin(TrainingRecipe(yaml: yaml), path)
        #expect(throws: RunError.self) { try TrainingSession(TrainingRecipe(yaml: yaml), in: path) }
        #expect(throws: RunError.self) { try TrainingSession(resuming: folder.path + "/none") }
        try finish(path, expecting: loss)
    }

    /// Five steps of a new session. - Returns: the loss of the evaluation in them.
    private func begin(_ recipe: TrainingRecipe, _ path: String) throws -> Double {
        let session = try TrainingSession(recipe, in: path, threads: 2)
        #expect(session.steps == 12 && session.labels == ["person ada", "person bob"])
        let shown = try session.examples(1)
        #expect(shown.count == 1 && shown[0].last == "→ person ada", "\(shown)")
        var (steps, evaluations): ([Int], [TrainingEvaluation]) = ([], [])
        let first = try session.train(until: { steps.count == 5 }) { event in
            switch event {
            case .step(let step): steps.append(step.number)
            case .evaluated(let found): evaluations.append(found)
            case .saved, .warning: break
            }
        }
        #expect(first.end == .stopped && first.step == 5 && steps == [1, 2, 3, 4, 5])
        #expect(evaluations.map(\.step) == [4] && evaluations[0].measures["accuracy"] != nil)
        return evaluations.first?.loss ?? .infinity
    }

    /// Opened anew: the first session has let its folder go.
    private func finish(_ path: String, expecting loss: Double) throws {
        let session = try TrainingSession(resuming: path, threads: 1)
        let last = try session.train()
        #expect(last.end == .done && last.step == 12)
        let found = try session.evaluate()
        #expect(found.loss < loss && (found.measures["accuracy"] ?? 0) > 0.7)
        try session.export(to: folder.path + "/exported")
        for path in [session.modelPath, folder.path + "/exported"] {
            _ = try ModelFile(path: path).model(on: Device(threads: 1))
        }
    }

    /// Only what is trained is in memory beside the base, and in checkpoints.
    @Test func adaptersLeaveTheBaseAlone() throws {
        let item = try prepare("adapted", ["adapters={rank: 4, targets: [query, value]}"])
        #expect(item.learner.parameters.names.allSatisfy { $0.hasPrefix("adapters.") || $0.hasPrefix("sequence.") })
        #expect(item.learner.parameterCount < 1_000)
        #expect(throws: RecipeError.self) { try prepare("gguf", ["adapters={rank: 4}", "export.gguf=f16"]) }
        #expect(throws: ModelError.self) { try prepare("target", ["adapters={targets: [q_proj]}"]) }
        #expect(throws: RunError.self) { try prepare("part", ["train={freeze: [decoder]}"]) }
    }

    @Test func offencesComeBeforeTheFirstStep() throws {
        let text = folder.write("text,category\nada,one\n,one\nbob\n", to: "bad.csv")
        let other = folder.write("text,category\nada,onne\n", to: "other.csv")
        let error = #expect(throws: DataError.self) {
            try prepare(
                "bad", ["data.sources.0.paths=\(text)", "data.validation.0.paths=\(other)"])
        }
        let message = error?.description ?? ""
        #expect(message.contains("3 offences"))
        #expect(message.contains("bad.csv:3: \"text\" is empty"))
        #expect(message.contains("bad.csv:4: 1 columns where 2 are wanted"))
        #expect(message.contains("other.csv:2: the label \"onne\" is not among 1 (nearest: one)"))
        let item = try prepare("metric", ["evaluation.metric=bleu"])
        let unknown = #expect(throws: RunError.self) { _ = try item.run.run() }
        #expect(unknown?.description.contains("this objective measures loss, accuracy, f1") ?? false)
        #expect(item.run.state.step == 0)
    }

    /// Epochs are counted in batches as they come: those that rows fill hold as many examples as fit whole.
    @Test(arguments: ["{tokens: 40}", "{tokens: 40, examples: 3, accumulation: 2}", "{examples: 7}"])
    func epochsReadEveryExample(_ batch: String) throws {
        let item = try prepare("epochs", ["steps=null", "epochs=2", "batch=\(batch)"])
        let (steps, passes) = (item.preparation.settings.steps, item.preparation.settings.accumulation)
        var stream = try item.preparation.stream(from: nil)
        var examples: [Int] = []
        for _ in 0..<steps {
            for _ in 0..<passes { _ = try stream.next() }
            examples.append(stream.cursor.examples)
        }
        // Two epochs of 48 texts: the last step reaches their end, none before it does.
        #expect(examples[steps - 1] >= 96 && examples.dropLast().allSatisfy { $0 < 96 }, "\(examples)")
    }

    private func copyOfBase(_ name: String) throws -> String {
        let path = folder.path + "/" + name
        try Folder.make(path)
        for name in ["config.json", "model.safetensors", "tokenizer.json"] {
            try writeFile(Fixtures.bytes("\(Self.base)/\(name)"), to: "\(path)/\(name)")
        }
        return path
    }

    /// A chat template in a file of its own, as transformers writes it since 4.51, goes along with the model.
    @Test func theChatTemplateGoesAlong() throws {
        let path = try copyOfBase("chat")
        try writeFile(Array("{{ messages }}".utf8), to: path + "/chat_template.jinja")
        let item = try prepare("run", ["model.from=\(path)"])
        let model = folder.path + "/exported"
        try RunExport(item.preparation, on: item.device).write(item.learner.exported, to: model)
        #expect(try fileBytes(model + "/chat_template.jinja") == Array("{{ messages }}".utf8))
    }

    /// Classes that the model has keep their numbers, in whatever order its file tells them.
    @Test func classesKeepTheirNumbers() throws {
        let path = try copyOfBase("unordered")
        var config = try #require(try JSON(contentsOf: Self.base + "/config.json").objectValue)
        config["id2label"] = ["2": "person ada", "0": "nobody", "1": "person bob"]
        try writeFile(JSON.object(config).serialized(), to: path + "/config.json")
        let item = try prepare("numbers", ["model.from=\(path)"])
        #expect(item.preparation.config["id2label"]?["1"]?.stringValue == "person bob")
        #expect(item.preparation.config["id2label"]?["2"]?.stringValue == "person ada")
    }

    /// A base that is rounded as it is read trains adapters as a directory that has the rounded numbers in f32 does.
    @Test(arguments: ["q8_0", "q4_0", "bf16"]) func aBaseIsRoundedAsItIsRead(_ name: String) throws {
        let type = try #require(ElementType.allCases.first { "\($0)" == name })
        let (device, path) = (Device(threads: 2), folder.path + "/decoded-" + name)
        let stored = try Safetensors(contentsOf: Self.base + "/model.safetensors").tensors
        let rounded = try stored.names.map { name in
            let value = try stored.tensor(name)
            let isMatrix = value.shape.rank == 2 && value.shape.width % type.blockElements == 0
            return (name, isMatrix ? value.converted(to: type, on: device).decoded(on: device) : value)
        }
        try Folder.make(path)
        try Safetensors.write(rounded, to: path + "/model.safetensors")
        for file in ["config.json", "tokenizer.json"] {
            try writeFile(Fixtures.bytes(Self.base + "/" + file), to: path + "/" + file)
        }
        func losses(_ run: String, _ overrides: [String]) throws -> [Double] {
            let adapted = ["objective.pooling=mean", "adapters={rank: 4, targets: all}"]
            let item = try prepare(run, adapted + overrides)
            _ = try item.run.run()
            return item.run.records.map(\.loss)
        }
        let found = try losses("rounded", ["model.weights=\(name)"])
        #expect(found == (try losses("decoded", ["model.from=\(path)"])))
        #expect(found != (try losses("plain", [])))
        #expect(throws: RecipeError.self) { try recipe(["model.weights=q8_0"]) }
        #expect(throws: RecipeError.self) {
            try recipe(["model.weights=q8_0", "model.from=a.gguf", "adapters={rank: 4}"])
        }
    }

    /// Low-rank adapters over quantized weights: bit for bit the losses of those over their decoded numbers.
    @Test(arguments: ["q8_0", "q4_0", "q4_K", "f16", "bf16"]) func quantizedBasesTrainAsDecodedOnes(_ name: String)
        throws
    {
        let type = try #require(ElementType.allCases.first { "\($0)" == name })
        let device = Device(threads: 2)
        let architecture = TinyArchitectures.decoder(
            width: 256, layers: 1, headWidth: 64, feedForward: .gated(hidden: 256, .silu, bias: .absent))
        let targets = try AdapterTargets(architecture, #require(Families.reading("llama")))
        var configuration = AdapterConfiguration()
        configuration.rank = 4
        var settings = ModelLearner.Settings()
        settings.selection.adapters = try targets.layout(configuration)
        settings.selection.isTrained = { _ in false }
        func losses(decoded: Bool) throws -> [Double] {
            let seeded = SeededInitialiser(seed: 3, device: device)
            let source = ConvertedSource(seeded, type, decoded: decoded, on: device)
            let learner = try ModelLearner(architecture, from: source, factors: seeded, settings, on: device) {
                AdamW($0)
            }
            let tokens = (0..<17).map { Int32($0 * $0 % 61) }
            var batch = Batch()
            batch.append(Example(tokens: tokens, targets: tokens.dropFirst() + [Example.ignored]))
            return try (0..<6).map { step in
                let loss = try learner.accumulate(batch, seed: UInt64(step))
                try learner.update(learningRate: 1e-2, scale: 1 / 16)
                return loss
            }
        }
        let found = try losses(decoded: false)
        #expect(found == (try losses(decoded: true)))
        #expect(found[5] < found[0])
    }
}

/// A checkpoint whose matrices have another type, or the numbers of that type in f32.
private final class ConvertedSource: ParameterSource {
    private let base: any ParameterSource
    private let type: ElementType
    private let isDecoded: Bool
    private let device: Device

    init(_ base: any ParameterSource, _ type: ElementType, decoded: Bool, on device: Device) {
        (self.base, self.type, isDecoded, self.device) = (base, type, decoded, device)
    }

    func parameter(_ description: ParameterDescription) -> Parameter {
        let stored = base.parameter(description)
        guard let value = stored.value, description.shape.rank == 2, description.shape.width % type.blockElements == 0
        else { return stored }
        let converted = value.converted(to: type, on: device)
        return stored.with(isDecoded ? converted.decoded(on: device) : converted)
    }
    func packed(_ parameter: Parameter) -> PackedMatrix? { nil }
    func decoded(_ parameter: Parameter) -> Parameter { base.decoded(parameter) }
}
