package import MartletTokenizers

/// A vocabulary as a trie of its tokens' bytes, so that a grammar looks at each common beginning once.
package final class ConstraintVocabulary: Sendable {
    /// A node of the trie.
    struct Node: Sendable {
        let byte: UInt8
        /// The number of bytes before this one.
        let depth: UInt16
        /// The first node in preorder that does not continue this one.
        var end: Int32
        /// The first of the tokens that end here.
        let firstToken: Int32
    }

    /// The nodes in preorder.
    let nodes: [Node]
    private let tokens: [Int32]
    let longest: Int
    /// The size of the vocabulary, as many as logits have; tokens beyond the tokenizer's never come.
    package let count: Int
    var words: Int { (count + 31) / 32 }

    /// - Parameters:
    ///   - bytes: of each token; nil for one that adds no text, which a grammar never lets come.
    ///   - count: the width of the logits.
    package init(bytes: [[UInt8]?], count: Int) {
        self.count = count
        let known = bytes.indices.prefix(count).compactMap { token in
            bytes[token].flatMap { $0.isEmpty || $0.count > 1_024 ? nil : (bytes: $0, token: Int32(token)) }
        }
        let sorted = known.sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
        var (nodes, tokens, open, path): ([Node], [Int32], [Int], [UInt8]) = ([], [], [], [])
        for (bytes, token) in sorted {
            let common = zip(bytes, path).prefix { $0 == $1 }.count
            while open.count > common { nodes[open.removeLast()].end = Int32(nodes.count) }
            for depth in common..<bytes.count {
                open.append(nodes.count)
                nodes.append(Node(byte: bytes[depth], depth: UInt16(depth), end: 0, firstToken: Int32(tokens.count)))
            }
            path = bytes
            tokens.append(token)
        }
        while let last = open.popLast() { nodes[last].end = Int32(nodes.count) }
        longest = known.reduce(0) { max($0, $1.bytes.count) }
        (self.nodes, self.tokens) = (nodes, tokens)
    }

    /// The tokens of a tokenizer, without the special ones.
    package convenience init(_ tokenizer: Tokenizer, count: Int) {
        self.init(
            bytes: (0..<Int32(clamping: count)).map { tokenizer.isSpecial($0) ? nil : tokenizer.bytes(ofToken: $0) },
            count: count)
    }

    /// The tokens whose bytes end at a node: they were sorted, so they stand together.
    func tokens(at node: Int) -> ArraySlice<Int32> {
        let end = node + 1 < nodes.count ? nodes[node + 1].firstToken : Int32(tokens.count)
        return tokens[Int(nodes[node].firstToken)..<Int(end)]
    }
}
