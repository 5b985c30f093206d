/// A reader of the numbers of `UnicodeData.swift`: groups of five bits, low first, 32 marking that more follow, as
/// ASCII from 48.
@safe
struct PackedNumbers {
    private let text: UnsafeBufferPointer<UInt8>
    private var position = 0

    init(_ literal: StaticString) {
        unsafe text = UnsafeBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount)
    }

    var isAtEnd: Bool { unsafe position >= text.count }

    /// The next number. A backslash is spelled `~`, so that literals need no escapes.
    mutating func next() -> Int {
        var (value, shift) = (0, 0)
        while unsafe position < text.count {
            let byte = unsafe text[position]
            position += 1
            let group = byte == UInt8(ascii: "~") ? 44 : Int(byte) - 48
            value |= (group & 31) << shift
            if group & 32 == 0 { break }
            shift += 5
        }
        return value
    }
}
