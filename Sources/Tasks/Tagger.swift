import MartletLayers
package import MartletModels
package import MartletTensors
package import MartletTokenizers

/// A token classifier, which tags named spans of a text: people, places, parts of speech, whatever the model was
/// trained to tag.
///
/// A text longer than the model's input is read in overlapping windows; each token's tag is taken from the window where
/// it stands farthest from an edge.
public struct Tagger: Sendable {
    /// The aggregation of tokens' tags to spans, as transformers' pipeline names it.
    public enum Aggregation: String, Sendable, CaseIterable {
        /// No aggregation: every token is a span of its own, and keeps `B-` and `I-`.
        case none
        /// Neighbouring tokens of one kind are joined.
        case simple
        /// A word takes its first token's tag; then neighbouring words of one kind are joined.
        case first
        /// A word takes the tag that is the most probable on the mean of its tokens; then neighbouring words of one
        /// kind are joined.
        case average
        /// A word takes the tag of its token that is the surest; then neighbouring words of one kind are joined.
        case max
    }

    /// A named span of a text.
    public struct Span: Sendable, Equatable {
        /// The tag without `B-` and `I-`, where tokens are joined.
        public let label: String
        /// The mean of its tokens' (or words') probabilities.
        public let score: Float
        /// The text of the span.
        public let text: String
        /// The start of the span, in Unicode scalars of the text.
        public let start: Int
        /// The end of the span: the scalar behind its last.
        public let end: Int
    }

    /// The names of the tags, in the order of the head.
    public let labels: [String]
    private let model: TextEncoder

    /// - Throws: what loading throws, and ``TaskError`` for a model without such a head.
    package init(_ file: ModelFile, _ tokenizer: Tokenizer, on device: Device) throws {
        try self.init(file, TextEncoder(file, tokenizer, on: device))
    }

    /// A tagger on a model that is loaded.
    package init(_ file: ModelFile, _ model: TextEncoder) throws {
        guard case .rows(_, let count) = file.architecture.head, count > 1 else {
            throw TaskError("\(file.path): this model has no head that tags tokens (…ForTokenClassification)")
        }
        self.model = model
        labels = model.labels(count)
    }

    /// The label scores of a token, and its bytes in the text.
    package struct Token: Sendable {
        let scores: [Float]
        let offsets: Encoding.Offsets
        let word: Int32?
    }

    /// A token or a word with its tag.
    private struct Tag {
        let label: Int
        let score: Float
        let offsets: Encoding.Offsets
    }

    /// The number, in the whole text, of a window's token: several may begin at one byte.
    fileprivate struct Place: Hashable {
        let start: Int
        let repetition: Int
    }

    /// A token of a window: which one of the text, and how far it stands from the window's edge.
    package struct Placed: Sendable {
        fileprivate let token: Token
        fileprivate let place: Place
        fileprivate let distance: Int
    }

    /// The spans of each text, in order; what is tagged `O` is left out.
    public func tag(_ texts: [String], _ aggregation: Aggregation = .first) throws -> [[Span]] {
        try model.run(task(texts, aggregation))
    }

    /// Tagging as a task for whoever runs the model.
    package func task(
        _ texts: [String], _ aggregation: Aggregation = .first
    ) throws -> TextTask<[Placed], [[Span]]> {
        try task(texts) { found in zip(texts, found).map { spans($0, $1, aggregation) } }
    }

    /// The first byte of a token that is no space: byte-level vocabularies spell the space in front of a word with the
    /// word.
    package static func start(of token: Encoding.Offsets, behindSpaces text: [UInt8]) -> Int {
        (token.start..<max(token.start, token.end)).first { $0 < text.count && text[$0] != UInt8(ascii: " ") }
            ?? token.start
    }

    /// The tags of texts that are words already, one per word: that of the token in which it begins, `O` where no token
    /// does.
    public func tags(ofWords texts: [[String]]) throws -> [[String]] {
        let joined = texts.map { $0.joined(separator: " ") }
        let found = try model.run(task(joined) { $0 })
        return zip(zip(texts, joined), found).map { pair, tokens in
            let (words, text) = (pair.0, Array(pair.1.utf8))
            let starts = tokens.map { Tagger.start(of: $0.offsets, behindSpaces: text) }
            var (start, next) = (0, 0)
            return words.map { word in
                let end = start + word.utf8.count
                defer { start = end + 1 }
                while next < tokens.count && starts[next] < start { next += 1 }
                guard next < tokens.count, starts[next] < end else { return "O" }
                let scores = tokens[next].scores
                return labels[scores.indices.reduce(0) { scores[$1] > scores[$0] ? $1 : $0 }]
            }
        }
    }

    /// A task whose answer is made of what the model says of each token of each text, in their order.
    private func task<Output: Sendable>(
        _ texts: [String], _ output: @escaping @Sendable ([[Token]]) throws -> Output
    ) throws -> TextTask<[Placed], Output> {
        let flat = try texts.enumerated().flatMap { text, string in try windows(string).map { (text, $0) } }
        let count = texts.count
        return TextTask(try model.texts(flat.map(\.1))) { index, read in
            placed(flat[index].1, read.outputs["logits"]?.values ?? [])
        } output: { windows in
            var found = [[Place: Placed]](repeating: [:], count: count)
            for (window, tokens) in zip(flat, windows) {
                for token in tokens where found[window.0][token.place].map({ $0.distance < token.distance }) ?? true {
                    found[window.0][token.place] = token
                }
            }
            return try output(
                found.map { found in
                    found.values.sorted {
                        ($0.place.start, $0.place.repetition) < ($1.place.start, $1.place.repetition)
                    }.map(\.token)
                })
        }
    }

    /// The label scores of a window's tokens.
    private func placed(_ window: Encoding, _ logits: [Float]) -> [Placed] {
        var repetitions: [Int: Int] = [:]
        var tokens: [Placed] = []
        for row in 0..<window.count where !window.isSpecial[row] {
            let offsets = window.offsets[row]
            let place = Place(start: offsets.start, repetition: repetitions[offsets.start, default: 0])
            repetitions[offsets.start, default: 0] += 1
            let scores = softmax(Array(logits[row * labels.count..<(row + 1) * labels.count]))
            tokens.append(
                Placed(
                    token: Token(scores: scores, offsets: offsets, word: window.words[row]), place: place,
                    distance: min(row, window.count - 1 - row)))
        }
        return tokens
    }

    private func windows(_ text: String) throws -> [Encoding] {
        guard let limit = model.limit else { return [try model.tokenizer.encoding(of: text)] }
        let truncation = Truncation(maximumLength: limit, stride: limit / 4)
        let first = try model.tokenizer.encoding(of: text, truncation: truncation)
        return [first] + first.overflow
    }

    private func spans(_ text: String, _ tokens: [Token], _ aggregation: Aggregation) -> [Span] {
        let bytes = Array(text.utf8)
        let isWordwise = aggregation != .none && aggregation != .simple
        let parts = isWordwise ? words(tokens, bytes) : tokens.map { [$0] }
        let groups = grouped(parts.map { tag($0, aggregation) }, aggregation)
        let scalars = ScalarOffsets(text)
        return groups.filter { !$0.label.utf8.elementsEqual("O".utf8) }.map { label, tags in
            let (start, end) = (tags[0].offsets.start, tags[tags.count - 1].offsets.end)
            return Span(
                label: label, score: tags.reduce(0) { $0 + $1.score } / Float(tags.count),
                text: String(decoding: bytes[start..<end], as: UTF8.self), start: scalars[start], end: scalars[end])
        }
    }

    /// Neighbours of one kind together; one that is tagged `B-` begins anew.
    private func grouped(_ tags: [Tag], _ aggregation: Aggregation) -> [(label: String, tags: [Tag])] {
        if aggregation == .none { return tags.map { (labels[$0.label], [$0]) } }
        var groups: [(label: String, tags: [Tag])] = []
        for tag in tags {
            let name = labels[tag.label]
            let isFirst = name.utf8.starts(with: "B-".utf8)
            let kind = isFirst || name.utf8.starts(with: "I-".utf8) ? String(name.dropFirst(2)) : name
            if !isFirst, let last = groups.last, last.label.utf8.elementsEqual(kind.utf8) {
                groups[groups.count - 1].tags.append(tag)
            } else {
                groups.append((kind, [tag]))
            }
        }
        return groups
    }

    /// The tag of a word's tokens.
    private func tag(_ tokens: [Token], _ aggregation: Aggregation) -> Tag {
        func best(_ scores: [Float]) -> Int { scores.indices.reduce(0) { scores[$1] > scores[$0] ? $1 : $0 } }
        func surest(_ token: Token) -> Float { token.scores.max() ?? 0 }
        let scores: [Float] =
            switch aggregation {
            case .none, .simple, .first: tokens[0].scores
            case .max: tokens.reduce(tokens[0]) { surest($1) > surest($0) ? $1 : $0 }.scores
            case .average:
                labels.indices.map { label in tokens.reduce(0) { $0 + $1.scores[label] } / Float(tokens.count) }
            }
        let label = best(scores)
        return Tag(
            label: label, score: scores[label],
            offsets: .init(tokens[0].offsets.start, tokens[tokens.count - 1].offsets.end))
    }

    /// Tokens of one word together: by the pre-tokenizer where tokens are spelled as parts of words (##ing), else what
    /// no space parts.
    private func words(_ tokens: [Token], _ bytes: [UInt8]) -> [[Token]] {
        let space = UInt8(ascii: " ")
        var words: [[Token]] = []
        for token in tokens {
            let start = token.offsets.start
            let continues =
                if model.tokenizer.marksContinuations {
                    token.word != nil && token.word == words.last?.last?.word
                } else {
                    start > 0 && bytes[start - 1] != space && (start == bytes.count || bytes[start] != space)
                }
            if continues, !words.isEmpty {
                words[words.count - 1].append(token)
            } else {
                words.append([token])
            }
        }
        return words
    }
}
