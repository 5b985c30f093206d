/// Truncation of a text that is too long, as Hugging Face's tokenizers cut it.
public struct Truncation: Sendable, Equatable {
    /// The strategy for a pair of texts: which of the two gives way.
    public enum Strategy: String, Sendable {
        /// The longer text, token by token.
        case longestFirst = "LongestFirst"
        /// The first text.
        case onlyFirst = "OnlyFirst"
        /// The second text.
        case onlySecond = "OnlySecond"
    }

    /// The direction, the end of a text at which tokens go.
    public enum Direction: String, Sendable {
        /// The beginning of the text.
        case left = "Left"
        /// The end of the text.
        case right = "Right"
    }

    /// The maximum length in tokens, special ones included.
    public var maximumLength: Int
    /// The strategy for a pair of texts: which of the two gives way.
    public var strategy: Strategy
    /// The end at which tokens go.
    public var direction: Direction
    /// The overlap in tokens: how many each cut-off part repeats of the one before.
    public var stride: Int

    /// Truncation as the reference does it where nothing else is said.
    public init(
        maximumLength: Int, strategy: Strategy = .longestFirst, direction: Direction = .right, stride: Int = 0
    ) {
        (self.maximumLength, self.strategy, self.direction, self.stride) = (maximumLength, strategy, direction, stride)
    }

    /// - Parameter reserved: The tokens that the post-processor will add.
    func apply(to encodings: inout [Encoding], reserving reserved: Int) throws(TokenizerError) {
        let limit = max(0, maximumLength - reserved)
        let total = encodings.reduce(0) { $0 + $1.count }
        guard limit > 0 else {
            for index in encodings.indices { try cut(&encodings[index], to: 0) }
            return
        }
        guard total > limit else { return }
        switch strategy {
        case .longestFirst where encodings.count == 2:
            let (first, second) = Truncation.shares(encodings[0].count, encodings[1].count, limit)
            try cut(&encodings[0], to: first)
            try cut(&encodings[1], to: second)
        case .longestFirst: try cut(&encodings[0], to: limit)
        case .onlyFirst, .onlySecond:
            let index = strategy == .onlyFirst ? 0 : 1
            guard index < encodings.count else { throw .cannotTruncate(reason: "there is no second text to cut") }
            guard encodings[index].count > total - limit else {
                throw .cannotTruncate(
                    reason: "the text to cut has \(encodings[index].count) tokens, and \(total - limit) are too many")
            }
            try cut(&encodings[index], to: encodings[index].count - (total - limit))
        }
    }

    /// The lengths that two texts keep: the shorter one whole if the rest is enough for it, else half each.
    private static func shares(_ first: Int, _ second: Int, _ limit: Int) -> (Int, Int) {
        let shorter = min(first, second)
        var (few, many) = (shorter, shorter > limit ? shorter : max(shorter, limit - shorter))
        if few + many > limit { (few, many) = (limit / 2, limit / 2 + limit % 2) }
        return first > second ? (many, few) : (few, many)
    }

    private func cut(_ encoding: inout Encoding, to length: Int) throws(TokenizerError) {
        guard encoding.count > length else { return }
        guard length > 0 else {
            encoding = Encoding()
            return
        }
        guard stride < length else {
            throw .cannotTruncate(reason: "the stride of \(stride) is not less than the \(length) tokens of a part")
        }
        let step = length - stride
        var parts: [Range<Int>] = []
        switch direction {
        case .right:
            for start in Swift.stride(from: 0, to: encoding.count, by: step) {
                parts.append(start..<min(start + length, encoding.count))
                if start + length >= encoding.count { break }
            }
        case .left:
            for end in Swift.stride(from: encoding.count, to: 0, by: -step) {
                parts.append(max(0, end - length)..<end)
                if end <= length { break }
            }
        }
        var kept = encoding.part(parts[0])
        kept.overflow = parts.dropFirst().map(encoding.part)
        encoding = kept
    }
}

/// Padding, which makes texts equally long.
public struct Padding: Sendable, Equatable {
    /// The length to which texts are padded.
    public enum Length: Sendable, Equatable {
        /// The length of the longest text.
        case longest
        /// A fixed number of tokens.
        case fixed(Int)
    }

    /// The length to which texts are padded.
    public var length: Length
    /// The end at which tokens are put.
    public var direction: Truncation.Direction
    /// The multiple to which the length is rounded up; nil: it is not.
    public var multiple: Int?
    /// The id of the padding token.
    public var id: Int32
    /// The segment id of the padding token.
    public var typeID: Int32
    /// The text of the padding token.
    public var token: String

    /// Padding as the reference does it where nothing else is said.
    public init(
        length: Length = .longest, direction: Truncation.Direction = .right, multiple: Int? = nil, id: Int32 = 0,
        typeID: Int32 = 0, token: String = "[PAD]"
    ) {
        (self.length, self.direction, self.multiple) = (length, direction, multiple)
        (self.id, self.typeID, self.token) = (id, typeID, token)
    }

    /// Pads every encoding, overflow included.
    public func apply(to encodings: inout [Encoding]) {
        var target =
            switch length {
            case .fixed(let count): count
            case .longest: encodings.map(\.count).max() ?? 0
            }
        if let multiple, multiple > 0, target % multiple > 0 { target += multiple - target % multiple }
        for index in encodings.indices { pad(&encodings[index], to: target) }
    }

    private func pad(_ encoding: inout Encoding, to target: Int) {
        for part in encoding.overflow.indices { pad(&encoding.overflow[part], to: target) }
        guard encoding.count < target else { return }
        var filling = Encoding()
        for _ in encoding.count..<target { filling.appendSpecial(id, typeID: typeID, isAttended: false) }
        let overflow = encoding.overflow
        if direction == .right {
            encoding.append(filling)
        } else {
            filling.append(encoding)
            encoding = filling
        }
        encoding.overflow = overflow
    }
}
