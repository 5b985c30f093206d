// Strings and numbers of the reader.

extension JSONReader {
    /// The string whose opening quote is the next byte.
    mutating func string() throws(JSONError) -> String {
        let start = offset + 1
        var end = start
        var isASCII: UInt8 = 0
        while end < count {
            let byte = unsafe text[end]
            if byte == UInt8(ascii: "\"") {
                offset = end + 1
                return try copied(start..<end, isASCII: isASCII < 0x80)
            }
            if byte == UInt8(ascii: "\\") { return try escapedString(from: start) }
            guard byte >= 0x20 else { throw error(.controlCharacter(byte), at: end) }
            isASCII |= byte
            end += 1
        }
        throw error(.unexpectedEnd(expected: "the end of a string"), at: end)
    }

    /// The bytes of `range` as text.
    private func copied(_ range: Range<Int>, isASCII: Bool) throws(JSONError) -> String {
        let bytes = unsafe UnsafeBufferPointer(rebasing: text[range])
        if isASCII { return unsafe String(decoding: bytes, as: UTF8.self) }
        guard let string = unsafe String(validating: bytes, as: UTF8.self) else {
            throw error(.invalidUTF8, at: range.lowerBound)
        }
        return string
    }

    /// The string that begins at `start` and holds at least one escape.
    private mutating func escapedString(from start: Int) throws(JSONError) -> String {
        var bytes: [UInt8] = []
        offset = start
        while let byte = peek() {
            switch byte {
            case UInt8(ascii: "\""):
                offset += 1
                guard let string = String(validating: bytes, as: UTF8.self) else {
                    throw error(.invalidUTF8, at: start)
                }
                return string
            case UInt8(ascii: "\\"): try escape(into: &bytes)
            case 0..<0x20: throw error(.controlCharacter(byte))
            default:
                bytes.append(byte)
                offset += 1
            }
        }
        throw error(.unexpectedEnd(expected: "the end of a string"))
    }

    /// Decodes the escape whose backslash is the next byte.
    private mutating func escape(into bytes: inout [UInt8]) throws(JSONError) {
        let start = offset
        offset += 1
        guard let kind = peek() else { throw error(.unexpectedEnd(expected: "an escape")) }
        offset += 1
        switch kind {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): bytes.append(kind)
        case UInt8(ascii: "b"): bytes.append(0x08)
        case UInt8(ascii: "f"): bytes.append(0x0C)
        case UInt8(ascii: "n"): bytes.append(0x0A)
        case UInt8(ascii: "r"): bytes.append(0x0D)
        case UInt8(ascii: "t"): bytes.append(0x09)
        case UInt8(ascii: "u"):
            let scalar = try escapedScalar(start)
            bytes.append(contentsOf: String(Character(scalar)).utf8)
        default: throw error(.invalidEscape, at: start)
        }
    }

    /// The scalar of `\uXXXX`, or of a pair of them, whose digits come next. `start` is the first backslash.
    private mutating func escapedScalar(_ start: Int) throws(JSONError) -> Unicode.Scalar {
        let unit = try fourDigits(start)
        if let scalar = Unicode.Scalar(unit) { return scalar }
        guard unit < 0xDC00, follows("\\u") else { throw error(.loneSurrogate(unit), at: start) }
        offset += 2
        let low = try fourDigits(offset - 2)
        guard (0xDC00..<0xE000).contains(low),
            let scalar = Unicode.Scalar(0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00))
        else { throw error(.loneSurrogate(unit), at: start) }
        return scalar
    }

    private mutating func fourDigits(_ start: Int) throws(JSONError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = peek() else { throw error(.unexpectedEnd(expected: "a hexadecimal digit")) }
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: throw error(.invalidEscape, at: start)
            }
            value = value << 4 | UInt32(digit)
            offset += 1
        }
        return value
    }
}

extension JSONReader {
    /// The number that begins at the next byte, a minus or a digit.
    mutating func number() throws(JSONError) -> Event {
        let start = offset
        var decimal = Decimal()
        if peek() == UInt8(ascii: "-") {
            if follows("-Infinity") {
                guard dialect == .python else { throw error(.notFinite("-Infinity")) }
                return try word("-Infinity", .number(-.infinity))
            }
            decimal.isNegative = true
            offset += 1
        }
        let first = peek()
        let digits = takeDigits(into: &decimal)
        guard digits > 0 else { throw unexpected("a digit") }
        guard digits == 1 || first != UInt8(ascii: "0") else { throw error(.leadingZero, at: start) }

        var isWhole = true
        if peek() == UInt8(ascii: ".") {
            isWhole = false
            offset += 1
            let digits = takeDigits(into: &decimal)
            guard digits > 0 else { throw unexpected("a digit after the point") }
            decimal.exponent -= digits
        }
        if peek() == UInt8(ascii: "e") || peek() == UInt8(ascii: "E") {
            isWhole = false
            try takeExponent(into: &decimal)
        }
        if isWhole, let integer = decimal.integer { return .integer(integer) }
        if let value = decimal.exactDouble { return .number(value) }
        let literal = unsafe String(decoding: text[start..<offset], as: UTF8.self)
        guard let value = Double(literal), value.isFinite || dialect == .python else {
            throw error(.notFinite(literal.shortened), at: start)
        }
        return .number(value)
    }

    private mutating func takeDigits(into decimal: inout Decimal) -> Int {
        let start = offset
        while let byte = peek(), (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
            decimal.append(byte - UInt8(ascii: "0"))
            offset += 1
        }
        return offset - start
    }

    private mutating func takeExponent(into decimal: inout Decimal) throws(JSONError) {
        offset += 1
        let isNegative = peek() == UInt8(ascii: "-")
        if isNegative || peek() == UInt8(ascii: "+") { offset += 1 }
        var exponent = Decimal()
        guard takeDigits(into: &exponent) > 0 else { throw unexpected("a digit of the exponent") }
        // An exponent this large is past every Double, and past the exact path, whatever its last digits are.
        let magnitude = exponent.isExact ? Int(min(exponent.digits, 1_000_000)) : 1_000_000
        decimal.exponent += isNegative ? -magnitude : magnitude
    }
}

/// ± digits · 10^exponent, as long as the digits fit.
private struct Decimal {
    var digits: UInt64 = 0
    var exponent = 0
    var isNegative = false
    var isExact = true

    mutating func append(_ digit: UInt8) {
        let (tenfold, overflow) = digits.multipliedReportingOverflow(by: 10)
        let (sum, carry) = tenfold.addingReportingOverflow(UInt64(digit))
        if overflow || carry { isExact = false }
        digits = sum
    }

    var integer: Int? {
        guard isExact else { return nil }
        return isNegative ? Int(exactly: -Int128(digits)) : Int(exactly: digits)
    }

    /// The nearest Double where one multiplication or division of two exact Doubles gives it (Clinger 1990).
    var exactDouble: Double? {
        guard isExact, digits <= 1 << 53, abs(exponent) <= 22 else { return nil }
        let magnitude = exponent < 0 ? Double(digits) / powersOfTen[-exponent] : Double(digits) * powersOfTen[exponent]
        return isNegative ? -magnitude : magnitude
    }
}

private let powersOfTen: [Double] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21,
    1e22,
]
