import MartletJSON

/// The beginning of a JSON text (RFC 8259) as a value: what has begun is closed, and what means nothing yet is left
/// out.
enum PartialJSON {
    /// The value of the beginning of a JSON text; nil where nothing has begun.
    static func value(of text: String) -> JSON? {
        let bytes = Array(text.utf8)
        var reader = Reader()
        for (index, byte) in bytes.enumerated() { reader.read(byte, at: index) }
        return try? JSON(parsing: String(decoding: reader.closed(bytes), as: UTF8.self))
    }

    /// Follows the structure of a text, and remembers the last place at which it can be closed.
    private struct Reader {
        /// The place in the text that is read.
        private enum Place { case value, string, escape, scalar, between }

        private var closers: [UInt8] = []
        private var place = Place.value
        /// True where the string that is read is the name of a member.
        private var isName = false
        /// True where a name is expected: after `{` and after `,` in an object.
        private var expectsName = false
        /// The end up to which the text can be closed, by `closersAtEnd`.
        private var end = 0
        private var closersAtEnd: [UInt8] = []

        mutating func read(_ byte: UInt8, at index: Int) {
            switch place {
            case .escape: place = .string
            case .string:
                if byte == UInt8(ascii: "\\") { place = .escape }
                guard byte == UInt8(ascii: "\"") else {
                    if !isName && place == .string { mark(index + 1, closing: [UInt8(ascii: "\"")]) }
                    return
                }
                place = .between
                if !isName { mark(index + 1) }
            case .scalar, .between, .value: structure(byte, index)
            }
        }

        private mutating func structure(_ byte: UInt8, _ index: Int) {
            switch byte {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                let isObject = byte == UInt8(ascii: "{")
                closers.append(isObject ? UInt8(ascii: "}") : UInt8(ascii: "]"))
                (place, expectsName) = (.value, isObject)
                mark(index + 1)
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                if place == .scalar { mark(index) }
                closers.removeLast(min(1, closers.count))
                place = .between
                mark(index + 1)
            case UInt8(ascii: "\""):
                (place, isName, expectsName) = (.string, expectsName, false)
                if !isName { mark(index + 1, closing: [UInt8(ascii: "\"")]) }
            case UInt8(ascii: ","):
                if place == .scalar { mark(index) }
                (place, expectsName) = (.value, closers.last == UInt8(ascii: "}"))
            case UInt8(ascii: ":"): place = .value
            case UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\t"), UInt8(ascii: "\r"):
                if place == .scalar { (place, _) = (.between, mark(index)) }
            default: place = .scalar
            }
        }

        private mutating func mark(_ end: Int, closing string: [UInt8] = []) {
            (self.end, closersAtEnd) = (end, string + closers.reversed())
        }

        func closed(_ bytes: [UInt8]) -> [UInt8] { bytes.prefix(end) + closersAtEnd }
    }
}
