/// A pattern that is looked for in a text.
protocol Pattern: Sendable {
    /// Appends the matches in `text` from left to right, none overlapping; an empty one cuts where it stands.
    func matches(in text: Span<UInt8>, into found: inout [Piece])
}

/// A pattern whose matches lie end to end and cover every text, as those of the GPT family do.
protocol CoveringPattern: Pattern {
    /// The end of the match that starts at `start`; always beyond it.
    func end(of text: Span<UInt8>, from start: Int) -> Int

    /// Appends the ids of the words of `text`; a requirement, so that each pattern's loop is compiled for it.
    func encodeWords(_ text: Span<UInt8>, _ model: any TokenModel, _ workspace: inout Workspace) throws(TokenizerError)
}

extension CoveringPattern {
    @inline(__always)
    func matches(in text: Span<UInt8>, into found: inout [Piece]) {
        var start = 0
        while start < text.count {
            let end = end(of: text, from: start)
            found.append(Piece(start, end))
            start = end
        }
    }
}

/// The behaviour of a split: what becomes of a match and of the text between matches.
enum MatchBehavior: String, Sendable {
    case removed = "Removed"
    case isolated = "Isolated"
    case mergedWithPrevious = "MergedWithPrevious"
    case mergedWithNext = "MergedWithNext"
    case contiguous = "Contiguous"
}

extension Pattern {
    /// The words of `piece` when it is split at the matches, or at what lies between them (`inverted`).
    func split(
        _ text: Span<UInt8>, _ piece: Piece, _ behavior: MatchBehavior, inverted: Bool, into words: inout [Piece]
    ) {
        var found: [Piece] = []
        matches(in: text.extracting(piece.range), into: &found)
        var splitter = MatchSplitter(behavior: behavior, offset: Int(piece.start))
        var end = 0
        for match in found {
            if end < Int(match.start) { splitter.take(end, Int(match.start), isMatch: inverted, into: &words) }
            splitter.take(Int(match.start), Int(match.end), isMatch: !inverted, into: &words)
            end = Int(match.end)
        }
        if end < piece.range.count { splitter.take(end, piece.range.count, isMatch: inverted, into: &words) }
        splitter.finish(into: &words)
    }
}

/// A splitter that joins an alternation of matches and gaps into words, by behaviour.
private struct MatchSplitter {
    let behavior: MatchBehavior
    let offset: Int
    private var pending: (start: Int, end: Int, isMatch: Bool)?

    init(behavior: MatchBehavior, offset: Int) {
        self.behavior = behavior
        self.offset = offset
    }

    mutating func take(_ start: Int, _ end: Int, isMatch: Bool, into words: inout [Piece]) {
        switch behavior {
        case .removed:
            if !isMatch { emit(start, end, &words) }
        case .isolated: emit(start, end, &words)
        case .contiguous:
            if let last = pending, last.isMatch == isMatch {
                pending = (last.start, end, isMatch)
            } else {
                finish(into: &words)
                pending = (start, end, isMatch)
            }
        case .mergedWithPrevious:
            if isMatch, let last = pending, !last.isMatch {
                emit(last.start, end, &words)
                pending = nil
            } else {
                finish(into: &words)
                pending = (start, end, isMatch)
            }
        case .mergedWithNext:
            if !isMatch, let last = pending, last.isMatch {
                emit(last.start, end, &words)
                pending = nil
            } else {
                finish(into: &words)
                pending = (start, end, isMatch)
            }
        }
    }

    mutating func finish(into words: inout [Piece]) {
        if let pending { emit(pending.start, pending.end, &words) }
        pending = nil
    }

    private func emit(_ start: Int, _ end: Int, _ words: inout [Piece]) {
        if start < end { words.append(Piece(offset + start, offset + end)) }
    }
}
