import MartletLayers
package import MartletModels
package import MartletTensors
package import MartletTokenizers

/// An embedding model: one vector per text.
public struct Embedder: Sendable {
    private let model: TextEncoder
    package var modules: SentenceModules

    /// The prompt before every text.
    public enum Prompt: Sendable, Hashable {
        /// The prompt that the model's files choose, where they do.
        case standard
        /// A prompt that the model's files name: "query", "passage".
        case named(String)
        /// A prompt of the caller's own.
        case text(String)
    }

    /// The similarity of two embeddings, as sentence-transformers' files name it: the greater, the nearer.
    public enum Similarity: String, Sendable, CaseIterable {
        case cosine, dot
        /// The negative distance.
        case euclidean, manhattan
    }

    /// - Throws: what loading throws, and ``TaskError`` for a model that writes with two stacks or has modules that are
    ///   not known.
    package init(_ file: ModelFile, _ tokenizer: Tokenizer, on device: Device) throws {
        try self.init(file, TextEncoder(file, tokenizer, on: device))
    }

    /// An embedder on a model that is loaded.
    package init(_ file: ModelFile, _ model: TextEncoder) throws {
        self.model = model
        modules = try SentenceModules(file)
    }

    /// The longest input in tokens; nil: all are read.
    package var limit: Int? { [modules.limit, model.limit].compactMap { $0 }.min() }

    /// The length in tokens of an uncut text, with the prompt that the model's files choose.
    package func length(of text: String) throws -> Int {
        try model.tokenizer.encoding(of: read(self.text(of: .standard) + text)).count
    }

    /// The number of texts that were longer, and cut.
    package var cutTexts: Int { model.cutTexts }

    /// The prompts that may stand before a text, by name.
    public var prompts: [String: String] { modules.prompts }

    /// The similarity that the model was made for.
    public var similarity: Similarity { modules.similarity }

    /// The embeddings of the texts, in order.
    ///
    /// - Throws: ``TokenizerError``, ``TaskError`` for a text that has no token or a prompt that the model does not
    ///   name.
    public func embed(_ texts: [String], prompt: Prompt = .standard) throws -> [[Float]] {
        try model.run(task(texts, prompt: prompt))
    }

    /// Embedding as a task for whoever runs the model.
    package func task(_ texts: [String], prompt: Prompt = .standard) throws -> TextTask<[Float], [[Float]]> {
        let prefix = try text(of: prompt)
        let encodings = try texts.map { try model.encoding(read(prefix + $0), limit: modules.limit) }
        let skipped = try prefix.isEmpty || modules.poolsPrompt ? 0 : promptRows(prefix)
        return TextTask(try model.texts(encodings)) { _, read in
            var vector = modules.poolings.flatMap { pooled(read.hidden, by: $0, from: skipped) }
            for step in modules.steps { vector = try step(vector) }
            return vector
        }
    }

    private func read(_ text: String) -> String { modules.lowercases ? text.lowercased() : text }

    private func text(of prompt: Prompt) throws -> String {
        switch prompt {
        case .standard: return modules.defaultPrompt.flatMap { modules.prompts[$0] } ?? ""
        case .text(let text): return text
        case .named(let name):
            guard let text = modules.prompts[name] else {
                let known = modules.prompts.keys.sorted().joined(separator: ", ")
                throw TaskError(
                    "the model's files name no prompt \"\(name)\"" + (known.isEmpty ? "" : ". They name \(known)"))
            }
            return text
        }
    }

    /// The number of rows that the prompt takes: those of the prompt alone, without a special token at its end.
    private func promptRows(_ prompt: String) throws -> Int {
        let encoding = try model.encoding(read(prompt), limit: modules.limit)
        return encoding.count - (encoding.isSpecial.last == true ? 1 : 0)
    }

    private func pooled(_ hidden: Tensor, by pooling: SentenceModules.Pooling, from skipped: Int) -> [Float] {
        let (rows, width) = (hidden.shape[0], hidden.shape[1])
        // A text that is no longer than the prompt has no row of its own; the last one then stands for it.
        let first = min(skipped, rows - 1)
        let values = hidden.values
        func sum(_ weight: (Int) -> Double) -> [Double] {
            var sum = [Double](repeating: 0, count: width)
            for row in first..<rows {
                for i in 0..<width { sum[i] += weight(row) * Double(values[row * width + i]) }
            }
            return sum
        }
        let count = Double(rows - first)
        switch pooling {
        case .mean: return sum { _ in 1 }.map { Float($0 / count) }
        case .meanOfRoot: return sum { _ in 1 }.map { Float($0 / count.squareRoot()) }
        case .weightedMean:
            let total = (first..<rows).reduce(0.0) { $0 + Double($1 + 1) }
            return sum { Double($0 + 1) }.map { Float($0 / total) }
        case .cls: return Array(values[first * width..<(first + 1) * width])
        case .last: return Array(values.suffix(width))
        case .max:
            return (0..<width).map { i in
                (first..<rows).reduce(-Float.infinity) { max($0, values[$1 * width + i]) }
            }
        }
    }

    /// The similarity of two embeddings by `similarity`, or as the model was made for.
    public func similarity(_ a: [Float], _ b: [Float], by similarity: Similarity? = nil) -> Float {
        precondition(a.count == b.count, "similarity: vectors of \(a.count) and \(b.count) elements")
        func sum(_ term: (Double, Double) -> Double) -> Double {
            zip(a, b).reduce(0) { $0 + term(Double($1.0), Double($1.1)) }
        }
        switch similarity ?? modules.similarity {
        case .dot: return Float(sum(*))
        case .cosine:
            let lengths = sum { x, _ in x * x }.squareRoot() * sum { _, y in y * y }.squareRoot()
            return Float(sum(*) / max(lengths, 1e-24))
        case .euclidean: return Float(-sum { ($0 - $1) * ($0 - $1) }.squareRoot())
        case .manhattan: return Float(-sum { abs($0 - $1) })
        }
    }
}
