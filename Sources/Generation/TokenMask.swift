/// A token mask, which tokens of a vocabulary may come next: one bit each.
package struct TokenMask: Sendable, Hashable {
    /// The bits as words: bit t mod 32 of word t / 32 is set where token t may come.
    package private(set) var words: [UInt32]
    package let vocabulary: Int

    /// A mask of `vocabulary` tokens that lets none of them come, or all.
    package init(vocabulary: Int, allowingAll: Bool = false) {
        precondition(vocabulary >= 0, "TokenMask: \(vocabulary) tokens")
        self.vocabulary = vocabulary
        words = Array(repeating: allowingAll ? .max : 0, count: (vocabulary + 31) / 32)
        if allowingAll && vocabulary % 32 > 0 { words[words.count - 1] = 1 << UInt32(vocabulary % 32) - 1 }
    }

    /// A mask of these words.
    ///
    /// - Precondition: there are as many as `vocabulary` bits need.
    package init(words: [UInt32], vocabulary: Int) {
        precondition(words.count == (vocabulary + 31) / 32, "TokenMask: \(words.count) words for \(vocabulary) tokens")
        (self.words, self.vocabulary) = (words, vocabulary)
    }

    /// True where `token` may come; a token that the vocabulary lacks may not, and cannot be made to.
    package subscript(token: Int32) -> Bool {
        get {
            token >= 0 && Int(token) < vocabulary && words[Int(token) / 32] & 1 << UInt32(token % 32) != 0
        }
        set {
            guard token >= 0 && Int(token) < vocabulary else { return }
            let bit: UInt32 = 1 << UInt32(token % 32)
            if newValue { words[Int(token) / 32] |= bit } else { words[Int(token) / 32] &= ~bit }
        }
    }

    /// The lowest token that may come.
    package var first: Int32? {
        guard let index = words.firstIndex(where: { $0 != 0 }) else { return nil }
        return Int32(index * 32 + words[index].trailingZeroBitCount)
    }

    /// The number of tokens that may come.
    package var count: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }
}
