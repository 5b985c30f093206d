extension Encoding {
    /// Appends one token of a text.
    mutating func append(_ id: Int32, _ origin: SourceRange, word: Int32, sequence: Int32) {
        ids.append(id)
        typeIDs.append(sequence)
        offsets.append(Offsets(Int(origin.start), Int(origin.end)))
        words.append(word)
        sequences.append(sequence)
        isSpecial.append(false)
        isAttended.append(true)
    }

    /// Appends the tokens of one word.
    mutating func append(_ output: TokenOutput, of staged: StagedText, _ piece: Piece, word: Int32, sequence: Int32) {
        for (id, span) in zip(output.ids, output.spans) {
            let start = min(Int(piece.start + span.start), staged.bytes.count)
            let end = min(Int(piece.start + span.end), staged.bytes.count)
            append(id, staged.origin(of: start..<max(start, end)), word: word, sequence: sequence)
        }
    }

    /// The encodings end to end.
    static func joined(_ encodings: [Encoding]) -> Encoding {
        var whole = Encoding()
        for encoding in encodings { whole.append(encoding) }
        whole.overflow = Encoding.joinedOverflow(encodings)
        return whole
    }

    /// The cut-off parts of each text, each with the rest of the encoding around it.
    private static func joinedOverflow(_ encodings: [Encoding]) -> [Encoding] {
        var overflow: [Encoding] = []
        for index in encodings.indices {
            for part in encodings[index].overflow {
                var whole = Encoding()
                for (other, encoding) in encodings.enumerated() { whole.append(other == index ? part : encoding) }
                overflow.append(whole)
            }
        }
        return overflow
    }
}

extension StagedText {
    /// The source of the bytes in `range`.
    func origin(of range: Range<Int>) -> SourceRange {
        guard tracksOrigins, !origins.isEmpty else { return SourceRange(start: 0, end: 0) }
        guard !range.isEmpty else {
            let at = range.lowerBound < origins.count ? origins[range.lowerBound].start : origins[origins.count - 1].end
            return SourceRange(start: at, end: at)
        }
        return SourceRange(start: origins[range.lowerBound].start, end: origins[range.upperBound - 1].end)
    }

    /// A part of the text as a text of its own.
    func slice(_ range: Range<Int>) -> StagedText {
        if range.lowerBound == 0, range.upperBound == bytes.count { return self }
        return StagedText(slice: self, range: range)
    }

    private init(slice text: StagedText, range: Range<Int>) {
        bytes = Array(text.bytes[range])
        origins = text.tracksOrigins ? Array(text.origins[range]) : []
        pieces = [Piece(0, range.count)]
        tracksOrigins = text.tracksOrigins
        startExtent = max(0, min(text.startExtent, range.upperBound) - range.lowerBound)
    }
}
