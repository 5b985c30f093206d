/// `markupsafe`: text that counts as HTML.
enum Markup {
    /// The value as HTML: markup as it is, everything else as text with its signs escaped.
    static func escape(_ value: TemplateValue, _ renderer: TemplateRenderer) throws(TemplateError) -> String {
        if case .markup(let text) = value { return text }
        return try escape(try PythonText.string(value, renderer), renderer)
    }

    /// The text with the signs of HTML escaped.
    static func escape(_ text: String, _ renderer: TemplateRenderer) throws(TemplateError) -> String {
        let escapes: [UInt8: String] = [
            UInt8(ascii: "&"): "&amp;", UInt8(ascii: "<"): "&lt;", UInt8(ascii: ">"): "&gt;",
            UInt8(ascii: "\""): "&#34;", UInt8(ascii: "'"): "&#39;",
        ]
        let length = text.utf8.reduce(0) { $0 + (escapes[$1]?.utf8.count ?? 1) }
        try renderer.charge(1, times: length)
        guard length > text.utf8.count else { return text }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(length)
        for byte in text.utf8 {
            if let escape = escapes[byte] { bytes += escape.utf8 } else { bytes.append(byte) }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The text without comments and tags, its entities read, its blanks joined.
    static func withoutTags(_ text: String, _ renderer: TemplateRenderer) throws(TemplateError) -> String {
        try renderer.charge(bytes: text.utf8.count * 2)
        var rest = text
        for (open, close) in [("<!--", "-->"), ("<", ">")] { rest = without(open, close, in: rest) }
        return unescape(PythonStrings.splitAtBlanks(rest).joined(separator: " "))
    }

    /// The text without what stands from each `open` to the next `close`.
    private static func without(_ open: String, _ close: String, in text: String) -> String {
        let bytes = Array(text.utf8)
        var kept: [UInt8] = []
        var place = 0
        while let start = PythonStrings.next(Array(open.utf8), in: bytes, from: place),
            let end = PythonStrings.next(Array(close.utf8), in: bytes, from: start + open.utf8.count)
        {
            kept += bytes[place..<start]
            place = end + close.utf8.count
        }
        return String(decoding: kept + bytes[place...], as: UTF8.self)
    }

    /// The text with the common named and all numbered entities read.
    private static func unescape(_ text: String) -> String {
        let names: [String: Unicode.Scalar] = [
            "amp": "&", "lt": "<", "gt": ">", "quot": "\"", "apos": "'", "nbsp": "\u{A0}", "copy": "©", "reg": "®",
            "hellip": "…", "ndash": "–", "mdash": "—", "lsquo": "‘", "rsquo": "’", "ldquo": "“", "rdquo": "”",
            "laquo": "«", "raquo": "»", "euro": "€", "middot": "·", "bull": "•", "trade": "™", "times": "×",
        ]
        var result = String.UnicodeScalarView()
        var rest = Substring(text).unicodeScalars
        while let scalar = rest.popFirst() {
            guard scalar == "&", let end = rest.prefix(12).firstIndex(of: ";") else {
                result.append(scalar)
                continue
            }
            let name = String(rest[..<end])
            let isHexadecimal = name.hasPrefix("#x") || name.hasPrefix("#X")
            let number =
                name.hasPrefix("#")
                ? UInt32(name.dropFirst(isHexadecimal ? 2 : 1), radix: isHexadecimal ? 16 : 10) : nil
            guard let found = names[name] ?? number.flatMap(Unicode.Scalar.init) else {
                result.append(scalar)
                continue
            }
            result.append(found)
            rest = rest[rest.index(after: end)...]
        }
        return String(result)
    }
}

extension TemplateValue {
    /// Another text of the same kind, markup or not.
    func with(text: String) -> TemplateValue { isMarkup ? .markup(text) : .string(text) }
}
