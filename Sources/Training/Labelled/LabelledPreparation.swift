import MartletFormats
import MartletJSON
import MartletLayers
import MartletModels
import MartletPlatform
import MartletTasks
import MartletTensors
import MartletTokenizers

/// Labelled data from files to examples, all read, encoded and checked before the first step.
struct LabelledPreparation: Sendable {
    let objective: LabelledObjective
    private(set) var training: [Example]
    private(set) var validation: [Example]
    /// The texts that a teacher with its own tokenizer reads, one per example; none where no vectors are learnt.
    private let texts: (training: [String], validation: [String])
    let names: LabelNames
    /// Notes on the data that are worth saying, though nothing is wrong.
    let notes: [String]

    /// - Parameter head: what the model of a recipe becomes with so many classes.
    /// - Throws: ``DataError`` with everything that is wrong, ``FileError``.
    init(
        _ objective: LabelledObjective, _ recipe: Recipe, _ tokenizer: Tokenizer, known: [String], length: Int,
        hasSegments: Bool, chat: ConversationFormat?
    ) throws {
        if objective.isConversational && chat == nil {
            throw RunError("conversations need a chat template, which the model does not have")
        }
        var offences = DataOffences()
        func records(_ files: [LabelledFile]) throws -> [LabelledRecord] {
            var all: [LabelledRecord] = []
            for file in files { all += try file.records(&offences) }
            return all
        }
        var sources = try records(recipe.labelled.training)
        var held = try records(recipe.labelled.validation)
        if recipe.labelled.holdout > 0 {
            let order = Permutation(count: sources.count, seed: recipe.seed)
            let count = Int(Double(sources.count) * recipe.labelled.holdout)
            let kept = Set((0..<count).map { order[$0] })
            held = kept.sorted().map { sources[$0] }
            sources = sources.indices.filter { !kept.contains($0) }.map { sources[$0] }
        }
        let names = LabelNames(
            collecting: sources.flatMap { ExampleMaker.labels(of: $0, objective) }, known: known)
        var maker = ExampleMaker(
            objective, tokenizer, length: length, hasSegments: hasSegments, names: names, chat: chat)
        training = sources.flatMap { maker.examples($0, &offences) }
        validation = held.flatMap { maker.examples($0, &offences) }
        // What the test files hold is not needed yet, but is better told now.
        for record in try records(recipe.labelled.test) { _ = maker.examples(record, &offences) }
        try offences.check()
        func texts(_ records: [LabelledRecord]) -> [String] {
            objective.learnsVectorsOfTeacher ? records.map { $0.text(objective.text) ?? "" } : []
        }
        self.texts = (texts(sources), texts(held))
        (self.objective, self.names) = (objective, names)
        notes = LabelledPreparation.notes(maker, training, objective)
    }

    /// Adds what a teacher says of the classes of the training examples.
    mutating func learn(from teacher: Teacher, _ cache: TeacherCache) throws {
        training = try teacher.teach(training, cache)
    }

    /// Adds the vectors that a teacher makes of all texts.
    mutating func learn(from teacher: Embedder, _ cache: TeacherCache) throws {
        func taught(_ examples: [Example], _ texts: [String]) throws -> [Example] {
            let vectors = try cache.rows(texts.count) {
                $1.add(texts[$0])
            } compute: {
                try teacher.embed(Array(texts[$0]))
            }
            return zip(examples, vectors).map { example, vector in
                var example = example
                example.teacher = vector
                return example
            }
        }
        training = try taught(training, texts.training)
        validation = try taught(validation, texts.validation)
    }

    private static func notes(
        _ maker: ExampleMaker, _ training: [Example], _ objective: LabelledObjective
    ) -> [String] {
        var notes: [String] = []
        if maker.lostWords > 0 { notes.append("\(maker.lostWords) tagged words have no token and are not trained on") }
        if maker.tooLong > 0 { notes.append("\(maker.tooLong) conversations are too long and are left out") }
        if maker.hiddenTurns > 0 {
            notes.append(
                "\(maker.hiddenTurns) answers are not predicted: the template writes them otherwise as the last one")
        }
        if maker.equalAnswers > 0 {
            notes.append("\(maker.equalAnswers) preferences whose answers are the same are left out")
        }
        if objective.isConversational {
            let targets = training.flatMap(\.targets)
            let share = Double(targets.reduce(0) { $0 + ($1 >= 0 ? 1 : 0) }) / Double(max(1, targets.count))
            notes.append("\((share * 1000).rounded() / 10) % of the tokens are predicted: those of the assistant")
        }
        return notes
    }

    /// Returns whether labels are classes with names.
    static func hasNames(_ kind: LabelledObjective.Kind) -> Bool {
        switch kind {
        case .classification, .multiLabel, .tagging: true
        case .regression, .answering, .embeddings, .nextSentence, .instructions, .preferences: false
        }
    }

    var rows: Int { training.reduce(0) { $0 + $1.rows } }
    var validationRows: Int { validation.reduce(0) { $0 + $1.rows } }
}
