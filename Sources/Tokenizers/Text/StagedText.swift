/// The source of a byte of staged text: a range of bytes of the text as given, always whole scalars.
struct SourceRange: BitwiseCopyable, Equatable {
    var start: Int32
    var end: Int32
}

/// A word: a range of bytes of the staged text.
struct Piece: BitwiseCopyable {
    var start: Int32
    var end: Int32

    @inline(__always) var range: Range<Int> { Int(start)..<Int(end) }
    @inline(__always)
    init(_ start: Int, _ end: Int) {
        self.start = Int32(truncatingIfNeeded: start)
        self.end = Int32(truncatingIfNeeded: end)
    }
}

/// A stretch of text between two added tokens, on its way through the normalizer and the pre-tokenizer.
struct StagedText {
    /// The text as the stages have made it so far; valid UTF-8 until a byte-level stage that feeds a byte-level model.
    var bytes: [UInt8]
    /// The source of each byte, when offsets are asked for; else empty.
    var origins: [SourceRange]
    /// The words so far, ascending, none empty. Before any split: one, the whole.
    var pieces: [Piece]
    let tracksOrigins: Bool
    /// The number of bytes from the front that stand for the very first scalar of the text as given: what begins among
    /// them begins the text.
    var startExtent: Int

    /// The `range` of `source`, whole scalars.
    init(_ source: Span<UInt8>, range: Range<Int>, tracksOrigins: Bool) {
        bytes = unsafe source.extracting(range).withUnsafeBufferPointer { unsafe Array($0) }
        pieces = range.isEmpty ? [] : [Piece(0, range.count)]
        startExtent = range.isEmpty || range.lowerBound > 0 ? 0 : source.scalar(at: 0).length
        self.tracksOrigins = tracksOrigins
        origins = []
        guard tracksOrigins else { return }
        origins.reserveCapacity(range.count)
        var index = range.lowerBound
        while index < range.upperBound {
            let length = source.scalar(at: index).length
            let origin = SourceRange(start: Int32(index), end: Int32(index + length))
            origins.append(contentsOf: repeatElement(origin, count: length))
            index += length
        }
    }

    /// Text that comes from nowhere, for normalizing a token's own content.
    init(content: [UInt8]) {
        (bytes, origins, pieces) = (content, [], content.isEmpty ? [] : [Piece(0, content.count)])
        (tracksOrigins, startExtent) = (false, content.isEmpty ? 0 : content.span.scalar(at: 0).length)
    }

    /// Makes the whole text one word again, after normalization.
    mutating func joinPieces() {
        pieces = bytes.isEmpty ? [] : [Piece(0, bytes.count)]
    }

    /// Replaces every word by those that `split` appends; empty ones are dropped.
    @inline(__always)
    mutating func resplit(_ split: (_ text: Span<UInt8>, _ piece: Piece, _ words: inout [Piece]) -> Void) {
        var words: [Piece] = []
        words.reserveCapacity(max(pieces.count, bytes.count / 4))
        let old = pieces
        let source = bytes
        let text = source.span
        for piece in old { split(text, piece, &words) }
        pieces = words
    }
}

/// A rewriter that writes the next form of a staged text while reading the present one, and keeps the origins when they
/// are tracked.
struct Rewriter {
    private(set) var bytes: [UInt8] = []
    private(set) var origins: [SourceRange] = []
    private let oldOrigins: [SourceRange]
    private let tracks: Bool
    private let oldStartExtent: Int
    private var startExtent = 0
    private var isInStart = true

    init(_ text: borrowing StagedText) {
        bytes.reserveCapacity(text.bytes.count + text.bytes.count / 4 + 16)
        oldOrigins = text.origins
        tracks = text.tracksOrigins
        oldStartExtent = text.startExtent
    }

    /// Takes notice that what was just appended stands for what is at `source` of the old text, or for nothing.
    @inline(__always)
    private mutating func extendStart(_ source: Int?) {
        guard isInStart else { return }
        if source ?? 0 < oldStartExtent { startExtent = bytes.count } else { isInStart = false }
    }

    /// Appends `scalar`, which stands for what is at byte `source` of the old text; nil: for nothing.
    @inline(__always)
    mutating func append(_ scalar: UInt32, from source: Int?) {
        let start = bytes.count
        bytes.appendScalar(scalar)
        extendStart(source)
        if tracks { appendOrigins(bytes.count - start, from: source) }
    }

    /// Appends whole `text`, which stands for what is at byte `source` of the old text.
    mutating func append(contentsOf text: [UInt8], from source: Int?) {
        bytes.append(contentsOf: text)
        extendStart(source)
        if tracks { appendOrigins(text.count, from: source) }
    }

    /// Appends one byte that need not be UTF-8.
    @inline(__always)
    mutating func append(byte: UInt8, from source: Int) {
        bytes.append(byte)
        extendStart(source)
        if tracks { appendOrigins(1, from: source) }
    }

    /// Appends a range of the old text as it is.
    @inline(__always)
    mutating func copy(_ range: Range<Int>, of text: Span<UInt8>) {
        let start = bytes.count
        unsafe text.extracting(range).withUnsafeBufferPointer { unsafe bytes.append(contentsOf: $0) }
        if isInStart, !range.isEmpty {
            startExtent = start + max(0, min(range.upperBound, oldStartExtent) - range.lowerBound)
            isInStart = range.upperBound <= oldStartExtent
        }
        if tracks { origins.append(contentsOf: oldOrigins[range]) }
    }

    private mutating func appendOrigins(_ count: Int, from source: Int?) {
        let origin: SourceRange
        if let source, source >= 0, source < oldOrigins.count {
            origin = oldOrigins[source]
        } else {
            origin = SourceRange(start: 0, end: 0)
        }
        origins.append(contentsOf: repeatElement(origin, count: count))
    }

    /// Puts the new form in the place of the old, as one word.
    consuming func finish(_ text: inout StagedText) {
        finish(&text, pieces: nil)
    }

    /// Puts the new form in the place of the old, with its words.
    consuming func finish(_ text: inout StagedText, pieces: [Piece]?) {
        text.bytes = bytes
        text.origins = origins
        text.startExtent = startExtent
        if let pieces { text.pieces = pieces } else { text.joinPieces() }
    }
}
