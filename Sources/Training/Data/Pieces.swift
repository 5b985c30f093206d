/// The pieces of at most `length` tokens that a view's documents are cut into, for one epoch.
///
/// A document longer than that is cut at phase + k · length, where the phase is the epoch's: no two epochs see the same
/// cuts. Every token belongs to exactly one piece; a piece of which `overlap` more tokens are wanted (the targets of a
/// language model reach one further) reads on into the next. What holds fewer than `least` tokens is left out.
package struct Pieces: Sendable {
    /// A piece of a document, and where it lies there.
    package struct Piece: Sendable, Hashable {
        package let document: Int
        package let tokens: Range<Int>
    }

    package let view: TokenView
    private let length: Int
    private let overlap: Int
    private let phase: Int
    /// The number of the first piece of each document, and the number of all.
    private let firsts: [Int]

    /// - Parameters:
    ///   - isWhole: documents are never cut: one piece each, its end left off when too long.
    ///   - phase: from 0 to length − 1.
    package init(_ view: TokenView, length: Int, overlap: Int, least: Int, phase: Int, isWhole: Bool) {
        precondition(length >= 1 && overlap >= 0 && phase >= 0 && phase < length, "Pieces: length \(length)")
        (self.view, self.length, self.overlap, self.phase) = (view, length, overlap, phase)
        var firsts = [0]
        firsts.reserveCapacity(view.documents + 1)
        var count = 0
        for document in 0..<view.documents {
            let tokens = view.length(of: document)
            if tokens >= max(1, least) {
                count += isWhole ? 1 : Pieces.count(tokens - overlap, length, phase)
            }
            firsts.append(count)
        }
        self.firsts = firsts
    }

    package var count: Int { firsts.last ?? 0 }

    /// The number of pieces that begin within `tokens` tokens.
    private static func count(_ tokens: Int, _ length: Int, _ phase: Int) -> Int {
        guard tokens > length, phase > 0 else { return max(0, tokens + length - 1) / length }
        return 1 + (tokens - phase + length - 1) / length
    }

    package subscript(index: Int) -> Piece {
        precondition(index >= 0 && index < count, "Pieces: \(index) of \(count)")
        var (low, high) = (0, firsts.count - 1)
        while high - low > 1 {
            let middle = (low + high) / 2
            if firsts[middle] <= index { low = middle } else { high = middle }
        }
        let tokens = view.length(of: low)
        let number = index - firsts[low]
        let isShifted = tokens - overlap > length && phase > 0 && firsts[low + 1] - firsts[low] > 1
        let start = !isShifted ? number * length : number == 0 ? 0 : phase + (number - 1) * length
        let end = isShifted && number == 0 ? phase : start + length
        return Piece(document: low, tokens: start..<min(end + overlap, tokens))
    }
}
