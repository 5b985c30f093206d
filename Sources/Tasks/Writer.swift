package import MartletGeneration
import MartletLayers
package import MartletModels
package import MartletTensors
import MartletTokenizers

/// An encoder-decoder that writes one text about another: translations, summaries.
///
/// How it searches, and what stands before the text, is what the model's files say, unless told otherwise.
public struct Writer: Sendable {
    /// The kind of text that is written.
    public enum Task: String, Sendable { case translation, summarization }

    /// A text that was written, with its score: the sum of log-probabilities over length^penalty.
    public struct Written: Sendable, Equatable {
        /// The text.
        public let text: String
        /// The sum of log-probabilities over length^penalty.
        public let score: Float
        /// The log-probability of each token that was written, its end included.
        public let logProbabilities: [Float]
        /// The tokens that were written, the end included.
        package let tokens: [Int32]
    }

    /// The settings of the search and of the texts' frame.
    public var settings: WriterSettings
    private let model: EncoderDecoder
    private let vocabulary: any WriterVocabulary
    private let device: Device
    /// The number of texts that are searched for in one pass.
    private static let textsPerPass = 16

    /// - Throws: what loading throws, and ``TaskError`` for a model that is no encoder-decoder, or whose files do not
    ///   name a start token.
    ///
    /// - Parameter languages: from which and into which one is translated, where the model has several.
    package init(
        _ file: ModelFile, _ vocabulary: any WriterVocabulary, task: Task?, _ languages: Languages = Languages(),
        on device: Device
    ) throws {
        guard file.architecture.writes, case .encoderDecoder(let model) = try file.model(on: device) else {
            throw TaskError("\(file.path): this task needs an encoder-decoder, such as T5; this is \(file.modelType)")
        }
        try self.init(file, model, vocabulary, task: task, languages, on: device)
    }

    /// A writer on a model that is loaded.
    package init(
        _ file: ModelFile, _ model: EncoderDecoder, _ vocabulary: any WriterVocabulary, task: Task?,
        _ languages: Languages, on device: Device
    ) throws {
        (self.model, self.vocabulary, self.device) = (model, vocabulary, device)
        if file.modelType.utf8.elementsEqual("ctranslate2".utf8) {
            settings = try WriterSettings(ctranslate2: vocabulary, path: file.path)
        } else {
            settings = try WriterSettings(directory: file.path, config: file.writingConfig(), task: task)
        }
        if model.architecture.context == nil {
            settings.search.maximumTokens = min(settings.search.maximumTokens, WriterSettings.longestWithoutContext)
        }
        try settings.choose(languages, file, vocabulary)
    }

    /// Writes the best texts about each text.
    ///
    /// - Throws: ``TaskError`` for a text longer than the model reads, ``GenerationError``, ``TokenizerError``.
    public func write(_ texts: [String]) throws -> [[Written]] {
        let sources = try sources(texts)
        let search = try BeamSearch(settings.search, vocabulary: model.targetVocabulary)
        var found: [[BeamSearch.Hypothesis]] = []
        for first in stride(from: 0, to: sources.count, by: Writer.textsPerPass) {
            let part = Array(sources[first..<min(first + Writer.textsPerPass, sources.count)])
            found += try search.run(
                part.map { _ in [settings.startToken] }, sources: part,
                on: Continuation(model, sources: part, on: device))
        }
        return try written(found, about: texts)
    }

    /// The tokens of the texts that something is written about: of all that are not blank.
    package func sources(_ texts: [String]) throws -> [[Int32]] {
        try texts.filter { !Writer.isBlank($0) }.map { try source($0) }
    }

    /// The texts found for each of ``sources(_:)``; nothing is written about nothing.
    package func written(_ found: [[BeamSearch.Hypothesis]], about texts: [String]) throws -> [[Written]] {
        var next = 0
        return try texts.map { text in
            guard !Writer.isBlank(text) else { return [Written(text: "", score: 0, logProbabilities: [], tokens: [])] }
            next += 1
            return try found[next - 1].map {
                Written(
                    text: try vocabulary.text(of: $0.tokens), score: $0.score, logProbabilities: $0.logProbabilities,
                    tokens: $0.tokens)
            }
        }
    }

    private static func isBlank(_ text: String) -> Bool {
        text.utf8.allSatisfy { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: "\r") }
    }

    private func source(_ text: String) throws -> [Int32] {
        let text = settings.prefix + text
        let tokens =
            if let frame = settings.frame {
                frame.before + (try vocabulary.read(text, addSpecialTokens: false)) + frame.after
            } else {
                try vocabulary.read(text, addSpecialTokens: true)
            }
        guard !tokens.isEmpty else { throw TaskError("a text without a token: \"\(text)\"") }
        if let context = model.architecture.sourceContext ?? model.architecture.context, tokens.count > context {
            throw TaskError("the text has \(tokens.count) tokens, but the model reads \(context); shorten it")
        }
        if let wrong = tokens.first(where: { $0 < 0 || $0 >= model.architecture.vocabulary }) {
            throw TaskError(
                "the tokenizer gives token \(wrong), but the model's vocabulary has \(model.architecture.vocabulary)")
        }
        return tokens
    }
}
