/// The places at which a text may be cut because no piece of the vocabulary reaches over them: what is found on both
/// sides is found for the whole, and words are short enough to be remembered.
///
/// A joint lies between two scalars; it is known by the last byte of the left one and the first byte of the right one,
/// for U+2581, the sign for a space, by all of it. Where no piece holds the two, neither a merge nor a piece of a
/// lattice spans them. Two unknown scalars that would become one token are never parted: one neighbour is always a
/// token of its own.
struct PieceJoints: Sendable {
    /// The pairs of bytes that a piece may hold: 256 × 256 bits, [last byte of the left scalar][first byte of the right
    /// one].
    private let held: FrozenArray<UInt64>
    /// The last bytes that a piece holds before the sign, by byte.
    private let heldBeforeSign: FrozenArray<Bool>

    /// - Parameters:
    ///   - pieces: Everything that a merge or a look-up can give.
    ///   - isToken: Whether a scalar is a token of its own.
    ///   - dropsUnknown: Unknown scalars vanish, and their neighbours meet; then both neighbours must be tokens.
    /// - Returns: nil when the sign is no token.
    init?(_ pieces: some Sequence<[UInt8]>, isToken: ([UInt8]) -> Bool, dropsUnknown: Bool = false) {
        guard isToken(Array("▁".utf8)) else { return nil }
        var held = [UInt64](repeating: 0, count: 1024)
        var beforeSign = [Bool](repeating: false, count: 256)
        func hold(_ left: Int, _ right: Int) { held[left << 2 | right >> 6] |= 1 << UInt64(right & 63) }
        let isKnown = (0..<256).map { $0 < 128 && isToken([UInt8($0)]) }
        for left in 0..<256 {
            for right in 0..<256 {
                let known = (isKnown[left] ? 1 : 0) + (isKnown[right] ? 1 : 0)
                if known < (dropsUnknown ? 2 : 1) { hold(left, right) }
            }
        }
        var holdsSignInside = false
        for piece in pieces {
            for index in piece.indices.dropFirst() where piece[index] & 0xC0 != 0x80 {
                let left = Int(piece[index - 1])
                if PieceJoints.isSign(piece.span, index) {
                    beforeSign[left] = true
                    if left != 0x81 { holdsSignInside = true }
                } else {
                    hold(left, Int(piece[index]))
                }
            }
        }
        if dropsUnknown, holdsSignInside {
            for left in 0..<256 where !isKnown[left] { beforeSign[left] = true }
        }
        self.held = FrozenArray(held)
        heldBeforeSign = FrozenArray(beforeSign)
    }

    @inline(__always)
    private static func isSign(_ text: Span<UInt8>, _ index: Int) -> Bool {
        index + 2 < text.count && text[index] == 0xE2 && text[index + 1] == 0x96 && text[index + 2] == 0x81
    }

    /// The first joint behind `start` at which `text` may be cut, or its end.
    @inline(__always)
    func end(of text: Span<UInt8>, from start: Int) -> Int {
        var index = start + 1
        while index < text.count {
            let byte = text[index]
            if byte & 0xC0 != 0x80 {
                let left = Int(text[index - 1])
                if byte == 0xE2, PieceJoints.isSign(text, index) {
                    if !heldBeforeSign[left] { return index }
                } else if held[left << 2 | Int(byte) >> 6] >> UInt64(byte & 63) & 1 == 0 {
                    return index
                }
            }
            index += 1
        }
        return index
    }
}
