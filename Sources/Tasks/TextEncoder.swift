// MartletTasks: text in, answers out: embed, classify, tag, answer, fill, translate, summarize. Knows no command line
// and no server.

import MartletFormats
package import MartletJSON
public import MartletLayers
package import MartletModels
public import MartletTensors
public import MartletTokenizers
import Synchronization

/// An encoder with its tokenizer: a model that reads, what every task that does not write runs on.
///
/// Texts are computed together without padding, in passes of a bounded number of rows; a text's numbers do not depend
/// on the others.
public struct TextEncoder: Sendable {
    /// The description of the model.
    public let architecture: Architecture
    /// The tokenizer that came with the model.
    public let tokenizer: Tokenizer
    /// The device on which the model computes.
    public let device: Device
    /// The maximum number of tokens of one pass, unless a single text has more.
    private static let rowsPerPass = 4_096

    private let model: Model
    private let cuts = CutCounter()
    /// The model's config.json.
    package let config: JSONObject

    /// - Throws: ``TaskError`` for a model that writes with two stacks, and what loading throws.
    package init(_ file: ModelFile, _ tokenizer: Tokenizer, on device: Device) throws {
        try self.init(file, file.model(on: device), tokenizer, on: device)
    }

    /// An encoder on a model that is loaded.
    package init(_ file: ModelFile, _ model: Model, _ tokenizer: Tokenizer, on device: Device) throws {
        architecture = file.architecture
        if case .encoderDecoder = architecture.body, architecture.writes {
            throw TaskError(
                "\(file.path): this task needs a model that reads, such as BERT; \(file.modelType) writes here")
        }
        config = file.settings
        (self.model, self.tokenizer, self.device) = (model, tokenizer, device)
    }

    /// The longest input in tokens, special ones included; nil when nothing limits it.
    public var limit: Int? { architecture.context }

    /// The number of texts that were longer than the limit, and cut.
    public var cutTexts: Int { cuts.count }

    /// Reads the texts of a task in passes of this thread's own, and makes of them what the task makes.
    ///
    /// - Throws: what the task throws.
    package func run<Part, Output>(_ task: TextTask<Part, Output>) throws -> Output {
        var parts: [Part] = []
        while parts.count < task.texts.count {
            let first = parts.count
            var (end, rowCount) = (first, 0)
            while end < task.texts.count,
                end == first || rowCount + task.texts[end].tokens.count <= TextEncoder.rowsPerPass
            {
                rowCount += task.texts[end].tokens.count
                end += 1
            }
            for result in model.read(Array(task.texts[first..<end]), on: device) {
                parts.append(try task.part(parts.count, result))
            }
        }
        return try task.output(parts)
    }

    /// The encodings as texts that the model reads.
    ///
    /// - Parameter globals: for each encoding the positions that see all, where the model has such.
    /// - Throws: ``TaskError`` for a token or a segment that the model has no row for.
    func texts(_ encodings: [Encoding], globals: [[Int]]? = nil) throws(TaskError) -> [WholeText] {
        for encoding in encodings { try check(encoding) }
        let hasSegments = architecture.embedding.segments > 1
        return encodings.enumerated().map { index, encoding in
            WholeText(
                encoding.ids, segments: hasSegments ? encoding.typeIDs : nil, globals: globals.map { $0[index] })
        }
    }

    /// Tokenizers come in files of their own, which need not fit the model.
    private func check(_ encoding: Encoding) throws(TaskError) {
        let (vocabulary, segments) = (architecture.vocabulary, architecture.embedding.segments)
        if let wrong = encoding.ids.first(where: { $0 < 0 || $0 >= vocabulary }) {
            throw TaskError(
                "the tokenizer gives token \(wrong) (its vocabulary has \(tokenizer.vocabularySize)), but the model has \(vocabulary) rows; take the tokenizer that belongs to the model"
            )
        }
        if segments > 1, let wrong = encoding.typeIDs.first(where: { $0 < 0 || $0 >= segments }) {
            throw TaskError(
                "the tokenizer gives segment \(wrong), but the model has \(segments); take the tokenizer that belongs to the model"
            )
        }
    }

    /// The tokens of a text, or of two, cut to the longest input.
    package func encoding(_ text: String, pair: String? = nil, limit: Int? = nil) throws -> Encoding {
        let most = [limit, self.limit].compactMap { $0 }.min()
        let encoding = try tokenizer.encoding(
            of: text, pair: pair, truncation: most.map { Truncation(maximumLength: $0) })
        if !encoding.overflow.isEmpty { cuts.add() }
        guard encoding.count > 0 else { throw TaskError("a text without a token: \"\(text)\"") }
        return encoding
    }

    /// The tokens of a text that holds its own special ones, uncut.
    func framedEncoding(_ text: String) throws(TokenizerError) -> Encoding {
        try tokenizer.encoding(of: text, addSpecialTokens: false)
    }

    /// Counts a text that a task has cut itself.
    func countCut() { cuts.add() }

    /// The names of the head's classes, as config.json has them.
    package func labels(_ count: Int) -> [String] {
        let names = config["id2label"]?.objectValue
        return (0..<count).map { names?["\($0)"]?.stringValue ?? "LABEL_\($0)" }
    }
}

/// A counter of the texts that were cut, for all copies of an encoder.
private final class CutCounter: Sendable {
    private let texts = Atomic<Int>(0)

    var count: Int { texts.load(ordering: .relaxed) }
    func add() { texts.add(1, ordering: .relaxed) }
}
