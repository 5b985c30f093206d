import MartletJSON
import MartletLayers
package import MartletModels
package import MartletTensors
package import MartletTokenizers

/// A reranker, a model that reads a query and a document at once and scores how well one answers the other: a
/// cross-encoder.
///
/// Source: sentence-transformers' `CrossEncoder`. Scores are the head's number under the function that config.json
/// names for this use: none, or σ, which also holds where it names none.
public struct Reranker: Sendable {
    private let model: TextEncoder
    private let isLogistic: Bool

    /// A document of a list, and its score.
    public struct Ranked: Sendable, Equatable {
        /// The place of the document among those that were given.
        public let index: Int
        /// The score of the document for the query.
        public let score: Float
    }

    /// - Throws: what loading throws, and ``TaskError`` for a model whose head gives no single number.
    package init(_ file: ModelFile, _ tokenizer: Tokenizer, on device: Device) throws {
        guard case .sequence(_, let labels, _) = file.architecture.head, labels == 1 else {
            throw TaskError(
                "\(file.path): this model does not score pairs of texts: that takes …ForSequenceClassification with one label"
            )
        }
        model = try TextEncoder(file, tokenizer, on: device)
        let name =
            model.config["sentence_transformers"]?["activation_fn"]?.stringValue
            ?? model.config["sbert_ce_default_activation_function"]?.stringValue ?? "Sigmoid"
        switch name.split(separator: ".").last.map(String.init) {
        case "Identity": isLogistic = false
        case "Sigmoid": isLogistic = true
        default: throw TaskError("\(file.path): the function \(name) of a cross-encoder's scores is not known here")
        }
    }

    /// The scores of pairs of texts, in order.
    public func scores(_ pairs: [(query: String, document: String)]) throws -> [Float] {
        let encodings = try pairs.map { try model.encoding($0.query, pair: $0.document) }
        return try model.run(
            TextTask(model.texts(encodings)) { _, read in
                let logit = read.outputs["logits"]?.values.first ?? 0
                return isLogistic ? logistic(logit) : logit
            })
    }

    /// The documents, the best answer first; among equals, as they were given.
    public func rank(_ documents: [String], for query: String) throws -> [Ranked] {
        Reranker.ranked(try scores(documents.map { (query, $0) }))
    }

    /// The places of scores, the best first; among equals, as they were given.
    static func ranked(_ scores: [Float]) -> [Ranked] {
        scores.enumerated().map { Ranked(index: $0.offset, score: $0.element) }
            .sorted { $0.score == $1.score ? $0.index < $1.index : $0.score > $1.score }
    }
}

extension Embedder {
    /// The documents, the one whose vector is nearest to that of `query` by cosine first; among equals, as they were
    /// given.
    ///
    /// - Throws: as ``embed(_:prompt:)``.
    public func rank(_ documents: [String], for query: String) throws -> [Reranker.Ranked] {
        let vectors = try embed([query] + documents)
        return Reranker.ranked(vectors.dropFirst().map { similarity(vectors[0], $0, by: .cosine) })
    }
}
