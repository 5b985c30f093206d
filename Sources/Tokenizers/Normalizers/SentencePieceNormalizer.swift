/// SentencePiece's own normalization: the compiled map on the longest match, blanks trimmed and joined, the visible
/// blank.
struct SentencePieceNormalizer: Normalizer {
    let charsmap: Charsmap?
    let addsDummyPrefix: Bool
    let removesExtraBlanks: Bool
    let escapesBlanks: Bool
    /// The blank goes behind the text instead of before it.
    let blankIsSuffix: Bool
    /// Pieces given by the user, which no rule touches.
    let userDefined: ByteTrie
    /// ASCII other than the space that no rule touches where ASCII follows.
    private let isPlain: [Bool]
    private let spaceIsPlain: Bool

    init(
        charsmap: Charsmap?, addsDummyPrefix: Bool, removesExtraBlanks: Bool, escapesBlanks: Bool, blankIsSuffix: Bool,
        userDefined: ByteTrie
    ) {
        self.charsmap = charsmap
        (self.addsDummyPrefix, self.removesExtraBlanks) = (addsDummyPrefix, removesExtraBlanks)
        (self.escapesBlanks, self.blankIsSuffix, self.userDefined) = (escapesBlanks, blankIsSuffix, userDefined)
        let plain = charsmap?.plainBytes ?? (0..<256).map { $0 < 128 }
        spaceIsPlain = plain[0x20] && userDefined.step(ByteTrie.root, 0x20) < 0
        isPlain = (0..<256).map { plain[$0] && $0 != 0x20 && userDefined.step(ByteTrie.root, UInt8($0)) < 0 }
    }

    private static let sign: UInt32 = 0x2581
    private var blank: UInt32 { escapesBlanks ? SentencePieceNormalizer.sign : 0x20 }

    func normalize(_ text: inout StagedText) {
        let source = text.bytes
        let bytes = source.span
        var rewriter = Rewriter(text)
        var index = removesExtraBlanks ? endOfFirstBlanks(bytes) : 0
        guard index < bytes.count else {
            rewriter.finish(&text)
            return
        }
        if addsDummyPrefix && !blankIsSuffix { rewriter.append(blank, from: index) }
        var afterBlank = removesExtraBlanks
        while index < bytes.count {
            if let end = endOfPlain(bytes, from: index) {
                rewriter.copy(index..<end, of: bytes)
                (index, afterBlank) = (end, false)
                continue
            }
            if spaceIsPlain, bytes[index] == 0x20, index + 1 == bytes.count || bytes[index + 1] < 0x80 {
                if !afterBlank { rewriter.append(blank, from: index) }
                index += 1
                afterBlank = removesExtraBlanks
                continue
            }
            let (end, replacement) = normalizedPrefix(bytes, index)
            var at = 0
            while afterBlank, at < replacement.count, replacement[at] == 0x20 { at += 1 }
            if at < replacement.count { afterBlank = removesExtraBlanks && replacement.last == 0x20 }
            while at < replacement.count {
                let scalar = replacement.span.scalar(at: at)
                rewriter.append(scalar.value == 0x20 ? blank : scalar.value, from: index)
                at += scalar.length
            }
            index = end
        }
        rewriter.finish(&text)
        if removesExtraBlanks { dropTrailingBlanks(&text) }
        if addsDummyPrefix && blankIsSuffix { appendBlank(&text) }
        text.joinPieces()
    }

    /// The end of the blanks that a text begins with.
    private func endOfFirstBlanks(_ bytes: Span<UInt8>) -> Int {
        var index = 0
        while index < bytes.count {
            let (end, replacement) = normalizedPrefix(bytes, index)
            guard replacement.elementsEqual(CollectionOfOne(0x20)) else { break }
            index = end
        }
        return index
    }

    /// The end of the ASCII at `start` that stays as it is; nil when there is none.
    @inline(__always)
    private func endOfPlain(_ bytes: Span<UInt8>, from start: Int) -> Int? {
        var index = start
        while index < bytes.count, isPlain[Int(bytes[index])] { index += 1 }
        // The last may belong to what follows it, a mark above all.
        if index > start, index < bytes.count, bytes[index] >= 0x80 { index -= 1 }
        return index > start ? index : nil
    }

    /// The prefix of the text at `start` that is normalized in one piece, and its replacement.
    private func normalizedPrefix(_ bytes: Span<UInt8>, _ start: Int) -> (end: Int, replacement: [UInt8]) {
        var node = ByteTrie.root
        var index = start
        var end = start
        while index < bytes.count {
            node = userDefined.step(node, bytes[index])
            guard node >= 0 else { break }
            index += 1
            if userDefined.value(node) >= 0 { end = index }
        }
        if end > start { return (end, (start..<end).map { bytes[$0] }) }
        if let charsmap, let found = charsmap.longest(bytes, from: start) { return found }
        let length = bytes.scalar(at: start).length
        return (start + length, (start..<(start + length)).map { bytes[$0] })
    }

    private func dropTrailingBlanks(_ text: inout StagedText) {
        var sign: [UInt8] = []
        sign.appendScalar(blank)
        while text.bytes.suffix(sign.count).elementsEqual(sign) {
            text.bytes.removeLast(sign.count)
            if text.tracksOrigins { text.origins.removeLast(sign.count) }
        }
    }

    private func appendBlank(_ text: inout StagedText) {
        let last = text.origins.last ?? SourceRange(start: 0, end: 0)
        let count = text.bytes.count
        text.bytes.appendScalar(blank)
        if text.tracksOrigins { text.origins += repeatElement(last, count: text.bytes.count - count) }
    }
}
