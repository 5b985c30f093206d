import MartletPlatform

/// The keys of a terminal, read from standard input.
struct TerminalKeys {
    /// A key, or what came at once: a text that was typed or pasted.
    enum Key: Equatable {
        case text(String)
        case enter, newRow, removeBefore, removeAfter, left, right, up, down, home, end, wordLeft, wordRight
        case cutToEnd, cutToStart, cutWordBefore, cutWordAfter, paste, swap, complete, clear, interrupt, suspend
        /// Ctrl-D: the end of the input on an empty line.
        case endOrRemove
        /// The screen has another size, or is somebody else's again.
        case changed
        case unknown
    }

    private var bytes: [UInt8] = []
    private var position = 0

    /// The next key; nil at the end of the input.
    mutating func next() -> Key? {
        guard let byte = byte(within: -1) else { return wasInterrupted ? .changed : nil }
        switch byte {
        case 0x1B: return escaped()
        case 0x20...0x7E, 0x80...: return .text(text(from: byte))
        default: return TerminalKeys.controls[byte] ?? .unknown
        }
    }

    private static let controls: [UInt8: Key] = [
        0x01: .home, 0x02: .left, 0x03: .interrupt, 0x04: .endOrRemove, 0x05: .end, 0x06: .right, 0x08: .removeBefore,
        0x09: .complete, 0x0A: .enter, 0x0B: .cutToEnd, 0x0C: .clear, 0x0D: .enter, 0x0E: .down, 0x10: .up,
        0x14: .swap, 0x15: .cutToStart, 0x17: .cutWordBefore, 0x19: .paste, 0x1A: .suspend, 0x7F: .removeBefore,
    ]

    /// The letters that came together.
    private mutating func text(from first: UInt8) -> String {
        var letters = [first]
        while true {
            let isWhole = TerminalKeys.isWhole(letters)
            if isWhole, position == bytes.count || bytes[position] < 0x20 || bytes[position] == 0x7F { break }
            guard let byte = byte(within: 100) else { break }
            letters.append(byte)
        }
        return String(decoding: letters, as: UTF8.self)
    }

    /// False where the last scalar's bytes are not all there.
    private static func isWhole(_ letters: [UInt8]) -> Bool {
        guard let start = letters.lastIndex(where: { $0 & 0xC0 != 0x80 }) else { return true }
        let needed =
            switch letters[start] {
            case 0xC0...0xDF: 2
            case 0xE0...0xEF: 3
            case 0xF0...0xF7: 4
            default: 1
            }
        return letters.count - start >= needed
    }

    // MARK: Sequences

    private mutating func escaped() -> Key {
        switch byte(within: 50) {
        case UInt8(ascii: "[")?: return sequence()
        case UInt8(ascii: "O")?: return byte(within: 50).flatMap { TerminalKeys.arrows[$0] } ?? .unknown
        case UInt8(ascii: "b")?: return .wordLeft
        case UInt8(ascii: "f")?: return .wordRight
        case UInt8(ascii: "d")?: return .cutWordAfter
        case 0x7F?, 0x08?: return .cutWordBefore
        case 0x0D?, 0x0A?: return .newRow
        default: return .unknown
        }
    }

    private static let arrows: [UInt8: Key] = [
        UInt8(ascii: "A"): .up, UInt8(ascii: "B"): .down, UInt8(ascii: "C"): .right, UInt8(ascii: "D"): .left,
        UInt8(ascii: "H"): .home, UInt8(ascii: "F"): .end,
    ]

    /// ECMA-48: parameters, then a letter that says what it is.
    private mutating func sequence() -> Key {
        var parameters: [UInt8] = []
        while let byte = byte(within: 50), parameters.count < 16 {
            guard (0x40...0x7E).contains(byte) else {
                parameters.append(byte)
                continue
            }
            let numbers = String(decoding: parameters, as: UTF8.self).split(separator: ";").compactMap { Int($0) }
            guard byte == UInt8(ascii: "~") else {
                let key = TerminalKeys.arrows[byte] ?? .unknown
                // With Ctrl or Alt, by words.
                guard numbers.count > 1, numbers[1] > 2 else { return key }
                return key == .left ? .wordLeft : key == .right ? .wordRight : key
            }
            switch numbers.first {
            case 1?, 7?: return .home
            case 4?, 8?: return .end
            case 3?: return .removeAfter
            case 200?: return .text(pasted())
            default: return .unknown
            }
        }
        return .unknown
    }

    /// The most bytes that are pasted at once.
    private static let longestPaste = 4 << 20

    /// The pasted text, its lines parted by line feeds.
    private mutating func pasted() -> String {
        let end = Array("\u{1B}[201~".utf8)
        var text: [UInt8] = []
        while text.count < TerminalKeys.longestPaste, let byte = byte(within: 2_000) {
            text.append(byte)
            if byte == end.last, text.suffix(end.count).elementsEqual(end) {
                text.removeLast(end.count)
                break
            }
        }
        return String(decoding: text, as: UTF8.self).replacing("\r\n", with: "\n").replacing("\r", with: "\n")
    }

    // MARK: Bytes

    private var wasInterrupted = false

    /// The next byte; nil when none comes in time, at the end, and after a signal.
    private mutating func byte(within milliseconds: Int32) -> UInt8? {
        if position == bytes.count {
            var entry = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
            let count = unsafe poll(&entry, 1, milliseconds)
            wasInterrupted = count < 0 && errno == EINTR
            guard count > 0 else { return nil }
            var buffer = [UInt8](repeating: 0, count: 4_096)
            let size = unsafe buffer.withUnsafeMutableBytes { unsafe read(0, $0.baseAddress, $0.count) }
            wasInterrupted = size < 0 && errno == EINTR
            guard size > 0 else { return nil }
            (bytes, position) = (Array(buffer.prefix(size)), 0)
        }
        defer { position += 1 }
        return bytes[position]
    }
}
