/// The objective of learning from labelled texts, as a recipe asks for it: the kind of label, and the fields that hold
/// it.
package struct LabelledObjective: Sendable, Equatable {
    /// The kind of label that is learnt.
    package enum Kind: String, Sendable, CaseIterable {
        case classification, regression, tagging, answering, embeddings, instructions, preferences
        case multiLabel = "multi-label"
        case nextSentence = "next-sentence"
    }

    /// The pooling of a whole text in front of its classes.
    package enum Pooling: String, Sendable, CaseIterable {
        /// The pooling that the family's class of transformers has: BERT's pooler, a decoder's last row.
        case family
        case mean, first
    }

    /// The loss of sentence embeddings.
    package enum Similarity: String, Sendable, CaseIterable {
        case inBatch = "in-batch"
        case cosine, triplet
        /// Towards the vectors of a teacher: one text at a time.
        case teacher
    }

    package var kind: Kind
    /// The fields of a record.
    package var text = "text"
    package var pair: String?
    package var negative: String?
    package var label = "label"
    /// The separator between the labels of one text, where a field is no list.
    package var separator = ","
    package var pooling = Pooling.family
    /// The range that the scores of regression and similarity lie in, whose ends become 0 and 1.
    package var range: ClosedRange<Double>?
    package var similarity = Similarity.inBatch
    /// The scale by which cosines are multiplied in front of the softmax.
    package var scale = 20.0
    /// True where the texts of all passes of a step are compared, not those of one pass alone.
    package var comparesWholeSteps = false
    package var margin = 5.0
    /// The beta of preferences (DPO): how far the model may leave the reference.
    package var beta = 0.1
    package var widths: [Int] = []
    /// The stride of answering: tokens that windows share.
    package var stride = 128
    package var keepsWindowsWithoutAnswer = true
    /// Tagging: whether the tokens of a word behind its first carry `I-` of its tag; else they predict nothing.
    package var tagsContinuations = false

    package init(_ kind: Kind) { self.kind = kind }

    static func read(_ section: RecipeReader, _ kind: Kind) -> LabelledObjective {
        var objective = LabelledObjective(kind)
        switch kind {
        case .tagging: (objective.text, objective.label) = ("tokens", "tags")
        case .answering: (objective.text, objective.pair, objective.label) = ("question", "context", "answers")
        case .embeddings, .nextSentence: objective.pair = "pair"
        case .preferences:
            objective.beta = section.number("beta", in: 1e-6...1e3) ?? 0.1
            return objective
        case .instructions: return objective
        case .classification, .regression, .multiLabel: break
        }
        objective.text = section.string("text") ?? objective.text
        objective.pair = section.string("pair") ?? objective.pair
        objective.label = section.string("label") ?? objective.label
        switch kind {
        case .classification, .multiLabel, .regression:
            let names = Pooling.allCases.map(\.rawValue).joined(separator: ", ")
            if let pooling = section.string("pooling") {
                if let known = Pooling(rawValue: pooling) {
                    objective.pooling = known
                } else {
                    section.reject("\(section.name("pooling")) should be one of \(names)")
                }
            }
            if kind == .multiLabel { objective.separator = section.string("separator") ?? "," }
            if kind == .regression { objective.range = objective.range(section) }
        case .embeddings: objective.readSimilarity(section)
        case .answering:
            objective.stride = section.integer("stride", in: 0...4_096) ?? 128
            objective.keepsWindowsWithoutAnswer =
                section.choice("windows_without_answer", ["first-row": true, "drop": false]) ?? true
        case .tagging:
            objective.tagsContinuations = section.choice("continuations", ["inside": true, "ignored": false]) ?? false
        case .nextSentence, .instructions, .preferences: break
        }
        return objective
    }

    /// True where the vectors of a teacher are learnt.
    package var learnsVectorsOfTeacher: Bool { kind == .embeddings && similarity == .teacher }

    /// True where records are conversations, and the model goes on predicting tokens.
    package var isConversational: Bool { kind == .instructions || kind == .preferences }

    private mutating func readSimilarity(_ section: RecipeReader) {
        similarity =
            section.choice(
                "loss", ["in-batch": .inBatch, "cosine": .cosine, "triplet": .triplet, "teacher": .teacher]) ?? .inBatch
        comparesWholeSteps = section.choice("negatives", ["step": true, "pass": false]) ?? false
        if comparesWholeSteps && similarity != .inBatch {
            section.reject("\(section.name("negatives")) are of the loss in-batch")
        }
        negative = section.string("negative")
        scale = section.number("scale", in: 1e-3...1e4) ?? 20
        margin = section.number("margin", in: 0...1e4) ?? 5
        widths = section.integers("widths", in: 1...1 << 20) ?? []
        range = range(section)
        if similarity == .teacher {
            if section.has("pair") || negative != nil {
                section.reject("\(section.name("loss")) teacher reads single texts, without pair or negative")
            }
            pair = nil
        }
        if similarity == .triplet && negative == nil {
            section.reject("\(section.name("loss")) triplet needs \(section.name("negative")), a field")
        }
    }

    private func range(_ section: RecipeReader) -> ClosedRange<Double>? {
        guard let ends = section.numbers("range", count: 2, in: -1e12...1e12) else { return nil }
        guard ends[0] < ends[1] else {
            section.reject("\(section.name("range")) should rise")
            return nil
        }
        return ends[0]...ends[1]
    }
}
