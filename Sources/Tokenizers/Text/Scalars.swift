/// A Unicode scalar in UTF-8 text, with the bytes it takes there.
struct ScalarInText {
    let value: UInt32
    let length: Int
}

extension Span<UInt8> {
    /// The scalar that starts at `index`. Text inside this module is valid UTF-8; where it is not (raw bytes), a byte
    /// that starts no scalar is taken as U+FFFD of length 1.
    @inline(__always)
    func scalar(at index: Int) -> ScalarInText {
        let first = self[index]
        return first < 0x80 ? ScalarInText(value: UInt32(first), length: 1) : longScalar(at: index, first)
    }

    private func longScalar(at index: Int, _ first: UInt8) -> ScalarInText {
        let invalid = ScalarInText(value: 0xFFFD, length: 1)
        let length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2
        guard first >= 0xC2, first <= 0xF4, index + length <= count else { return invalid }
        let leadMask: UInt32 = length == 2 ? 0x1F : length == 3 ? 0x0F : 0x07
        var value = UInt32(first) & leadMask
        for offset in 1..<length {
            let byte = self[index + offset]
            guard byte & 0xC0 == 0x80 else { return invalid }
            value = value << 6 | UInt32(byte & 0x3F)
        }
        let smallest: UInt32 = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000
        guard value >= smallest, value <= 0x10FFFF, !(0xD800...0xDFFF).contains(value) else { return invalid }
        return ScalarInText(value: value, length: length)
    }

    /// The scalar that ends just before `index`.
    ///
    /// - Precondition: 0 < `index` ≤ `count`.
    func scalar(before index: Int) -> ScalarInText {
        var start = index - 1
        while start > 0, index - start < 4, self[start] & 0xC0 == 0x80 { start -= 1 }
        return scalar(at: start)
    }
}

extension [UInt8] {
    /// Appends the UTF-8 form of `scalar`.
    @inline(__always)
    mutating func appendScalar(_ scalar: UInt32) {
        if scalar < 0x80 {
            append(UInt8(scalar))
        } else if scalar < 0x800 {
            append(UInt8(0xC0 | scalar >> 6))
            append(UInt8(0x80 | scalar & 0x3F))
        } else if scalar < 0x10000 {
            append(UInt8(0xE0 | scalar >> 12))
            append(UInt8(0x80 | scalar >> 6 & 0x3F))
            append(UInt8(0x80 | scalar & 0x3F))
        } else {
            append(UInt8(0xF0 | scalar >> 18))
            append(UInt8(0x80 | scalar >> 12 & 0x3F))
            append(UInt8(0x80 | scalar >> 6 & 0x3F))
            append(UInt8(0x80 | scalar & 0x3F))
        }
    }

    /// The scalars of valid UTF-8 text.
    var scalars: [UInt32] {
        var result: [UInt32] = []
        var index = 0
        while index < count {
            let scalar = span.scalar(at: index)
            result.append(scalar.value)
            index += scalar.length
        }
        return result
    }

    /// The text with every malformed sequence replaced by U+FFFD, as `String(decoding:as:)` and Rust's lossy conversion
    /// do: one replacement per maximal part of a scalar.
    var repairedUTF8: [UInt8] {
        String(validating: self, as: UTF8.self) == nil ? Array(String(decoding: self, as: UTF8.self).utf8) : self
    }

    var isValidUTF8: Bool { String(validating: self, as: UTF8.self) != nil }
}

extension ArraySlice<UInt8> {
    /// The text without the blanks of Python's `str.strip` at its ends.
    func trimmingSpace(start: Bool = true) -> [UInt8] {
        func isSpace(_ scalar: Unicode.Scalar) -> Bool {
            ScalarProperties(scalar.value).isSpace || (0x1C...0x1F).contains(scalar.value)
        }
        var scalars = Substring(decoding: self, as: UTF8.self).unicodeScalars
        while start, let first = scalars.first, isSpace(first) { scalars.removeFirst() }
        while let last = scalars.last, isSpace(last) { scalars.removeLast() }
        return Array(Substring(scalars).utf8)
    }
}
