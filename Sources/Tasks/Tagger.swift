import MartletLayers
package import MartletModels
package import MartletTensors
package import MartletTokenizers

/// Named spans of a text: people, places, parts of speech, whatever the model was trained to tag.
///
/// A text longer than the model's input is read in overlapping windows; each token's tag is taken from the window where it stands
/// farthest from an edge.
public struct Tagger: Sendable {
    /// How tokens' tags become spans.
    public enum Aggregation: String, Sendable, CaseIterable {
        /// A word takes its first token's tag, then neighbouring words of one kind are joined.
        case words
        /// Neighbouring tokens of one kind are joined: transformers' "simple".
        case tokens
    }

    public struct Span: Sendable, Equatable {
        /// The tag without `B-` and `I-`.
        public let label: String
        /// The mean of its tokens' (or words') probabilities.
        public let score: Float
        public let text: String
        /// Where it lies, in Unicode scalars of the text.
        public let start: Int
        public let end: Int
    }

    public let labels: [String]
    private let model: TextEncoder

    /// - Throws: what loading throws, and ``TaskError`` for a model without such a head.
    package init(_ file: ModelFile, _ tokenizer: Tokenizer, on device: Device) throws {
        guard case .rows(_, let count) = file.architecture.head, count > 1 else {
            throw TaskError("\(file.path): this model has no head that tags tokens (…ForTokenClassification)")
        }
        model = try TextEncoder(file, tokenizer, on: device)
        labels = model.labels(count)
    }

    /// A token's tag, and where the token lies in bytes.
    private struct Tag {
        let label: Int
        let score: Float
        let offsets: Encoding.Offsets
        let word: Int32?
    }

    /// The spans of each text, in order; what is tagged `O` is left out.
    public func tag(_ texts: [String], _ aggregation: Aggregation = .words) throws -> [[Span]] {
        let whole = try texts.map { try windows($0) }
        var tags = whole.map { windows in [Int: (Tag, distance: Int)](minimumCapacity: windows.first?.count ?? 0) }
        let flat = whole.enumerated().flatMap { text, windows in windows.map { (text, $0) } }
        model.run(flat.map(\.1)) { index, result in
            let (text, encoding) = flat[index]
            let values = result.outputs["logits"]?.values ?? []
            for row in 0..<encoding.count where !encoding.isSpecial[row] {
                let scores = softmax(Array(values[row * labels.count..<(row + 1) * labels.count]))
                let best = scores.indices.max { scores[$0] < scores[$1] } ?? 0
                let tag = Tag(
                    label: best, score: scores[best], offsets: encoding.offsets[row], word: encoding.words[row])
                let distance = min(row, encoding.count - 1 - row)
                if let known = tags[text][encoding.offsets[row].start], known.distance >= distance { continue }
                tags[text][encoding.offsets[row].start] = (tag, distance)
            }
        }
        return zip(texts, tags).map { text, tags in
            spans(text, tags.sorted { $0.key < $1.key }.map(\.value.0), aggregation)
        }
    }

    private func windows(_ text: String) throws -> [Encoding] {
        guard let limit = model.limit else { return [try model.tokenizer.encoding(of: text)] }
        let truncation = Truncation(maximumLength: limit, stride: limit / 4)
        let first = try model.tokenizer.encoding(of: text, truncation: truncation)
        return [first] + first.overflow
    }

    private func spans(_ text: String, _ tokens: [Tag], _ aggregation: Aggregation) -> [Span] {
        var groups: [(label: String, tags: [Tag])] = []
        for tag in aggregation == .words ? words(tokens) : tokens {
            let name = labels[tag.label]
            let isFirst = name.hasPrefix("B-")
            let kind = isFirst || name.hasPrefix("I-") ? String(name.dropFirst(2)) : name
            if !isFirst, let last = groups.last, last.label.utf8.elementsEqual(kind.utf8) {
                groups[groups.count - 1].tags.append(tag)
            } else {
                groups.append((kind, [tag]))
            }
        }
        let scalars = ScalarOffsets(text)
        return groups.filter { !$0.label.utf8.elementsEqual("O".utf8) }.map { label, tags in
            let start = tags[0].offsets.start
            let end = tags[tags.count - 1].offsets.end
            return Span(
                label: label, score: tags.reduce(0) { $0 + $1.score } / Float(tags.count),
                text: String(decoding: Array(text.utf8)[start..<end], as: UTF8.self), start: scalars[start],
                end: scalars[end])
        }
    }

    /// One tag per word: its first token's, over the whole of it.
    private func words(_ tokens: [Tag]) -> [Tag] {
        var words: [Tag] = []
        for tag in tokens {
            guard let last = words.last, let word = tag.word, last.word == word else {
                words.append(tag)
                continue
            }
            words[words.count - 1] = Tag(
                label: last.label, score: last.score, offsets: .init(last.offsets.start, tag.offsets.end), word: word)
        }
        return words
    }
}

/// From UTF-8 bytes of a text to its Unicode scalars.
struct ScalarOffsets {
    private var counts: [Int] = []

    init(_ text: String) {
        var count = 0
        for byte in text.utf8 {
            counts.append(count)
            if byte & 0xC0 != 0x80 { count += 1 }
        }
        counts.append(count)
    }

    /// How many scalars begin before byte `offset`.
    subscript(offset: Int) -> Int { counts[min(max(offset, 0), counts.count - 1)] }
}
