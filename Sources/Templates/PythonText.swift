/// How Python writes values as text.
enum PythonText {
    /// `str(value)`.
    static func string(_ value: TemplateValue) -> String {
        switch value {
        case .string(let text): text
        case .undefined, .unsafe: ""
        default: representation(value)
        }
    }

    /// `repr(value)`.
    static func representation(_ value: TemplateValue, depth: Int = 0) -> String {
        guard depth < 64 else { return "..." }
        func parts(_ values: [TemplateValue]) -> String {
            values.map { representation($0, depth: depth + 1) }.joined(separator: ", ")
        }
        switch value {
        case .undefined, .unsafe: return "Undefined"
        case .none: return "None"
        case .bool(let value): return value ? "True" : "False"
        case .integer(let value): return String(value)
        case .float(let value): return float(value)
        case .string(let text): return quoted(text)
        case .list(let elements): return "[" + parts(elements) + "]"
        case .tuple(let elements): return "(" + parts(elements) + (elements.count == 1 ? ",)" : ")")
        case .dictionary(let dictionary):
            return "{"
                + dictionary.entries.map {
                    representation($0.key, depth: depth + 1) + ": " + representation($0.value, depth: depth + 1)
                }.joined(separator: ", ") + "}"
        case .sequence(let sequence): return sequence.representation(parts)
        case .counter: return "<\(value.kind)>"
        case .namespace: return "<Namespace>"
        case .macro(let macro):
            return macro.definition.isCaller ? "<Macro anonymous>" : "<Macro \(quoted(macro.definition.name))>"
        case .function(let name), .method(_, let name): return "<function \(name)>"
        case .loop(let loop): return "<LoopContext \(loop.index + 1)/\(loop.elements.count)>"
        }
    }

    /// `repr` of a float: the shortest digits, an exponent below 1e-4 and from 1e16.
    static func float(_ value: Double) -> String {
        if value.isNaN { return "nan" }
        if value.isInfinite { return value < 0 ? "-inf" : "inf" }
        if value.magnitude < 1e16, value == value.rounded(), value.magnitude >= 1 { return "\(Int(value)).0" }
        return value.description
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

    /// `\\w` of `re`.
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

    func text(_ value: TemplateValue, depth: Int = 0) throws(TemplateError) -> String {
        guard depth < 128 else { throw TemplateError(.limit, "a value nested more than 128 deep") }
        switch value {
        case .none: return "null"
        case .bool(let value): return value ? "true" : "false"
        case .integer(let value): return String(value)
        case .float(let value):
            if value.isNaN { return "NaN" }
            return value.isInfinite ? (value < 0 ? "-Infinity" : "Infinity") : PythonText.float(value)
        case .string(let text): return quoted(text)
        case .list(let elements), .tuple(let elements):
            var parts: [String] = []
            for element in elements { parts.append(try self.text(element, depth: depth + 1)) }
            return enclose(parts, "[", "]", depth)
        case .dictionary(let dictionary):
            var entries: [(key: String, value: TemplateValue)] = []
            for (key, value) in dictionary.entries { entries.append((try self.key(key), value)) }
            if sortsKeys { entries.sort { $0.key.unicodeScalars.lexicographicallyPrecedes($1.key.unicodeScalars) } }
            var parts: [String] = []
            for (key, value) in entries {
                parts.append(quoted(key) + keySeparator + (try text(value, depth: depth + 1)))
            }
            return enclose(parts, "{", "}", depth)
        default: throw TemplateError(.type, "Object of type \(value.kind) is not JSON serializable")
        }
    }

    private func key(_ key: TemplateValue) throws(TemplateError) -> String {
        switch key {
        case .string(let text): return text
        case .bool, .none, .integer, .float: return try text(key)
        default: throw TemplateError(.type, "keys must be str, int, float, bool or None, not \(key.kind)")
        }
    }

    private func enclose(_ parts: [String], _ open: String, _ close: String, _ depth: Int) -> String {
        guard !parts.isEmpty else { return open + close }
        guard let indent else { return open + parts.joined(separator: itemSeparator) + close }
        func line(_ level: Int) -> String { "\n" + String(repeating: " ", count: indent * level) }
        return open + line(depth + 1) + parts.joined(separator: itemSeparator + line(depth + 1)) + line(depth) + close
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
