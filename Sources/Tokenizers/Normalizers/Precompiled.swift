/// SentencePiece's compiled replacements: a double-array trie of byte strings, and the texts that they become.
///
/// The trie is untrusted: every step checks its bounds, and each look-up ends with the text.
struct Charsmap: Sendable {
    private let units: FrozenArray<UInt32>
    private let texts: FrozenArray<UInt8>
    /// The file's bytes, to be written back.
    let blob: [UInt8]

    /// - Throws: ``TokenizerError/malformed(source:offences:)`` when the sizes do not fit.
    init(_ blob: [UInt8], source: String) throws(TokenizerError) {
        func malformed(_ what: String) -> TokenizerError {
            .malformed(source: source, offences: ["precompiled_charsmap \(what)"])
        }
        guard blob.count >= 4 else { throw malformed("has \(blob.count) bytes, fewer than its header") }
        func word(_ at: Int) -> UInt32 {
            UInt32(blob[at]) | UInt32(blob[at + 1]) << 8 | UInt32(blob[at + 2]) << 16 | UInt32(blob[at + 3]) << 24
        }
        let trieBytes = Int(word(0))
        guard trieBytes <= blob.count - 4, trieBytes % 4 == 0, trieBytes >= 4 else {
            throw malformed("claims a trie of \(trieBytes) bytes in \(blob.count)")
        }
        units = FrozenArray((0..<(trieBytes / 4)).map { word(4 + 4 * $0) })
        let texts = Array(blob[(4 + trieBytes)...])
        guard String(validating: texts, as: UTF8.self) != nil else { throw malformed("holds text that is not UTF-8") }
        self.texts = FrozenArray(texts)
        self.blob = blob
    }

    /// The strings of the trie that the text at `start` begins with, from the shortest: where each ends, and its
    /// replacement.
    @inline(__always)
    private func forEachPrefix(
        _ text: Span<UInt8>, from start: Int, to limit: Int, _ body: (_ end: Int, _ replacement: Int) -> Bool
    ) {
        var node = Charsmap.offset(units[0])
        var index = start
        while index < limit {
            let byte = text[index]
            node ^= Int(byte)
            guard byte != 0, node < units.count else { return }
            let unit = units[node]
            guard unit & 0x8000_00FF == UInt32(byte) else { return }
            node ^= Charsmap.offset(unit)
            guard node < units.count else { return }
            index += 1
            if unit >> 8 & 1 == 1, body(index, Int(units[node] & 0x7FFF_FFFF)) { return }
        }
    }

    /// The plain bytes: for each byte, whether it is ASCII that stays as it is wherever ASCII or the end follows.
    var plainBytes: [Bool] {
        (0..<256).map { byte in
            guard byte < 128, byte > 0 else { return false }
            let first = UInt8(byte)
            return !leads([first], isLeaf: true) && !(UInt8(1)..<128).contains { leads([first, $0], isLeaf: false) }
        }
    }

    /// Returns whether the trie has a string that begins with `prefix`, or that is `prefix`.
    private func leads(_ prefix: [UInt8], isLeaf: Bool) -> Bool {
        var node = Charsmap.offset(units[0])
        var unit: UInt32 = 0
        for byte in prefix {
            node ^= Int(byte)
            guard node < units.count else { return false }
            unit = units[node]
            guard unit & 0x8000_00FF == UInt32(byte) else { return false }
            node ^= Charsmap.offset(unit)
        }
        return !isLeaf || unit >> 8 & 1 == 1
    }

    @inline(__always)
    private static func offset(_ unit: UInt32) -> Int { Int(unit >> 10) << Int((unit & 1 << 9) >> 6) }

    /// The longest string that the text at `start` begins with, and its replacement.
    func longest(_ text: Span<UInt8>, from start: Int) -> (end: Int, replacement: [UInt8])? {
        var found: (Int, Int)?
        forEachPrefix(text, from: start, to: text.count) { end, replacement in
            found = (end, replacement)
            return false
        }
        return found.map { ($0.0, self.text(at: $0.1)) }
    }

    /// The replacement of the shortest string that `range` of the text begins with.
    func shortest(_ text: Span<UInt8>, _ range: Range<Int>) -> [UInt8]? {
        var found: Int?
        forEachPrefix(text, from: range.lowerBound, to: range.upperBound) { _, replacement in
            found = replacement
            return true
        }
        return found.map { self.text(at: $0) }
    }

    /// The text at `start`, up to its NUL.
    private func text(at start: Int) -> [UInt8] {
        var result: [UInt8] = []
        var index = start
        while index < texts.count, texts[index] != 0 {
            result.append(texts[index])
            index += 1
        }
        return result.repairedUTF8
    }
}

/// `Precompiled` of Hugging Face: whole grapheme clusters of fewer than six bytes are replaced by what their shortest
/// prefix in the map becomes, other clusters scalar by scalar.
struct PrecompiledNormalizer: Normalizer {
    let charsmap: Charsmap
    /// ASCII scalars that the map leaves alone, so that they need no look at their cluster.
    private let isPlain: [Bool]

    init(_ charsmap: Charsmap) {
        self.charsmap = charsmap
        isPlain = (0..<256).map { byte in
            byte < 128 && byte != 13 && charsmap.shortest([UInt8(byte)].span, 0..<1) == nil
        }
    }

    func normalize(_ text: inout StagedText) {
        let source = text.bytes
        let bytes = source.span
        var rewriter = Rewriter(text)
        var modified = false
        var index = 0
        var copied = 0
        func replace(_ range: Range<Int>, _ replacement: [UInt8]) {
            rewriter.copy(copied..<range.lowerBound, of: bytes)
            PrecompiledNormalizer.append(replacement, for: bytes, range, to: &rewriter)
            copied = range.upperBound
            modified = true
        }
        while index < bytes.count {
            if isPlain[Int(bytes[index])], index + 1 >= bytes.count || bytes[index + 1] < 0x80 {
                index += 1
                continue
            }
            let end = GraphemeBreaks.shared.end(of: bytes, from: index)
            if end - index < 6, let replacement = charsmap.shortest(bytes, index..<end) {
                replace(index..<end, replacement)
            } else {
                var at = index
                while at < end {
                    let length = bytes.scalar(at: at).length
                    if let replacement = charsmap.shortest(bytes, at..<(at + length)) {
                        replace(at..<(at + length), replacement)
                    }
                    at += length
                }
            }
            index = end
        }
        guard modified else { return }
        rewriter.copy(copied..<bytes.count, of: bytes)
        rewriter.finish(&text)
    }

    /// New scalars stand for the old ones one by one; those too many for the last of them.
    private static func append(
        _ replacement: [UInt8], for bytes: Span<UInt8>, _ range: Range<Int>, to rewriter: inout Rewriter
    ) {
        var source = range.lowerBound
        for scalar in replacement.scalars {
            rewriter.append(scalar, from: source)
            let next = source + bytes.scalar(at: source).length
            if next < range.upperBound { source = next }
        }
    }
}
