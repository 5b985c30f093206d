import MartletFormats
import MartletLayers
import MartletModels
import MartletTensors
import MartletTokenizers

/// A reranker that is asked in the words of its file's template, and answers yes or no: Qwen3-Reranker.
///
/// Source: llama.cpp, which puts query and document into the template `rerank`, reads it without tokens around it, and
/// takes the first of two classes for yes.
package struct TemplateRanker: Sendable {
    private let model: TextEncoder
    private let template: String

    /// A ranker on a model that is loaded; nil for a model without two answers or without such a template.
    ///
    /// - Throws: ``FormatError`` for a template that is no text.
    init?(_ file: ModelFile, _ model: TextEncoder) throws {
        guard case .sequence(_, 2, _) = file.architecture.head, case .gguf(let gguf) = file.container,
            let template = try gguf.metadata.string("tokenizer.chat_template.rerank")
        else { return nil }
        (self.model, self.template) = (model, template)
    }

    /// The scores of pairs of texts as a task for whoever runs the model.
    ///
    /// - Throws: ``TokenizerError``, ``TaskError`` for a query that leaves no place.
    package func task(_ pairs: [(query: String, document: String)]) throws -> TextTask<Float, [Float]> {
        TextTask(try model.texts(pairs.map { try encoding($0.query, $0.document) })) { _, read in
            softmax(read.outputs["logits"]?.values ?? []).first ?? 0
        }
    }

    /// The scores of pairs of texts, in order.
    func scores(_ pairs: [(query: String, document: String)]) throws -> [Float] { try model.run(task(pairs)) }

    /// The length in tokens of an uncut question.
    package func length(_ query: String, _ document: String) throws -> Int {
        try model.framedEncoding(question(query, document)).count
    }

    /// The tokens of a question; the end of its document is cut where the model does not read so many, since the
    /// template's own end is what asks for an answer.
    private func encoding(_ query: String, _ document: String) throws -> Encoding {
        var encoding = try model.framedEncoding(question(query, document))
        guard let limit = model.limit, encoding.count > limit else {
            guard encoding.count > 0 else { throw TaskError("a question without a token: the template is empty") }
            return encoding
        }
        let ends = try model.framedEncoding(document).offsets.map(\.end)
        var kept = ends.count
        while encoding.count > limit {
            guard kept > 0 else {
                throw TaskError(
                    "the query and the template have \(encoding.count) tokens, but the model reads \(limit); shorten "
                        + "the query")
            }
            kept = max(0, kept - (encoding.count - limit))
            let end = kept > 0 ? ends[kept - 1] : 0
            encoding = try model.framedEncoding(question(query, document.prefix(bytes: end)))
        }
        model.countCut()
        return encoding
    }

    /// The template with a query and a document in their places.
    private func question(_ query: String, _ document: String) -> String {
        var (text, rest) = ([UInt8](), Array(template.utf8)[...])
        while let byte = rest.first {
            if let (name, part) = [("{query}", query), ("{document}", document)].first(where: {
                rest.starts(with: $0.0.utf8)
            }) {
                text += part.utf8
                rest = rest.dropFirst(name.utf8.count)
            } else {
                text.append(byte)
                rest = rest.dropFirst()
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}

extension String {
    /// The scalars that lie whole within the first `count` bytes.
    fileprivate func prefix(bytes count: Int) -> String {
        var bytes = Array(utf8.prefix(count + 1))
        guard bytes.count > count else { return self }
        // A scalar goes on where the byte behind the cut is a continuation: its begun bytes go too.
        while let next = bytes.popLast(), next & 0xC0 == 0x80 {}
        return String(decoding: bytes, as: UTF8.self)
    }
}
