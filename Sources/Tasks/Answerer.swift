import MartletLayers
package import MartletModels
package import MartletTensors
package import MartletTokenizers

/// A model for extractive question answering, which finds the answer to a question in a text.
///
/// A long text is read in overlapping windows. In each, the probability of a span is that of its start times that of
/// its end, and the probability that there is no answer is that of the first row for both. Spans grow to whole words,
/// and those that read the same count together: the semantics of transformers' pipeline, in its version 4.
public struct Answerer: Sendable {
    /// The settings of a search for answers.
    public struct Options: Sendable {
        /// The longest window in tokens, question and special tokens included; the model's limit when that is smaller.
        public var window = 384
        /// The overlap of neighbouring windows, in tokens.
        public var overlap = 128
        /// The longest answer in tokens.
        public var longestAnswer = 15
        /// The number of answers that are returned, best first.
        public var results = 1
        /// The treatment of "there is none": whether it competes with the others.
        public var noAnswer = NoAnswer.excluded

        /// The settings of transformers' pipeline.
        public init() {}
    }

    /// The treatment of "there is no answer": excluded, or a possible result.
    public enum NoAnswer: String, Sendable { case excluded, possible }

    /// A span of the text that answers a question.
    public struct Answer: Sendable, Equatable {
        /// The text of the answer; empty when the text holds none.
        public let text: String
        /// The probability, summed over the spans that read the same.
        public internal(set) var score: Float
        /// The start of the first such span, in Unicode scalars of the text.
        public let start: Int
        /// The end of the span: the scalar behind its last.
        public let end: Int
    }

    private let model: TextEncoder

    /// - Throws: what loading throws, and ``TaskError`` for a model without such a head.
    package init(_ file: ModelFile, _ tokenizer: Tokenizer, on device: Device) throws {
        try self.init(file, TextEncoder(file, tokenizer, on: device))
    }

    /// An answerer on a model that is loaded.
    package init(_ file: ModelFile, _ model: TextEncoder) throws {
        guard case .answers = file.architecture.head else {
            throw TaskError("\(file.path): this model has no head that finds answers (…ForQuestionAnswering)")
        }
        self.model = model
    }

    /// The best answers to each question in its text.
    public func answer(
        _ questions: [(question: String, context: String)], _ options: Options = Options()
    ) throws -> [[Answer]] {
        try model.run(task(questions, options))
    }

    /// Answering as a task for whoever runs the model.
    package func task(
        _ questions: [(question: String, context: String)], _ options: Options = Options()
    ) throws -> TextTask<Found, [[Answer]]> {
        let windows = try questions.map { try self.windows($0.question, $0.context, options) }
        let flat = windows.enumerated().flatMap { question, windows in windows.map { (question, $0) } }
        let texts = try model.texts(flat.map(\.1), globals: flat.map { Answerer.questionRows($0.1) })
        return TextTask(texts) { index, read in
            guard let starts = read.outputs["start_logits"]?.values, let ends = read.outputs["end_logits"]?.values
            else { return Found(candidates: [], none: 1) }
            return spans(flat[index].1, starts, ends, options)
        } output: { found in
            questions.indices.map { question in
                let own = zip(flat, found).filter { $0.0.0 == question }.map(\.1)
                let none = own.reduce(Float(1)) { min($0, $1.none) }
                return answers(questions[question].context, own.flatMap(\.candidates), none: none, options)
            }
        }
    }

    /// A span of tokens that may be the answer.
    fileprivate struct Candidate: Sendable {
        let start, end: Int
        let score: Float
    }

    /// The best spans of a window, and the probability that it has none.
    package struct Found: Sendable {
        fileprivate let candidates: [Candidate]
        fileprivate let none: Float
    }

    private func windows(_ question: String, _ context: String, _ options: Options) throws -> [Encoding] {
        let length = min(options.window, model.limit ?? Int.max)
        let asked = try model.tokenizer.encode(question, addSpecialTokens: false).count
        // Question and special tokens take their part; every window must move on.
        let room = length - asked - 4
        guard room > 0 else {
            throw TaskError("the question has \(asked) tokens, which leaves no room in a window of \(length)")
        }
        let first = try model.tokenizer.encoding(
            of: question, pair: context,
            truncation: Truncation(
                maximumLength: length, strategy: .onlySecond, stride: min(options.overlap, room / 2)))
        return [first] + first.overflow
    }

    /// The rows with global attention in models whose attention is local: everything before the first separator.
    private static func questionRows(_ window: Encoding) -> [Int] {
        let separator = window.isSpecial.indices.dropFirst().first { window.isSpecial[$0] } ?? 0
        return Array(0..<separator)
    }

    private func spans(
        _ window: Encoding, _ startLogits: [Float], _ endLogits: [Float], _ options: Options
    ) -> Found {
        // The first row stands for "no answer"; the rest of what is not the text takes no part.
        let rows = window.ids.indices.filter { window.sequences[$0] == 1 }
        let taking = [0] + rows
        let starts = softmax(taking.map { startLogits[$0] })
        let ends = softmax(taking.map { endLogits[$0] })
        // More than asked for: some will read the same.
        let most = 2 * options.results + 10
        var candidates: [Candidate] = []
        for (i, start) in rows.enumerated() {
            for j in i..<min(i + options.longestAnswer, rows.count) {
                let score = starts[i + 1] * ends[j + 1]
                if candidates.count >= most, let last = candidates.last, score <= last.score { continue }
                let place = candidates.firstIndex { $0.score < score } ?? candidates.count
                let (first, last) = (edge(of: start, in: window, -1), edge(of: rows[j], in: window, 1))
                let span = Candidate(start: window.offsets[first].start, end: window.offsets[last].end, score: score)
                candidates.insert(span, at: place)
                if candidates.count > most { candidates.removeLast() }
            }
        }
        return Found(candidates: candidates, none: starts[0] * ends[0])
    }

    /// The first or last row of the word that `row` is part of, as far as the window shows it.
    private func edge(of row: Int, in window: Encoding, _ step: Int) -> Int {
        guard let word = window.words[row] else { return row }
        var edge = row
        while window.words.indices.contains(edge + step), window.words[edge + step] == word,
            window.sequences[edge + step] == 1
        {
            edge += step
        }
        return edge
    }

    private func answers(_ context: String, _ found: [Candidate], none: Float, _ options: Options) -> [Answer] {
        let bytes = Array(context.utf8)
        let scalars = ScalarOffsets(context)
        var answers: [Answer] = []
        var known: [[Unicode.Scalar]: Int] = [:]
        for candidate in found {
            let text = String(decoding: bytes[candidate.start..<candidate.end], as: UTF8.self)
            let spelling = text.unicodeScalars.flatMap { Array($0.properties.lowercaseMapping.unicodeScalars) }
            if let index = known[spelling] {
                answers[index].score += candidate.score
                continue
            }
            known[spelling] = answers.count
            answers.append(
                Answer(
                    text: text, score: candidate.score, start: scalars[candidate.start], end: scalars[candidate.end]))
        }
        if options.noAnswer == .possible { answers.append(Answer(text: "", score: none, start: 0, end: 0)) }
        return Array(answers.sorted { $0.score > $1.score }.prefix(options.results))
    }
}
