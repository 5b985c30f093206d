/// The stop texts of a generation, which end it where one of them begins, although it may arrive in pieces.
///
/// Works on UTF-8 bytes. What could still become a stop text is held back until the next piece decides.
package struct StopTexts: Sendable {
    private let stops: [[UInt8]]
    private var held: [UInt8] = []
    /// The stop text that ended the generation; nil until one has.
    package private(set) var match: String?
    package var found: Bool { match != nil }

    package init(_ texts: [String]) { stops = texts.map { Array($0.utf8) }.filter { !$0.isEmpty } }

    /// The part of the text so far that is certain to be wanted.
    package mutating func append(_ piece: String) -> String {
        guard !stops.isEmpty else { return piece }
        guard !found else { return "" }
        held += Array(piece.utf8)
        if let (start, stop) = firstStop() {
            match = String(decoding: stop, as: UTF8.self)
            return take(start)
        }
        return take(held.count - longestBeginning())
    }

    /// Returns the text that was held back, at the end of the text.
    package mutating func finish() -> String { found ? "" : take(held.count) }

    private mutating func take(_ count: Int) -> String {
        defer { held.removeFirst(count) }
        return String(decoding: held.prefix(count), as: UTF8.self)
    }

    private func firstStop() -> (start: Int, stop: [UInt8])? {
        for start in held.indices {
            if let stop = stops.first(where: { held[start...].starts(with: $0) }) { return (start, stop) }
        }
        return nil
    }

    /// The length of the longest end of the text that begins a stop text.
    private func longestBeginning() -> Int {
        let longest = (stops.map(\.count).max() ?? 1) - 1
        for count in stride(from: min(longest, held.count), to: 0, by: -1) {
            if stops.contains(where: { $0.starts(with: held.suffix(count)) }) { return count }
        }
        return 0
    }
}
