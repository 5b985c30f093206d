import MartletJSON
import MartletLayers
package import MartletModels
package import MartletTensors
package import MartletTokenizers

/// A text classifier: classes of a whole text, or a number that it is given (regression).
public struct Classifier: Sendable {
    /// The kind of classification, which says what the head's logits mean.
    public enum Kind: String, Sendable {
        /// Single-label classification, one class of several: softmax gives probabilities that sum to 1.
        case singleLabel
        /// Multi-label classification, any number of classes: the logistic function gives a probability for each.
        case multiLabel
        /// Regression: the logits themselves.
        case regression
    }

    /// A class and its probability; in a regression, a number.
    public struct Score: Sendable, Equatable {
        /// The name of the class, as config.json has it.
        public let label: String
        /// The probability; in a regression, the number.
        public let score: Float
    }

    /// The kind of classification, which says what the head's logits mean.
    public let kind: Kind
    /// The names of the classes, in the order of the head.
    public let labels: [String]
    /// The way that the model ranks texts by a template of its file; nil where it has none.
    package let ranker: TemplateRanker?
    private let model: TextEncoder

    /// - Throws: what loading throws, and ``TaskError`` for a model without such a head.
    package init(_ file: ModelFile, _ tokenizer: Tokenizer, on device: Device) throws {
        try self.init(file, TextEncoder(file, tokenizer, on: device))
    }

    /// A classifier on a model that is loaded.
    package init(_ file: ModelFile, _ model: TextEncoder) throws {
        guard case .sequence(_, let count, _) = file.architecture.head else {
            throw TaskError("\(file.path): this model has no head that classifies texts (…ForSequenceClassification)")
        }
        self.model = model
        labels = model.labels(count)
        ranker = try TemplateRanker(file, model)
        kind =
            switch model.config["problem_type"]?.stringValue {
            case "regression": .regression
            case "multi_label_classification": .multiLabel
            default: count == 1 ? .multiLabel : .singleLabel
            }
    }

    /// The longest input in tokens; nil: all are read.
    package var limit: Int? { model.limit }

    /// The number of texts that were longer, and cut.
    package var cutTexts: Int { model.cutTexts }

    /// The classes of each text, or pair of texts, the most probable first (a regression's in their own order).
    public func classify(_ texts: [(text: String, pair: String?)]) throws -> [[Score]] {
        try model.run(task(texts))
    }

    /// Classifying as a task for whoever runs the model.
    package func task(_ texts: [(text: String, pair: String?)]) throws -> TextTask<[Score], [[Score]]> {
        let encodings = try texts.map { try model.encoding($0.text, pair: $0.pair) }
        return TextTask(try model.texts(encodings)) { _, read in scores(read.outputs["logits"]?.values ?? []) }
    }

    private func scores(_ logits: [Float]) -> [Score] {
        let values =
            switch kind {
            case .singleLabel: softmax(logits)
            case .multiLabel: logits.map(logistic)
            case .regression: logits
            }
        let scores = zip(labels, values).map { Score(label: $0, score: $1) }
        return kind == .regression ? scores : scores.sorted { $0.score > $1.score }
    }
}
