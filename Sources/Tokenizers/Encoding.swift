/// The encoding of a text as tokens: ids, and for each where it came from. All arrays have one element per token.
public struct Encoding: Sendable, Equatable {
    /// A range of the text as given.
    public struct Offsets: Sendable, Equatable {
        /// The first byte.
        public var start: Int
        /// The byte behind the last.
        public var end: Int

        /// The range from `start` to before `end`.
        public init(_ start: Int, _ end: Int) { (self.start, self.end) = (start, end) }
    }

    /// The token ids.
    public var ids: [Int32] = []
    /// The segment ids (token type ids): which part of a pair a token belongs to, as the post-processor numbers them.
    public var typeIDs: [Int32] = []
    /// The range of each token in its text, in UTF-8 bytes; (0, 0) for a token that the post-processor added.
    public var offsets: [Offsets] = []
    /// The number of the word in its text, by the pre-tokenizer; nil for a token that the post-processor added.
    public var words: [Int32?] = []
    /// The text of a pair that each token came from, 0 or 1; nil for one that the post-processor added or padding.
    public var sequences: [Int32?] = []
    /// True for tokens that the post-processor added, and for padding.
    public var isSpecial: [Bool] = []
    /// The attention mask: false for padding.
    public var isAttended: [Bool] = []
    /// The parts that truncation cut off, each as long as the rest, with the overlap that was asked for.
    public var overflow: [Encoding] = []

    /// An encoding without tokens.
    public init() {}

    /// The number of tokens.
    public var count: Int { ids.count }

    /// The ``offsets``, counted in Unicode scalars of `text` rather than in bytes.
    ///
    /// - Parameters:
    ///   - text: The text, or the pair's text that `sequence` names.
    ///   - sequence: 0 for the first text, 1 for the second.
    public func scalarOffsets(in text: String, sequence: Int32 = 0) -> [Offsets] {
        // Scalars that begin before each byte: running counts over the text.
        var counts: [Int] = []
        counts.reserveCapacity(text.utf8.count + 1)
        var count = 0
        for byte in text.utf8 {
            counts.append(count)
            if byte & 0xC0 != 0x80 { count += 1 }
        }
        counts.append(count)
        func scalars(_ byte: Int) -> Int { counts[min(max(byte, 0), counts.count - 1)] }
        return zip(offsets, sequences).map { offsets, from in
            from == sequence ? Offsets(scalars(offsets.start), scalars(offsets.end)) : Offsets(0, 0)
        }
    }

    /// The tokens of `range` alone, without overflow.
    func part(_ range: Range<Int>) -> Encoding {
        var part = Encoding()
        part.ids = Array(ids[range])
        part.typeIDs = Array(typeIDs[range])
        part.offsets = Array(offsets[range])
        part.words = Array(words[range])
        part.sequences = Array(sequences[range])
        part.isSpecial = Array(isSpecial[range])
        part.isAttended = Array(isAttended[range])
        return part
    }

    /// Appends the tokens of `other`; its overflow is left.
    mutating func append(_ other: Encoding) {
        ids += other.ids
        typeIDs += other.typeIDs
        offsets += other.offsets
        words += other.words
        sequences += other.sequences
        isSpecial += other.isSpecial
        isAttended += other.isAttended
    }

    /// Appends a token that stands for no text.
    mutating func appendSpecial(_ id: Int32, typeID: Int32, isAttended: Bool = true) {
        ids.append(id)
        typeIDs.append(typeID)
        offsets.append(Offsets(0, 0))
        words.append(nil)
        sequences.append(nil)
        isSpecial.append(true)
        self.isAttended.append(isAttended)
    }

    /// Gives every token the type `typeID`.
    mutating func setTypeID(_ typeID: Int32) {
        typeIDs = [Int32](repeating: typeID, count: ids.count)
    }
}
