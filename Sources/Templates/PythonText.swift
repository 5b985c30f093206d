/// Text of values as Python writes it.
enum PythonText {
    /// `str(value)`.
    static func string(_ value: TemplateValue, _ renderer: TemplateRenderer) throws(TemplateError) -> String {
        switch value {
        case .string(let text), .markup(let text): text
        case .undefined, .unsafe: ""
        default: try representation(value, renderer)
        }
    }

    /// `repr(value)`. Every value in it is charged, and its text, before it is joined.
    static func representation(_ value: TemplateValue, _ renderer: TemplateRenderer) throws(TemplateError) -> String {
        try renderer.charge(0)
        func parts(_ values: some Sequence<TemplateValue>) throws(TemplateError) -> String {
            var result = ""
            for value in values {
                if !result.isEmpty { result += ", " }
                let part = try representation(value, renderer)
                try renderer.charge(bytes: part.utf8.count)
                result += part
            }
            return result
        }
        switch value {
        case .undefined, .unsafe: return "Undefined"
        case .none: return "None"
        case .bool(let value): return value ? "True" : "False"
        case .integer(let value): return String(value)
        case .wide(let value): return String(value)
        case .float(let value): return float(value)
        case .string(let text):
            try renderer.charge(bytes: text.utf8.count)
            return quoted(text)
        case .markup(let text):
            try renderer.charge(bytes: text.utf8.count)
            return "Markup(\(quoted(text)))"
        case .list(let elements): return "[" + (try parts(elements)) + "]"
        case .tuple(let elements): return "(" + (try parts(elements)) + (elements.count == 1 ? ",)" : ")")
        case .dictionary(let dictionary): return try representation(of: dictionary, renderer)
        case .sequence(let sequence):
            return try sequence.representation { elements throws(TemplateError) in try parts(elements) }
        case .counter: return "<\(value.kind)>"
        case .namespace: return "<Namespace>"
        case .macro(let macro):
            return macro.definition.isCaller ? "<Macro anonymous>" : "<Macro \(quoted(macro.definition.name))>"
        case .function(let name), .method(_, let name): return "<function \(name)>"
        case .block(let name): return "<\(name.map { "BlockReference \(quoted($0))" } ?? value.kind)>"
        case .loop(let loop): return "<LoopContext \(loop.index + 1)/\(loop.memory.elements.count)>"
        }
    }

    private static func representation(
        of dictionary: TemplateDictionary, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> String {
        var result = "{"
        for (index, (key, value)) in dictionary.entries.enumerated() {
            if index > 0 { result += ", " }
            result += try representation(key, renderer) + ": " + (try representation(value, renderer))
        }
        try renderer.charge(bytes: result.utf8.count)
        return result + "}"
    }

    /// `repr` of a float: the shortest digits, an exponent below 1e-4 and from 1e16.
    static func float(_ value: Double) -> String {
        if value.isNaN { return "nan" }
        if value.isInfinite { return value < 0 ? "-inf" : "inf" }
        if value.magnitude < 1e16, value == value.rounded(), value.magnitude >= 1 { return "\(Int(value)).0" }
        return value.description
    }

    /// `float(text)`; nil where Python raises an error.
    static func number(_ text: String) -> Double? {
        let text = strip(text)
        let isWord = ["inf", "infinity", "nan"].contains {
            $0.utf8.elementsEqual(text.lowercased().drop { "+-".contains($0) }.utf8)
        }
        let allowed = text.utf8.allSatisfy { (0x30...0x39).contains($0) || "+-.eE_".utf8.contains($0) }
        guard isWord || allowed, let digits = withoutUnderscores(text) else { return nil }
        return Double(digits)
    }

    /// `int(text, base)`; nil where Python raises an error, or the number is beyond 127 bits.
    static func integer(_ text: String, base: Int) -> Int128? {
        var digits = strip(text)[...]
        let isNegative = digits.utf8.first == UInt8(ascii: "-")
        if isNegative || digits.utf8.first == UInt8(ascii: "+") { digits = digits.dropFirst() }
        var base = base
        let prefixes = [(2, "0b"), (8, "0o"), (16, "0x")]
        if let (radix, _) = prefixes.first(where: { digits.lowercased().hasPrefix($0.1) }), base == radix || base == 0 {
            digits = digits.dropFirst(2)
            if digits.utf8.first == UInt8(ascii: "_") { digits = digits.dropFirst() }
            base = radix
        }
        if base == 0 { base = 10 }
        guard (2...36).contains(base), let plain = withoutUnderscores(String(digits)),
            plain.utf8.first.map({ $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: "+") }) ?? false
        else { return nil }
        return Int128((isNegative ? "-" : "") + plain, radix: base)
    }

    /// The digits without the single underscores between them; nil where one stands elsewhere.
    private static func withoutUnderscores(_ text: String) -> String? {
        var result: [UInt8] = []
        var last = UInt8(ascii: "_")
        for byte in text.utf8 {
            if byte == UInt8(ascii: "_"), last == byte { return nil }
            if byte != UInt8(ascii: "_") { result.append(byte) }
            last = byte
        }
        return last == UInt8(ascii: "_") ? nil : String(decoding: result, as: UTF8.self)
    }

    /// `repr` of a text: single quotes unless only they occur in it, escapes for what cannot be printed.
    static func quoted(_ text: String) -> String {
        let hasSingle = text.utf8.contains(UInt8(ascii: "'"))
        let quote: Unicode.Scalar = hasSingle && !text.utf8.contains(UInt8(ascii: "\"")) ? "\"" : "'"
        var result = String.UnicodeScalarView()
        result.append(quote)
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": result.append(contentsOf: "\\n".unicodeScalars)
            case "\r": result.append(contentsOf: "\\r".unicodeScalars)
            case "\t": result.append(contentsOf: "\\t".unicodeScalars)
            case "\\": result.append(contentsOf: "\\\\".unicodeScalars)
            case quote:
                result.append("\\")
                result.append(scalar)
            default:
                if isPrintable(scalar) {
                    result.append(scalar)
                } else {
                    let digits = String(scalar.value, radix: 16)
                    let (mark, width) = scalar.value < 0x100 ? ("x", 2) : scalar.value < 0x10000 ? ("u", 4) : ("U", 8)
                    let zeros = String(repeating: "0", count: max(0, width - digits.utf8.count))
                    result.append(contentsOf: "\\\(mark)\(zeros)\(digits)".unicodeScalars)
                }
            }
        }
        result.append(quote)
        return String(result)
    }

    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        // Separators and others (categories Z and C) are escaped, save the space.
        switch scalar.properties.generalCategory {
        case .spaceSeparator: scalar == " "
        case .lineSeparator, .paragraphSeparator, .control, .format, .surrogate, .privateUse, .unassigned: false
        default: true
        }
    }

    static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isWhitespace || (0x1C...0x1F).contains(scalar.value)
    }

    static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
        default: false
        }
    }

    static func isNumber(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.numericType != nil }

    /// Returns whether a scalar is of `\w` of `re`.
    static func isWord(_ scalar: Unicode.Scalar) -> Bool { isLetter(scalar) || isNumber(scalar) || scalar == "_" }

    /// The text without blanks, or without the scalars of `set`, at its ends.
    static func strip(_ text: String, left: Bool = true, right: Bool = true, _ set: String? = nil) -> String {
        let members = set.map { Array($0.unicodeScalars) }
        func drops(_ scalar: Unicode.Scalar) -> Bool { members?.contains(scalar) ?? isSpace(scalar) }
        var scalars = Substring(text).unicodeScalars
        while left, let first = scalars.first, drops(first) { scalars.removeFirst() }
        while right, let last = scalars.last, drops(last) { scalars.removeLast() }
        return String(scalars)
    }
}

/// `json.dumps`.
struct PythonJSON {
    var indent: Int?
    var itemSeparator: String
    var keySeparator: String
    var escapesNonASCII = false
    var sortsKeys = false

    let renderer: TemplateRenderer

    func text(_ value: TemplateValue, depth: Int = 0) throws(TemplateError) -> String {
        try renderer.charge(0)
        switch value {
        case .none: return "null"
        case .bool(let value): return value ? "true" : "false"
        case .integer(let value): return String(value)
        case .wide(let value): return String(value)
        case .float(let value):
            if value.isNaN { return "NaN" }
            return value.isInfinite ? (value < 0 ? "-Infinity" : "Infinity") : PythonText.float(value)
        case .string(let text), .markup(let text):
            try renderer.charge(bytes: text.utf8.count)
            return quoted(text)
        case .list(let elements), .tuple(let elements):
            var parts: [String] = []
            for element in elements { parts.append(try self.text(element, depth: depth + 1)) }
            return try enclose(parts, "[", "]", depth)
        case .dictionary(let dictionary):
            var entries: [(key: String, value: TemplateValue)] = []
            for (key, value) in dictionary.entries { entries.append((try self.key(key), value)) }
            if sortsKeys { entries.sort { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) } }
            var parts: [String] = []
            for (key, value) in entries {
                try renderer.charge(bytes: key.utf8.count)
                parts.append(quoted(key) + keySeparator + (try text(value, depth: depth + 1)))
            }
            return try enclose(parts, "{", "}", depth)
        default: throw TemplateError(.type, "Object of type \(value.kind) is not JSON serializable")
        }
    }

    private func key(_ key: TemplateValue) throws(TemplateError) -> String {
        switch key {
        case .string(let text), .markup(let text): return text
        case .bool, .none, .integer, .wide, .float: return try text(key)
        default: throw TemplateError(.type, "keys must be str, int, float, bool or None, not \(key.kind)")
        }
    }

    private func enclose(_ parts: [String], _ open: String, _ close: String, _ depth: Int) throws(TemplateError)
        -> String
    {
        guard !parts.isEmpty else { return open + close }
        func line(_ level: Int) -> String { indent.map { "\n" + String(repeating: " ", count: $0 * level) } ?? "" }
        let separator = itemSeparator + line(depth + 1)
        try renderer.charge(parts.count, times: separator.utf8.count)
        try renderer.charge(bytes: parts.reduce(0) { $0 + $1.utf8.count })
        return open + line(depth + 1) + parts.joined(separator: separator) + line(depth) + close
    }

    private func quoted(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        result.append("\"")
        func append(_ text: String) { result.append(contentsOf: text.unicodeScalars) }
        func escape(_ unit: UInt32) {
            let digits = String(unit, radix: 16)
            append("\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits)
        }
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": append("\\\"")
            case "\\": append("\\\\")
            case "\n": append("\\n")
            case "\r": append("\\r")
            case "\t": append("\\t")
            case "\u{8}": append("\\b")
            case "\u{C}": append("\\f")
            default:
                if scalar.value < 0x20 || escapesNonASCII && scalar.value > 0x7E {
                    for unit in String(scalar).utf16 { escape(UInt32(unit)) }
                } else {
                    result.append(scalar)
                }
            }
        }
        result.append("\"")
        return String(result)
    }
}
