import MartletJSON
import MartletLayers
package import MartletModels
package import MartletTensors
package import MartletTokenizers

/// A reranker, which scores how well documents answer a query: by a model that reads both at once, a cross-encoder, or
/// by the vectors of an encoder of sentences.
///
/// Source: sentence-transformers' `CrossEncoder`. Scores are the head's number under the function that config.json
/// names for this use: none, or σ, which also holds where it names none; of vectors, their similarity.
public struct Reranker: Sendable {
    private let reader: Reader

    /// The way to score a document: with the query in one text, or by the similarity of two vectors.
    private enum Reader: Sendable {
        case pairs(TextEncoder, isLogistic: Bool, limit: Int?)
        /// A decoder that is asked in the words of a template, and answers yes or no.
        case answers(TemplateRanker)
        case vectors(Embedder)
    }

    /// A document of a list, and its score.
    public struct Ranked: Sendable, Equatable {
        /// The place of the document among those that were given.
        public let index: Int
        /// The score of the document for the query.
        public let score: Float
    }

    /// - Throws: what loading throws, and ``TaskError`` for a classifier of more than one label.
    package init(_ file: ModelFile, _ tokenizer: Tokenizer, on device: Device) throws {
        guard case .sequence(_, let labels, _) = file.architecture.head else {
            reader = .vectors(try Embedder(file, tokenizer, on: device))
            return
        }
        let model = try TextEncoder(file, tokenizer, on: device)
        if let ranker = try TemplateRanker(file, model) {
            reader = .answers(ranker)
            return
        }
        guard labels == 1 else {
            throw TaskError(
                "\(file.path): this model does not score pairs of texts: that takes …ForSequenceClassification with one "
                    + "label, a GGUF with two and a template for ranking, or an encoder of sentences")
        }
        let limit = try SentenceModules.tokenizerLimit(file.path)
        let name =
            model.config["sentence_transformers"]?["activation_fn"]?.stringValue
            ?? model.config["sbert_ce_default_activation_function"]?.stringValue ?? "Sigmoid"
        switch name.split(separator: ".").last.map(String.init) {
        case "Identity": reader = .pairs(model, isLogistic: false, limit: limit)
        case "Sigmoid": reader = .pairs(model, isLogistic: true, limit: limit)
        default: throw TaskError("\(file.path): the function \(name) of a cross-encoder's scores is not known here")
        }
    }

    /// The scores of pairs of texts, in order.
    public func scores(_ pairs: [(query: String, document: String)]) throws -> [Float] {
        switch reader {
        case .vectors(let embedder):
            // A query that is the same for all documents is read once.
            var queries: [ExactKey: [Float]] = [:]
            let vectors = try embedder.embed(pairs.map(\.document))
            return try zip(pairs, vectors).map { pair, vector in
                let key = ExactKey(pair.query)
                let query = try queries[key] ?? embedder.embed([pair.query])[0]
                queries[key] = query
                return embedder.similarity(query, vector)
            }
        case .answers(let ranker): return try ranker.scores(pairs)
        case .pairs(let model, let isLogistic, let limit):
            let encodings = try pairs.map { try model.encoding($0.query, pair: $0.document, limit: limit) }
            return try model.run(
                TextTask(model.texts(encodings)) { _, read in
                    let logit = read.outputs["logits"]?.values.first ?? 0
                    return isLogistic ? logistic(logit) : logit
                })
        }
    }

    /// The documents, the best answer first; among equals, as they were given.
    public func rank(_ documents: [String], for query: String) throws -> [Ranked] {
        try scores(documents.map { (query, $0) }).enumerated().map { Ranked(index: $0.offset, score: $0.element) }
            .sorted { $0.score == $1.score ? $0.index < $1.index : $0.score > $1.score }
    }
}
