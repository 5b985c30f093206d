/// Offsets of a text from UTF-8 bytes to its Unicode scalars.
struct ScalarOffsets {
    private var counts: [Int] = []

    init(_ text: String) {
        var count = 0
        for byte in text.utf8 {
            counts.append(count)
            if byte & 0xC0 != 0x80 { count += 1 }
        }
        counts.append(count)
    }

    /// The number of scalars that begin before byte `offset`.
    subscript(offset: Int) -> Int { counts[min(max(offset, 0), counts.count - 1)] }
}
