@_exported public import protocol MartletPlatform.MartletError

/// The reason why a text is not the JSON that this package accepts, and the place.
public struct JSONError: MartletError, Equatable {
    /// The rule that a text breaks.
    public enum Kind: Sendable, Equatable {
        /// A file that the system would not read.
        case unreadable(reason: String)
        case byteOrderMark
        /// A text that ends too early.
        case unexpectedEnd(expected: String)
        /// A byte that cannot stand here.
        case unexpectedByte(UInt8, expected: String)
        case textAfterValue
        /// Arrays and objects nested deeper than ``JSON/maximumDepth``.
        case tooDeep(limit: Int)
        /// A key that an object has twice.
        case duplicateKey(String)
        /// A control character in a string that is not escaped.
        case controlCharacter(UInt8)
        case invalidEscape
        /// A lone half of a surrogate pair.
        case loneSurrogate(UInt32)
        case invalidUTF8
        /// A number beyond the range of Double, or a word that stands for one.
        case notFinite(String)
        case leadingZero
    }

    /// The rule that the text breaks.
    public let kind: Kind
    /// The byte at which reading stopped, from 0.
    public let offset: Int
    /// The line at which reading stopped, from 1.
    public let line: Int
    /// The place in bytes within the line, from 1.
    public let column: Int
    /// The file, where the text came from one.
    public package(set) var path: String?

    /// `text` is what stands before and around `offset`; only its first `offset` bytes count.
    package init(_ kind: Kind, offset: Int, in text: UnsafeBufferPointer<UInt8>, path: String? = nil) {
        (self.kind, self.offset, self.path) = (kind, offset, path)
        var (line, start) = (1, 0)
        for position in 0..<min(offset, text.count) where unsafe text[position] == UInt8(ascii: "\n") {
            (line, start) = (line + 1, position + 1)
        }
        (self.line, column) = (line, offset - start + 1)
    }

    package init(unreadable path: String, reason: String) {
        (kind, offset, line, column, self.path) = (.unreadable(reason: reason), 0, 1, 1, path)
    }

    /// The description without the file's name.
    public var reason: String {
        if case .unreadable(let reason) = kind { return "cannot read: \(reason)" }
        return "not valid JSON at line \(line), column \(column) (byte \(offset)): \(kind.words)"
    }

    /// The cause: what was found, and where.
    public var cause: String { (path.map { "\($0): " } ?? "") + reason }
}

extension JSONError.Kind {
    fileprivate var words: String {
        switch self {
        case .unreadable(let reason): reason
        case .byteOrderMark: "it begins with a byte order mark; save it as plain UTF-8"
        case .unexpectedEnd(let expected): "the text ends where \(expected) was expected; it may be cut short"
        case .unexpectedByte(let byte, let expected): "\(expected) was expected, found \(JSONError.quoted(byte))"
        case .textAfterValue: "there is more text after the value"
        case .tooDeep(let limit): "nested deeper than \(limit)"
        case .duplicateKey(let key): "the key \(key.quoted) occurs twice"
        case .controlCharacter(let byte): "the control character \(JSONError.quoted(byte)) in a string must be escaped"
        case .invalidEscape: "an escape is one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t or \\u and four hexadecimal digits"
        case .loneSurrogate(let unit):
            "\\u\(String(unit, radix: 16)) is half of a surrogate pair, which no UTF-8 text can hold"
        case .invalidUTF8: "the string is not valid UTF-8"
        case .notFinite(let literal): "\(literal) is not a finite number"
        case .leadingZero: "a number does not begin with 0 and another digit"
        }
    }
}

extension JSONError {
    private static func quoted(_ byte: UInt8) -> String {
        if (0x21...0x7E).contains(byte) { return "'\(Character(Unicode.Scalar(byte)))'" }
        return "byte 0x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
}
