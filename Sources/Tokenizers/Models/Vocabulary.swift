/// Token ids and the bytes of their tokens, both ways: the bytes end to end in one array, an open-addressed table over them.
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
    /// One more than the largest id.
    let count: Int
    /// The length of the longest token in bytes.
    let longest: Int

    /// - Parameters:
    ///   - tokens: The token of each id, nil for a hole. Of two equal tokens the first is found.
    /// - Precondition: at most ``maximumCount`` tokens of less than 4 GiB in all, which the readers of files check.
    init(_ tokens: [[UInt8]?]) {
        precondition(tokens.count <= Vocabulary.maximumCount, "Vocabulary: \(tokens.count) tokens")
        var flat: [UInt8] = []
        var starts: [UInt32] = [0]
        starts.reserveCapacity(tokens.count + 1)
        for token in tokens {
            if let token { flat.append(contentsOf: token) }
            starts.append(UInt32(flat.count))
        }
        count = tokens.count
        longest = tokens.reduce(0) { max($0, $1?.count ?? 0) }
        bytes = FrozenArray(flat)
        self.starts = FrozenArray(starts)
        present = FrozenArray(tokens.map { $0 != nil })

        var capacity = 16
        while capacity < tokens.count * 2 { capacity *= 2 }
        var slots = [Int32](repeating: -1, count: capacity)
        let mask = capacity - 1
        for (id, token) in tokens.enumerated() {
            guard let token else { continue }
            var slot = Int(truncatingIfNeeded: ByteHash.hash(token.span, seed: seed)) & mask
            while slots[slot] >= 0, tokens[Int(slots[slot])] != token { slot = (slot + 1) & mask }
            if slots[slot] < 0 { slots[slot] = Int32(id) }
        }
        self.slots = FrozenArray(slots)
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
        let start = Int(starts[id])
        guard Int(starts[id + 1]) - start == token.count else { return false }
        for index in 0..<token.count where bytes[start + index] != token[index] { return false }
        return true
    }

    /// Whether `id` names a token.
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
