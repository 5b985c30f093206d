/// A token of a template: a text, a tag's bracket, or a part of what stands between brackets.
struct TemplateToken: Sendable {
    /// The kind of a token.
    enum Kind: Sendable, Equatable {
        case text
        case blockBegin
        case blockEnd
        case variableBegin
        case variableEnd
        case name
        case string
        case integer
        case float
        case sign
        case end
    }

    let kind: Kind
    let text: String
    let line: Int

    func isSign(_ sign: String) -> Bool { kind == .sign && text.utf8.elementsEqual(sign.utf8) }
    func isName(_ name: String) -> Bool { kind == .name && text.utf8.elementsEqual(name.utf8) }
}

/// A lexer, which cuts a template into text, tags and the tokens inside tags, with Jinja2's whitespace rules
/// (`trim_blocks`, `lstrip_blocks`).
struct TemplateLexer {
    private let source: [UInt8]
    private var position = 0
    private var line = 1
    private var tokens: [TemplateToken] = []
    /// True where what was read last ended a line, so that blanks before a tag may go.
    private var startsLine = true

    init(_ source: String) {
        // Line ends become newlines; one at the very end is dropped.
        var bytes: [UInt8] = []
        bytes.reserveCapacity(source.utf8.count)
        var last: UInt8 = 0
        for byte in source.utf8 {
            if byte == 10, last == 13 {
                last = 0
                continue
            }
            bytes.append(byte == 13 ? 10 : byte)
            last = byte
        }
        if bytes.last == 10 { bytes.removeLast() }
        self.source = bytes
    }

    static func tokens(_ source: String) throws(TemplateError) -> [TemplateToken] {
        var lexer = TemplateLexer(source)
        try lexer.run()
        return lexer.tokens
    }

    private func starts(_ text: String, at index: Int) -> Bool {
        var place = index
        for byte in text.utf8 {
            guard place < source.count, source[place] == byte else { return false }
            place += 1
        }
        return true
    }

    private func error(_ message: String) -> TemplateError { TemplateError(.syntax, message, line: line) }

    /// The maximum number of tokens of a template: what a text of the largest size can hold of them would take a
    /// hundred times its bytes.
    static let maximumTokens = 200_000

    private mutating func add(_ kind: TemplateToken.Kind, _ text: String = "") {
        tokens.append(TemplateToken(kind: kind, text: text, line: line))
    }

    private mutating func advance(to end: Int) {
        for index in position..<end where source[index] == 10 { line += 1 }
        if end > position { startsLine = source[end - 1] == 10 }
        position = end
    }

    private mutating func run() throws(TemplateError) {
        while position < source.count {
            try checkCount()
            guard let tag = nextTag() else {
                add(.text, String(decoding: source[position...], as: UTF8.self))
                advance(to: source.count)
                break
            }
            let sign = tag + 2 < source.count ? source[tag + 2] : 0
            let isVariable = source[tag + 1] == UInt8(ascii: "{")
            emitText(to: tag, sign: sign, isVariable: isVariable)
            let hasSign = sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+")
            // A sign that might begin an expression belongs to the tag all the same, as in Jinja2.
            advance(to: tag + 2 + (hasSign ? 1 : 0))
            switch source[tag + 1] {
            case UInt8(ascii: "#"): try skipComment()
            case UInt8(ascii: "{"):
                add(.variableBegin)
                try lexTag(closing: "}}", .variableEnd)
            default:
                if let end = rawBegin() {
                    try lexRaw(from: end)
                } else {
                    add(.blockBegin)
                    try lexTag(closing: "%}", .blockEnd)
                }
            }
        }
        add(.end)
    }

    private func checkCount() throws(TemplateError) {
        guard tokens.count <= TemplateLexer.maximumTokens else {
            throw TemplateError(
                .limit, "a template of more than \(TemplateLexer.maximumTokens) words and signs", line: line)
        }
    }

    private func nextTag() -> Int? {
        var index = position
        while index + 1 < source.count {
            if source[index] == UInt8(ascii: "{") {
                let next = source[index + 1]
                if next == UInt8(ascii: "{") || next == UInt8(ascii: "%") || next == UInt8(ascii: "#") { return index }
            }
            index += 1
        }
        return nil
    }

    /// The text before a tag, its end stripped as the tag's sign and the rule for blocks say.
    private mutating func emitText(to tag: Int, sign: UInt8, isVariable: Bool) {
        var end = tag
        if sign == UInt8(ascii: "-") {
            let text = String(decoding: source[position..<tag], as: UTF8.self)
            end = position + PythonText.strip(text, left: false).utf8.count
        } else if sign != UInt8(ascii: "+"), !isVariable {
            let lineStart = source[position..<tag].lastIndex(of: 10).map { $0 + 1 } ?? position
            if lineStart > position || startsLine {
                let text = String(decoding: source[lineStart..<tag], as: UTF8.self)
                if text.unicodeScalars.allSatisfy(PythonText.isSpace) { end = lineStart }
            }
        }
        if end > position { add(.text, String(decoding: source[position..<end], as: UTF8.self)) }
        advance(to: tag)
    }

    /// Reads the end of a tag at `index`: its length with the blanks that it takes along, or nil.
    private func tagEnd(_ closing: String, at index: Int, trimsNewline: Bool) -> Int? {
        if starts("-" + closing, at: index) {
            var end = index + 1 + closing.utf8.count
            let rest = String(decoding: source[end...], as: UTF8.self).unicodeScalars
            for scalar in rest.prefix(while: PythonText.isSpace) { end += UTF8.width(scalar) }
            return end
        }
        if trimsNewline, starts("+" + closing, at: index) { return index + 1 + closing.utf8.count }
        guard starts(closing, at: index) else { return nil }
        let end = index + closing.utf8.count
        return trimsNewline && end < source.count && source[end] == 10 ? end + 1 : end
    }

    private mutating func skipComment() throws(TemplateError) {
        var index = position
        while index < source.count {
            if let end = tagEnd("#}", at: index, trimsNewline: true) { return advance(to: end) }
            index += 1
        }
        throw error("Missing end of comment tag")
    }

    /// The end of `raw %}` when the tag at hand opens a raw block.
    private func rawBegin() -> Int? {
        var index = skipSpaces(position)
        guard starts("raw", at: index) else { return nil }
        index = skipSpaces(index + 3)
        return tagEnd("%}", at: index, trimsNewline: false)
    }

    private func skipSpaces(_ start: Int) -> Int {
        var index = start
        while index < source.count, [9, 10, 11, 12, 13, 32].contains(source[index]) { index += 1 }
        return index
    }

    private mutating func lexRaw(from start: Int) throws(TemplateError) {
        advance(to: start)
        var index = start
        while index < source.count {
            if starts("{%", at: index) {
                var inner = index + 2
                let sign = inner < source.count ? source[inner] : 0
                if sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") { inner += 1 }
                inner = skipSpaces(inner)
                if starts("endraw", at: inner), let end = tagEnd("%}", at: skipSpaces(inner + 6), trimsNewline: true) {
                    emitText(to: index, sign: sign, isVariable: false)
                    return advance(to: end)
                }
            }
            index += 1
        }
        throw error("Missing end of raw directive")
    }

    private mutating func lexTag(closing: String, _ endKind: TemplateToken.Kind) throws(TemplateError) {
        var brackets: [UInt8] = []
        while true {
            try checkCount()
            advance(to: skipSpaces(position))
            guard position < source.count else { throw error("unexpected end of template inside a tag") }
            if brackets.isEmpty, let end = tagEnd(closing, at: position, trimsNewline: endKind == .blockEnd) {
                add(endKind)
                return advance(to: end)
            }
            let byte = source[position]
            switch byte {
            case UInt8(ascii: "'"), UInt8(ascii: "\""): try lexString(byte)
            case UInt8(ascii: "0")...UInt8(ascii: "9"): lexNumber()
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"),
                0x80...0xFF:
                lexName()
            default: try lexSign(byte, &brackets)
            }
        }
    }

    private mutating func lexName() {
        var end = position
        while end < source.count {
            let byte = source[end]
            let isPart =
                byte >= 0x80 || byte == UInt8(ascii: "_") || Unicode.Scalar(byte).properties.isAlphabetic
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            guard isPart else { break }
            end += 1
        }
        add(.name, String(decoding: source[position..<end], as: UTF8.self))
        advance(to: end)
    }

    /// A number as Python writes it: `0x1F`, `0o17`, `0b1`, `1_000`, `1.5`, `2e-3`.
    private mutating func lexNumber() {
        var end = digits(position) { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        var isFloat = false
        let isIndex = position > 0 && source[position - 1] == UInt8(ascii: ".")
        func decimal(_ start: Int) -> Int { digits(start) { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } }
        if !isIndex, end < source.count, source[end] == UInt8(ascii: "."), decimal(end + 1) > end + 1 {
            isFloat = true
            end = decimal(end + 1)
        }
        if !isIndex, end < source.count, source[end] | 0x20 == UInt8(ascii: "e") {
            var exponent = end + 1
            if exponent < source.count, source[exponent] == UInt8(ascii: "+") || source[exponent] == UInt8(ascii: "-") {
                exponent += 1
            }
            if decimal(exponent) > exponent {
                isFloat = true
                end = decimal(exponent)
            }
        }
        if !isFloat { end = integerEnd(end) }
        let spelled = source[position..<end].filter { $0 != UInt8(ascii: "_") }
        add(isFloat ? .float : .integer, String(decoding: spelled, as: UTF8.self))
        advance(to: end)
    }

    /// The end of a whole number that has decimal digits up to `end`: one with a prefix goes on, zeros end before other
    /// digits.
    private func integerEnd(_ end: Int) -> Int {
        guard source[position] == UInt8(ascii: "0") else { return end }
        func part(_ digit: (UInt8) -> Bool) -> Int? {
            let start =
                position + 2 + (position + 2 < source.count && source[position + 2] == UInt8(ascii: "_") ? 1 : 0)
            let end = digits(start, digit)
            return end > start ? end : nil
        }
        let letter = position + 1 < source.count ? source[position + 1] | 0x20 : 0
        let (zero, nine) = (UInt8(ascii: "0"), UInt8(ascii: "9"))
        switch letter {
        case UInt8(ascii: "x"):
            if let end = part({ (zero...nine).contains($0) || (0x61...0x66).contains($0 | 0x20) }) { return end }
        case UInt8(ascii: "o"): if let end = part({ (zero...zero + 7).contains($0) }) { return end }
        case UInt8(ascii: "b"): if let end = part({ (zero...zero + 1).contains($0) }) { return end }
        default: break
        }
        return digits(position) { $0 == zero }
    }

    /// The end of the digits at `start`, single underscores between them.
    private func digits(_ start: Int, _ isDigit: (UInt8) -> Bool) -> Int {
        var end = start
        while end < source.count {
            if isDigit(source[end]) {
                end += 1
            } else if source[end] == UInt8(ascii: "_"), end > start, end + 1 < source.count, isDigit(source[end + 1]) {
                end += 2
            } else {
                break
            }
        }
        return end
    }

    private mutating func lexString(_ quote: UInt8) throws(TemplateError) {
        var end = position + 1
        while end < source.count, source[end] != quote { end += source[end] == UInt8(ascii: "\\") ? 2 : 1 }
        guard end < source.count else { throw error("unexpected char '\(quote == 39 ? "'" : "\"")'") }
        add(.string, try PythonEscapes.decode(Array(source[(position + 1)..<end]), line: line))
        advance(to: end + 1)
    }

    private mutating func lexSign(_ byte: UInt8, _ brackets: inout [UInt8]) throws(TemplateError) {
        for sign in ["**", "//", "==", "!=", "<=", ">="] where starts(sign, at: position) {
            add(.sign, sign)
            return advance(to: position + 2)
        }
        let pairs: [UInt8: UInt8] = [
            UInt8(ascii: ")"): UInt8(ascii: "("), UInt8(ascii: "]"): UInt8(ascii: "["),
            UInt8(ascii: "}"): UInt8(ascii: "{"),
        ]
        let sign = String(Unicode.Scalar(byte))
        if pairs.values.contains(byte) {
            brackets.append(byte)
        } else if let open = pairs[byte] {
            guard brackets.popLast() == open else { throw error("unexpected '\(sign)'") }
        } else if !"+-*/%~<>=.,:|;".utf8.contains(byte) {
            throw error("unexpected char '\(sign)'")
        }
        add(.sign, sign)
        advance(to: position + 1)
    }
}
