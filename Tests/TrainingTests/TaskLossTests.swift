import MartletFormats
import MartletLayers
import MartletModels
import MartletTensors
import MartletTraining
import TestSupport
import Testing

/// Losses of labelled batches and their gradients beside PyTorch's and sentence-transformers':
/// `Tools/fixtures/task_losses.py`.
@Suite struct TaskLossTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let model, kind: String
        let loss: any TaskLoss
        var testDescription: String { "\(model), \(kind)" }

        init(_ model: String, _ kind: String, _ loss: any TaskLoss) {
            (self.model, self.kind, self.loss) = (model, kind, loss)
        }
    }

    private static let names = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    static let cases: [Case] = [
        Case("bert-classification", "classification", ClassLoss(.texts, names: Array(names.prefix(3)))),
        Case("bert-classification", "multi-label", MultiLabelLoss()),
        Case(
            "bert-classification", "distillation",
            ClassLoss(
                .texts, names: Array(names.prefix(3)), distillation: Distillation(temperature: 2, weight: 0.7))),
        Case("bert-regression", "numbers", NumberLoss()),
        Case("bert-tokens", "tokens", ClassLoss(.rows, names: names)),
        Case("bert-answers", "answers", SpanLoss()),
        Case("bert-next-sentence", "classification", ClassLoss(.texts, names: Array(names.prefix(2)))),
        Case("llama-classification", "classification", ClassLoss(.texts, names: Array(names.prefix(3)))),
        Case(
            "bert-model", "in-batch",
            EmbeddingLoss(.inBatchNegatives(scale: 20), from: .mean, isNormalized: false)),
        Case("bert-model", "cosine", EmbeddingLoss(.cosine, from: .mean, isNormalized: false)),
        Case("bert-model", "triplet", EmbeddingLoss(.triplet(margin: 5), from: .mean, isNormalized: false)),
        Case("bert-model", "teacher", EmbeddingLoss(.teacher, from: .mean, isNormalized: false)),
        Case(
            "bert-model", "matryoshka",
            EmbeddingLoss(.inBatchNegatives(scale: 20), from: .mean, isNormalized: false, widths: [0, 1])),
        Case(
            "llama", "preferences",
            PreferenceLoss(
                beta: 0.3, reference: [0: (chosen: -14, rejected: -33), 1: (chosen: -9.5, rejected: -17)])),
    ]

    private static func tokens(_ sequence: Int) -> [Int32] {
        (0..<[7, 11, 5][sequence % 3]).map { Int32(($0 * $0 * 3 + 5 * sequence + 1) % 47 + 1) }
    }

    /// A teacher's logits for an example.
    private static func vector(_ example: Int, width: Int) -> [Float] {
        (example * width..<(example + 1) * width).map { place -> Float in
            let number = (7 * place * place + 3 * place) % 11
            return Float(number - 5)
        }
    }

    private static func batch(_ item: Case, labels: Int, width: Int) -> Batch {
        var batch = Batch()
        switch (item.kind, item.model) {
        case ("preferences", _): for number in 0..<2 { batch.append(preference(number)) }
        case (_, "bert-model"): for number in 0..<4 { batch.append(match(number, item.kind, width: width)) }
        default: for sequence in 0..<3 { batch.append(labelled(sequence, item, labels: labels)) }
        }
        return batch
    }

    /// Two answers, of which the first is preferred.
    private static func preference(_ number: Int) -> Example {
        func answer(_ sequence: Int) -> Example {
            let tokens = tokens(sequence)
            let targets = tokens.indices.map {
                $0 >= 2 && $0 + 1 < tokens.count ? tokens[$0 + 1] : Example.ignored
            }
            return Example(tokens: tokens, targets: targets)
        }
        return Example(preferred: answer(2 * number), over: answer(2 * number + 1), number: number)
    }

    /// Texts that belong together, for losses of sentence embeddings.
    private static func match(_ number: Int, _ kind: String, width: Int) -> Example {
        let per = ["triplet": 3, "teacher": 1][kind] ?? 2
        let texts = (0..<per).map { tokens(number * per + $0) }
        let label = kind == "cosine" ? Label.numbers([[0.1, 0.9, 0.4, 0.6][number]]) : .match
        var text = Example(tokens: texts[0], others: Array(texts.dropFirst()), label: label)
        if kind == "teacher" { text.teacher = vector(number, width: width) }
        return text
    }

    private static func labelled(_ sequence: Int, _ item: Case, labels: Int) -> Example {
        let tokens = tokens(sequence)
        let half = tokens.count / 2
        let segments = item.model.hasPrefix("bert") ? tokens.indices.map { Int32($0 >= half ? 1 : 0) } : nil
        func numbers(_ value: (Int) -> Float) -> Label {
            .numbers((sequence * labels..<(sequence + 1) * labels).map(value))
        }
        switch item.kind {
        case "tokens":
            let targets = tokens.indices.map { $0 % 3 == 2 ? Example.ignored : Int32($0 % labels) }
            return Example(tokens: tokens, segments: segments, targets: targets)
        case "answers": return Example(tokens: tokens, segments: segments, label: .span(1...3))
        case "numbers": return Example(tokens: tokens, segments: segments, label: numbers { Float($0) * 0.5 - 1 })
        case "multi-label": return Example(tokens: tokens, segments: segments, label: numbers { Float($0 % 2) })
        default:
            var example = Example(tokens: tokens, segments: segments, label: .category(Int32(sequence % labels)))
            if item.kind == "distillation" {
                example.teacher = (sequence * labels..<(sequence + 1) * labels).map { Float($0) * 0.3 - 1 }
            }
            return example
        }
    }

    @Test(arguments: cases) func equalTheReference(_ item: Case) throws {
        let reference = try Safetensors(contentsOf: Fixtures.folder + "/training/task-losses.safetensors").tensors
        let device = Device(threads: 2)
        let file = try ModelFile(path: Fixtures.folder + "/families/" + item.model)
        var settings = ModelLearner.Settings()
        var architecture = file.architecture
        var labels = 2
        switch architecture.head {
        case .sequence(_, let count, _), .rows(_, let count): labels = count
        default: break
        }
        if item.model == "bert-model" { architecture.head = .none }
        settings.task =
            item.kind == "matryoshka"
            ? EmbeddingLoss(
                .inBatchNegatives(scale: 20), from: .mean, isNormalized: false,
                widths: [architecture.width, architecture.width / 2]) : item.loss
        let source = CheckpointSource(try file.checkpoint(under: architecture).checkpoint, device: device)
        let learner = try ModelLearner(architecture, from: source, settings, on: device) { AdamW($0) }
        let batch = Self.batch(item, labels: labels, width: architecture.width)
        let share = 1 / Double(batch.targetCount)
        let loss = try learner.accumulate(batch, seed: 0) * share
        let prefix = "\(item.model).\(item.kind)."
        let wanted = Double(try reference.tensor(prefix + "loss").values[0])
        #expect(abs(loss - wanted) < 1e-5 * max(1, abs(wanted)), "\(loss) against \(wanted)")
        #expect(abs(try learner.loss(of: batch) * share - wanted) < 1e-5 * max(1, abs(wanted)))
        let names = learner.parameters.names
        let stored = try file.checkpoint(under: architecture).checkpoint
        let gradients = reference.names.filter { $0.hasPrefix(prefix + "gradient.") }
        #expect(gradients.count == 2)
        for name in gradients {
            let parameter = String(name.dropFirst((prefix + "gradient.").count))
            let index = try #require(
                names.indices.first { stored.storedName(names[$0])?.hasSuffix(parameter) ?? false }, "\(parameter)")
            let expected = try reference.tensor(name).values
            let found = (learner.gradients[index] * Float(share)).values
            let largest = expected.reduce(0) { max($0, abs($1)) }
            let comparison = Comparison(found, expected, absolute: largest * 1e-4)
            #expect(comparison.withinTolerance && largest > 0, "\(parameter): \(comparison), the largest \(largest)")
        }
    }

    /// Texts of two passes are compared with each other: the loss has the bits of one pass over all of them, and the
    /// gradients are its own but for the order in which passes are summed. Without a whole step, each pass has
    /// candidates of its own.
    @Test func passesOfAStepAreComparedAsOne() throws {
        let device = Device(threads: 2)
        let file = try ModelFile(path: Fixtures.folder + "/families/bert-model")
        var architecture = file.architecture
        architecture.head = .none
        var settings = ModelLearner.Settings()
        settings.task = EmbeddingLoss(.inBatchNegatives(scale: 20), from: .mean, isNormalized: false)
        settings.comparesWholeSteps = true
        func learner() throws -> ModelLearner {
            let stored = try file.checkpoint(under: architecture).checkpoint
            return try ModelLearner(architecture, from: CheckpointSource(stored, device: device), settings, on: device)
            {
                AdamW($0)
            }
        }
        func example(_ number: Int) -> Example {
            Example(tokens: Self.tokens(2 * number), others: [Self.tokens(2 * number + 1)], label: .match)
        }
        var (all, parts) = (Batch(), [Batch(), Batch(), Batch()])
        for number in 0..<4 {
            all.append(example(number))
            parts[[0, 0, 1, 2][number]].append(example(number))
        }
        let (whole, cached, alone) = (try learner(), try learner(), try learner())
        #expect(cached.comparesWholeSteps)
        let loss = try whole.accumulate(all, seed: 1)
        #expect(try cached.accumulate(step: parts.map { ($0, 1) }) == loss)
        let separate = try parts.reduce(0) { try $0 + alone.accumulate($1, seed: 1) }
        #expect(separate < loss * 0.9, "\(separate) against \(loss)")
        for index in whole.parameters.names.indices {
            let wanted = whole.gradients[index].values
            let largest = wanted.reduce(0) { max($0, abs($1)) }
            let comparison = Comparison(cached.gradients[index].values, wanted, absolute: largest * 1e-5 + 1e-6)
            #expect(comparison.withinTolerance, "\(whole.parameters.names[index]): \(comparison)")
        }
    }
}
