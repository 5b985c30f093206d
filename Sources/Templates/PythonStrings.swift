import MartletJSON

/// Python's methods of `str`, on bytes and scalars.
enum PythonStrings {
    /// The byte at which `part` first stands in `text`.
    static func find(_ part: String, in text: String, from start: Int = 0) -> Int? {
        let (needle, bytes) = (Array(part.utf8), Array(text.utf8))
        guard start <= bytes.count else { return nil }
        if needle.isEmpty { return start }
        return next(needle, in: bytes, from: start)
    }

    /// The first byte at or after `start` at which `needle`, which is not empty, stands in `bytes`; in linear time
    /// (Knuth, Morris and Pratt, 1977).
    static func next(_ needle: [UInt8], in bytes: [UInt8], from start: Int) -> Int? {
        // For each length of a match: the longest shorter one that its end begins again.
        var shorter = [0]
        var length = 0
        for index in needle.indices.dropFirst() {
            while length > 0, needle[length] != needle[index] { length = shorter[length - 1] }
            if needle[length] == needle[index] { length += 1 }
            shorter.append(length)
        }
        length = 0
        for index in bytes.indices.dropFirst(start) {
            while length > 0, needle[length] != bytes[index] { length = shorter[length - 1] }
            if needle[length] == bytes[index] { length += 1 }
            if length == needle.count { return index + 1 - length }
        }
        return nil
    }

    /// `text.swapcase()`.
    static func swapCase(_ text: String) -> String {
        text.unicodeScalars.reduce(into: "") {
            $0 += $1.properties.isUppercase ? $1.properties.lowercaseMapping : $1.properties.uppercaseMapping
        }
    }

    /// `text.replace(old, new, limit)`, charged before it is made.
    static func replace(
        _ text: String, _ old: String, _ new: String, limit: Int = .max, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> String {
        if old.utf8.isEmpty {
            let places = min(limit, text.unicodeScalars.count + 1)
            try renderer.charge(places, times: new.utf8.count)
            // Python puts the new text before every scalar and at the end.
            var result = ""
            var left = limit
            for scalar in text.unicodeScalars {
                if left > 0 { result += new }
                left -= 1
                result.unicodeScalars.append(scalar)
            }
            return left > 0 ? result + new : result
        }
        let (bytes, needle) = (Array(text.utf8), Array(old.utf8))
        let places = occurrences(of: needle, in: bytes, limit)
        try renderer.charge(places, times: new.utf8.count)
        try renderer.charge(1, times: bytes.count)
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count + places * new.utf8.count - places * needle.count)
        var start = 0
        for _ in 0..<places {
            guard let place = next(needle, in: bytes, from: start) else { break }
            result += bytes[start..<place]
            result += new.utf8
            start = place + needle.count
        }
        result += bytes[start...]
        return String(decoding: result, as: UTF8.self)
    }

    /// The number of times that `needle` stands in `bytes` without overlap, at most `limit`.
    private static func occurrences(of needle: [UInt8], in bytes: [UInt8], _ limit: Int) -> Int {
        var (count, start) = (0, 0)
        while count < limit, let place = next(needle, in: bytes, from: start) {
            count += 1
            start = place + needle.count
        }
        return count
    }

    /// `text.split(separator, limit)`; every part is charged.
    static func split(_ text: String, _ separator: String, limit: Int = .max, _ renderer: TemplateRenderer)
        throws(TemplateError) -> [String]
    {
        let (bytes, needle) = (Array(text.utf8), Array(separator.utf8))
        var parts: [String] = []
        var start = 0
        while !needle.isEmpty, parts.count < limit, let match = next(needle, in: bytes, from: start) {
            try renderer.charge(bytes: match - start)
            parts.append(String(decoding: bytes[start..<match], as: UTF8.self))
            start = match + needle.count
        }
        parts.append(String(decoding: bytes[start...], as: UTF8.self))
        return parts
    }

    static func splitFromRight(_ text: String, _ separator: String, _ limit: Int, _ renderer: TemplateRenderer)
        throws(TemplateError) -> [String]
    {
        let parts = try split(text, separator, renderer)
        guard limit >= 0, parts.count > limit + 1 else { return parts }
        let head = parts[..<(parts.count - limit)].joined(separator: separator)
        return [head] + parts[(parts.count - limit)...]
    }

    /// The words between blanks; of more than `limit` splits the rest stays whole.
    static func splitAtBlanks(_ text: String, _ limit: Int = .max) -> [String] {
        var parts: [String] = []
        var rest = Substring(PythonText.strip(text, right: false)).unicodeScalars
        while !rest.isEmpty {
            if parts.count >= limit {
                parts.append(PythonText.strip(String(rest), left: false))
                break
            }
            let end = rest.firstIndex(where: PythonText.isSpace) ?? rest.endIndex
            parts.append(String(rest[..<end]))
            rest = rest[end...]
            while let first = rest.first, PythonText.isSpace(first) { rest.removeFirst() }
        }
        return parts
    }

    static func lines(_ text: String, keepsEnds: Bool) -> [String] {
        var lines: [String] = []
        var line = String.UnicodeScalarView()
        var afterReturn = false
        for scalar in text.unicodeScalars {
            if afterReturn {
                afterReturn = false
                if scalar == "\n" {
                    if keepsEnds { lines[lines.count - 1].unicodeScalars.append(scalar) }
                    continue
                }
            }
            switch scalar.value {
            case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029:
                if keepsEnds { line.append(scalar) }
                lines.append(String(line))
                line = String.UnicodeScalarView()
                afterReturn = scalar == "\r"
            default: line.append(scalar)
            }
        }
        if !line.isEmpty { lines.append(String(line)) }
        return lines
    }

    static func upper(_ text: String) -> String {
        text.unicodeScalars.reduce(into: "") { $0 += $1.properties.uppercaseMapping }
    }

    static func lower(_ text: String) -> String { text.lowercasedWithFinalSigma }

    /// The first scalar of each run of letters in title case, the others lower (`str.title`).
    static func title(_ text: String, startsWordsAtBlanksOnly: Bool = false) -> String {
        var result = ""
        var inWord = false
        for scalar in text.unicodeScalars {
            let isPart =
                startsWordsAtBlanksOnly
                ? !(PythonText.isSpace(scalar) || "-({[<".unicodeScalars.contains(scalar)) : scalar.properties.isCased
            result += inWord ? scalar.properties.lowercaseMapping : scalar.properties.titlecaseMapping
            inWord = isPart
        }
        return result
    }

    static func capitalize(_ text: String) -> String {
        guard let first = text.unicodeScalars.first else { return text }
        return first.properties.titlecaseMapping
            + lower(String(String.UnicodeScalarView(text.unicodeScalars.dropFirst())))
    }

    /// Returns whether upper case begins each run of letters with case, and only there.
    static func isTitle(_ text: String) -> Bool {
        var (inWord, hasWord) = (false, false)
        for scalar in text.unicodeScalars {
            let properties = scalar.properties
            let isUpper = properties.isUppercase || properties.generalCategory == .titlecaseLetter
            guard isUpper || properties.isLowercase else {
                inWord = false
                continue
            }
            guard isUpper != inWord else { return false }
            (inWord, hasWord) = (true, true)
        }
        return hasWord
    }

    /// Blanks up to the next column that `width` divides for each tab.
    static func expandTabs(_ text: String, _ width: Int, _ renderer: TemplateRenderer) throws(TemplateError) -> String {
        try renderer.charge(text.utf8.count(where: { $0 == 9 }), times: max(0, width))
        var result = String.UnicodeScalarView()
        var column = 0
        for scalar in text.unicodeScalars {
            if scalar == "\t" {
                let blanks = width > 0 ? width - column % width : 0
                result.append(contentsOf: repeatElement(" ", count: blanks))
                column += blanks
            } else {
                result.append(scalar)
                column = scalar == "\n" || scalar == "\r" ? 0 : column + 1
            }
        }
        return String(result)
    }

    static func count(_ part: String, in text: String) -> Int {
        if part.utf8.isEmpty { return text.unicodeScalars.count + 1 }
        return occurrences(of: Array(part.utf8), in: Array(text.utf8), .max)
    }

    static func starts(_ text: String, with part: String) -> Bool { text.utf8.starts(with: part.utf8) }
    static func ends(_ text: String, with part: String) -> Bool {
        text.utf8.reversed().starts(with: part.utf8.reversed())
    }

    /// `text` with blanks (or `fill`) up to `width` scalars.
    static func pad(
        _ text: String, _ width: Int, _ fill: String, left: Bool, right: Bool, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> String {
        let count = text.unicodeScalars.count
        guard width > count else { return text }
        let missing = width - count
        try renderer.charge(missing, times: fill.utf8.count)
        let before = left ? (right ? missing / 2 + (missing & width & 1) : missing) : 0
        return String(repeating: fill, count: before) + text
            + String(repeating: fill, count: right ? missing - before : 0)
    }
}
