/// Token ids and the bytes of their tokens, both ways: the bytes end to end in one array, an open-addressed table over
/// them.
///
/// Ids may have holes (some files skip numbers); a hole has no bytes and is never found.
struct Vocabulary: Sendable {
    /// Largest number of ids; a file that numbers a token higher is refused before memory is spent on the holes.
    static let maximumCount = 1 << 24

    private let bytes: FrozenArray<UInt8>
    private let starts: FrozenArray<UInt32>
    private let present: FrozenArray<Bool>
    private let slots: FrozenArray<Int32>
    private let seed = ByteHash.seed
    /// The number of ids: one more than the largest.
    let count: Int
    /// The length of the longest token in bytes.
    let longest: Int
    /// True where no two ids have one spelling.
    let isUnique: Bool

    /// - Parameters:
    ///   - tokens: The token of each id, nil for a hole. Of two equal tokens the first is found.
    /// - Precondition: at most ``maximumCount`` tokens of less than 4 GiB in all, which the readers of files check.
    init(_ tokens: [[UInt8]?]) {
        precondition(tokens.count <= Vocabulary.maximumCount, "Vocabulary: \(tokens.count) tokens")
        var builder = Builder(count: tokens.count)
        for token in tokens {
            if let token { builder.bytes.append(contentsOf: token) }
            builder.endToken(isPresent: token != nil)
        }
        self.init(builder)
    }

    /// A vocabulary without holes.
    init(_ tokens: ByteStrings) {
        precondition(tokens.count <= Vocabulary.maximumCount, "Vocabulary: \(tokens.count) tokens")
        self.init(Builder(tokens))
    }

    /// The tokens end to end, before they can be found.
    private struct Builder {
        var bytes: [UInt8] = []
        private(set) var starts: [UInt32] = [0]
        private(set) var present: [Bool] = []
        private(set) var longest = 0

        init(count: Int) {
            starts.reserveCapacity(count + 1)
            present.reserveCapacity(count)
        }

        /// The strings where they lie.
        init(_ tokens: ByteStrings) {
            self.init(count: tokens.count)
            bytes = tokens.bytes
            for id in tokens.indices {
                let range = tokens.range(of: id)
                longest = max(longest, range.count)
                starts.append(UInt32(range.upperBound))
            }
            present = Array(repeating: true, count: tokens.count)
        }

        /// The bytes that were appended since the last call are the next token, or no token.
        mutating func endToken(isPresent: Bool) {
            let start = Int(starts[present.count])
            if !isPresent { bytes.removeSubrange(start...) }
            longest = max(longest, bytes.count - start)
            starts.append(UInt32(bytes.count))
            present.append(isPresent)
        }
    }

    private init(_ builder: Builder) {
        count = builder.present.count
        longest = builder.longest
        let (bytes, starts) = (FrozenArray(builder.bytes), FrozenArray(builder.starts))
        (self.bytes, self.starts, present) = (bytes, starts, FrozenArray(builder.present))
        var capacity = 16
        while capacity < count * 2 { capacity *= 2 }
        let mask = capacity - 1
        var isUnique = true
        slots = FrozenArray(repeating: -1, count: capacity) { [seed, count] slots in
            let text = builder.bytes.span
            for id in 0..<count where builder.present[id] {
                let token = text.extracting(Int(starts[id])..<Int(starts[id + 1]))
                var slot = Int(truncatingIfNeeded: ByteHash.hash(token, seed: seed)) & mask
                while slots[slot] >= 0, !Vocabulary.isToken(Int(slots[slot]), equalTo: token, bytes, starts) {
                    slot = (slot + 1) & mask
                }
                if slots[slot] < 0 { slots[slot] = Int32(id) } else { isUnique = false }
            }
        }
        self.isUnique = isUnique
    }

    /// The vocabulary of what `append` makes of each token; a hole where it returns false.
    func mapped(_ append: (Span<UInt8>, inout [UInt8]) -> Bool) -> Vocabulary {
        let text = bytes.array
        var builder = Builder(count: count)
        builder.bytes.reserveCapacity(text.count)
        for id in 0..<count {
            let token = text.span.extracting(Int(starts[id])..<Int(starts[id + 1]))
            builder.endToken(isPresent: present[id] && append(token, &builder.bytes))
        }
        return Vocabulary(builder)
    }

    /// The id of the token that is exactly `token`, or -1.
    @inline(__always)
    func find(_ token: Span<UInt8>) -> Int32 {
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: ByteHash.hash(token, seed: seed)) & mask
        while true {
            let id = slots[slot]
            if id < 0 || isToken(Int(id), equalTo: token) { return id }
            slot = (slot + 1) & mask
        }
    }

    func id(of token: [UInt8]) -> Int32? {
        let id = find(token.span)
        return id < 0 ? nil : id
    }

    @inline(__always)
    private func isToken(_ id: Int, equalTo token: Span<UInt8>) -> Bool {
        Vocabulary.isToken(id, equalTo: token, bytes, starts)
    }

    @inline(__always)
    private static func isToken(
        _ id: Int, equalTo token: Span<UInt8>, _ bytes: FrozenArray<UInt8>, _ starts: FrozenArray<UInt32>
    ) -> Bool {
        let start = Int(starts[id])
        guard Int(starts[id + 1]) - start == token.count else { return false }
        for index in 0..<token.count where bytes[start + index] != token[index] { return false }
        return true
    }

    /// Returns whether `id` names the token that is `left` and then `right`.
    func isToken(_ id: Int, joining left: Span<UInt8>, _ right: Span<UInt8>) -> Bool {
        guard contains(id) else { return false }
        let (start, end) = (Int(starts[id]), Int(starts[id + 1]))
        guard end - start == left.count + right.count else { return false }
        for index in 0..<left.count where bytes[start + index] != left[index] { return false }
        for index in 0..<right.count where bytes[start + left.count + index] != right[index] { return false }
        return true
    }

    /// Returns whether `id` names a token.
    func contains(_ id: Int) -> Bool { id >= 0 && id < count && present[id] }

    /// The bytes of a token; empty for a hole.
    ///
    /// - Precondition: 0 ≤ `id` < ``count``.
    func token(_ id: Int) -> [UInt8] {
        (Int(starts[id])..<Int(starts[id + 1])).map { bytes[$0] }
    }

    /// All tokens by id.
    var tokens: [[UInt8]?] { (0..<count).map { present[$0] ? token($0) : nil } }
}
