/// A finder of tokens in text: leftmost first, of those the longest.
///
/// A byte trie in an open-addressed table, tried only at bytes that begin a token, so ordinary text is passed at the
/// speed of a table look-up per byte. A try ends after at most the longest token.
struct TokenFinder: Sendable {
    private struct Edge: BitwiseCopyable, Sendable {
        var key: UInt64
        var child: UInt32
    }

    /// Stretches of text between tokens, and tokens.
    enum Part {
        case text(Range<Int>)
        case token(AddedToken, Range<Int>)
    }

    private let beginsToken: FrozenArray<Bool>
    private let edges: FrozenArray<Edge>
    /// Index into ``tokens`` of the token that ends at each node, or -1.
    private let ends: FrozenArray<Int32>
    private let tokens: [AddedToken]

    var isEmpty: Bool { tokens.isEmpty }

    /// - Parameter entries: The text that each token is found by; of two that became one text the first counts, of two
    ///   that were given as one text the last.
    init(_ entries: [(content: [UInt8], token: AddedToken)]) {
        var begins = [Bool](repeating: false, count: 256)
        var children: [UInt64: UInt32] = [:]
        var ends: [Int32] = [-1]
        for (index, entry) in entries.enumerated() {
            guard let first = entry.content.first else { continue }
            begins[Int(first)] = true
            var node: UInt32 = 0
            for byte in entry.content {
                let key = UInt64(node) << 8 | UInt64(byte)
                if let child = children[key] {
                    node = child
                } else {
                    node = UInt32(ends.count)
                    children[key] = node
                    ends.append(-1)
                }
            }
            let before = ends[Int(node)]
            if before < 0 || entries[Int(before)].token.content == entry.token.content {
                ends[Int(node)] = Int32(index)
            }
        }
        var capacity = 16
        while capacity < children.count * 2 { capacity *= 2 }
        var edges = [Edge](repeating: Edge(key: .max, child: 0), count: capacity)
        for (key, child) in children {
            var slot = TokenFinder.slot(key, capacity)
            while edges[slot].key != .max { slot = (slot + 1) & (capacity - 1) }
            edges[slot] = Edge(key: key, child: child)
        }
        beginsToken = FrozenArray(begins)
        self.edges = FrozenArray(edges)
        self.ends = FrozenArray(ends)
        tokens = entries.map(\.token)
    }

    private static func slot(_ key: UInt64, _ capacity: Int) -> Int {
        Int(truncatingIfNeeded: ByteHash.fold(key ^ ByteHash.seed, 0x9E37_79B9_7F4A_7C15)) & (capacity - 1)
    }

    private func child(_ node: UInt32, _ byte: UInt8) -> UInt32? {
        let key = UInt64(node) << 8 | UInt64(byte)
        var slot = TokenFinder.slot(key, edges.count)
        while edges[slot].key != .max {
            if edges[slot].key == key { return edges[slot].child }
            slot = (slot + 1) & (edges.count - 1)
        }
        return nil
    }

    /// The longest token at `start`.
    private func match(_ text: Span<UInt8>, at start: Int) -> (token: AddedToken, end: Int)? {
        var node: UInt32 = 0
        var best: (Int32, Int)?
        var index = start
        while index < text.count, let next = child(node, text[index]) {
            node = next
            index += 1
            if ends[Int(node)] >= 0 { best = (ends[Int(node)], index) }
        }
        return best.map { (tokens[Int($0.0)], $0.1) }
    }

    /// Cuts `text` into tokens and what lies between, as the reference's added vocabulary does.
    ///
    /// - Parameter takes: Whether a token counts where it is spelled.
    func parts(of text: Span<UInt8>, where takes: (AddedToken, Range<Int>) -> Bool) -> [Part] {
        var parts: [Part] = []
        var textStart = 0
        var index = 0
        while index < text.count {
            guard beginsToken[Int(text[index])], let (token, matchEnd) = match(text, at: index) else {
                index += 1
                continue
            }
            var (start, end) = (index, matchEnd)
            // A refused match is passed over whole, as an automaton that reports it does.
            index = matchEnd
            guard takes(token, start..<end), !token.isSingleWord || standsAlone(text, start, end) else { continue }
            if token.stripsLeft { start = max(startOfBlanks(text, before: start), textStart) }
            if token.stripsRight { end = endOfBlanks(text, from: end) }
            // Blanks that the token before has taken may hide the start of this one.
            start = max(start, textStart)
            if textStart < start { parts.append(.text(textStart..<start)) }
            parts.append(.token(token, start..<max(end, start)))
            textStart = max(end, start)
        }
        if textStart < text.count { parts.append(.text(textStart..<text.count)) }
        return parts
    }

    private func standsAlone(_ text: Span<UInt8>, _ start: Int, _ end: Int) -> Bool {
        (start == 0 || !ScalarProperties(text.scalar(before: start).value).isWord)
            && (end == text.count || !ScalarProperties(text.scalar(at: end).value).isWord)
    }

    private func startOfBlanks(_ text: Span<UInt8>, before start: Int) -> Int {
        var index = start
        while index > 0 {
            let scalar = text.scalar(before: index)
            guard ScalarProperties(scalar.value).isSpace else { break }
            index -= scalar.length
        }
        return index
    }

    private func endOfBlanks(_ text: Span<UInt8>, from end: Int) -> Int {
        var index = end
        while index < text.count {
            let scalar = text.scalar(at: index)
            guard ScalarProperties(scalar.value).isSpace else { break }
            index += scalar.length
        }
        return index
    }
}
