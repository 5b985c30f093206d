/// A path as routes have it, whatever base address a client has put it behind.
enum RequestPath {
    /// The path with one slash for several, and with none at its end.
    static func plain(_ path: String) -> String {
        let slash = UInt8(ascii: "/")
        var bytes: [UInt8] = []
        for byte in path.utf8 where byte != slash || bytes.last != slash { bytes.append(byte) }
        if bytes.count > 1, bytes.last == slash { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// A part of a path without percent-encoding (RFC 3986, section 2.1); itself where it is not well-formed.
    static func decoded(_ part: String) -> String {
        var (bytes, rest) = ([UInt8](), Array(part.utf8)[...])
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = rest.prefix(2)
            guard digits.count == 2, digits.allSatisfy({ Unicode.Scalar($0).properties.isASCIIHexDigit }),
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
            else { return part }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self) ?? part
    }
}
