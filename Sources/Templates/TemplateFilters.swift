/// Jinja2's filters, with `tojson` as transformers defines it for chat templates.
enum TemplateFilters {
    private static let names: Set<String> = [
        "abs", "attr", "batch", "capitalize", "center", "count", "d", "default", "dictsort", "e", "escape", "first",
        "float",
        "forceescape", "format", "groupby", "indent", "int", "items", "join", "last", "length", "list", "lower", "map",
        "max",
        "min", "reject", "rejectattr", "replace", "reverse", "round", "safe", "select", "selectattr", "slice", "sort",
        "string",
        "sum", "title", "tojson", "trim", "truncate", "unique", "upper", "urlencode", "wordcount",
    ]

    static func isKnown(_ name: String) -> Bool { names.contains(name) }

    static func apply(
        _ name: String, to value: TemplateValue, _ arguments: TemplateArguments, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue {
        if let result = try SequenceFilters.apply(name, to: value, arguments, renderer) { return result }
        let text = PythonText.string(value)
        try renderer.charge(text.utf8.count / 16)
        switch name {
        case "default", "d":
            if arguments.named.contains(where: { $0.name.utf8.elementsEqual("value".utf8) }) {
                throw TemplateError(.type, "do_default() got multiple values for argument 'value'")
            }
            let isMissing = value.isUndefined || (arguments.value(1, "boolean")?.isTrue ?? false) && !value.isTrue
            return isMissing ? arguments.value(0, "default_value") ?? .string("") : value
        case "string", "safe": return .string(text)
        case "trim": return .string(PythonText.strip(text, try arguments.text(0, "chars")))
        case "upper": return .string(PythonStrings.upper(text))
        case "lower": return .string(PythonStrings.lower(text))
        case "title": return .string(PythonStrings.title(text, startsWordsAtBlanksOnly: true))
        case "capitalize": return .string(PythonStrings.capitalize(text))
        case "center":
            return .string(
                try PythonStrings.pad(text, try arguments.whole(0, "width") ?? 80, " ", left: true, right: true))
        case "replace": return try TextMethods.call("replace", of: text, arguments, renderer)
        case "format":
            guard arguments.named.isEmpty else {
                var names = TemplateDictionary()
                for (name, value) in arguments.named { names.set(.string(name), value) }
                return .string(try PythonFormat.percent(text, .dictionary(names)))
            }
            return .string(try PythonFormat.percent(text, .tuple(arguments.positional)))
        case "indent":
            guard value.text != nil else { throw TemplateError(.type, "indent takes text, not \(value.kind)") }
            return .string(try indent(text, arguments))
        case "truncate":
            guard value.text != nil else { return try truncated(value, arguments) }
            return .string(try truncate(text, arguments))
        case "wordcount": return .integer(text.unicodeScalars.split { !PythonText.isWord($0) }.count)
        case "urlencode": return .string(try urlEncode(value, renderer))
        case "escape", "e", "forceescape":
            let escapes = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&#34;"), ("'", "&#39;")]
            return .string(escapes.reduce(text) { PythonStrings.replace($0, $1.0, $1.1) })
        case "tojson": return .string(try json(value, arguments))
        case "int": return try int(value, arguments)
        case "float":
            try TemplateRenderer.refuseUndefined(value)
            return .float(
                value.number ?? value.text.flatMap { Double(PythonText.strip($0)) } ?? arguments.value(0, "default")?
                    .number ?? 0)
        case "abs": return try abs(value)
        case "round": return try round(value, arguments)
        case "attr":
            let name = try arguments.text(0, "name") ?? ""
            // An attribute only, never an item.
            if case .dictionary = value, !TemplateMethods.isKnown(name, of: value) {
                return .undefined("'dict object' has no attribute '\(name)'")
            }
            return try renderer.attribute(name, of: value)
        default: throw TemplateError(.runtime, "No filter named '\(name)' found.")
        }
    }

    private static func indent(_ text: String, _ arguments: TemplateArguments) throws(TemplateError) -> String {
        let width = arguments.value(0, "width") ?? .integer(4)
        let blanks = try PythonStrings.pad("", width.whole ?? 4, " ", left: true, right: false)
        let blank = width.text ?? blanks
        let (first, fillsBlanks) = (
            arguments.value(1, "first")?.isTrue ?? false, arguments.value(2, "blank")?.isTrue ?? false
        )
        var lines = PythonStrings.lines(text + "\n", keepsEnds: false)
        if lines.isEmpty { lines = [""] }
        let indented = lines.enumerated().map { index, line in
            index == 0 ? (first ? blank + line : line) : line.isEmpty && !fillsBlanks ? line : blank + line
        }
        return indented.joined(separator: "\n")
    }

    private static func truncate(_ text: String, _ arguments: TemplateArguments) throws(TemplateError) -> String {
        let length = try arguments.whole(0, "length") ?? 255
        let cutsWords = arguments.value(1, "killwords")?.isTrue ?? false
        let end = try arguments.text(2, "end") ?? "..."
        let leeway = try arguments.whole(3, "leeway") ?? 5
        let scalars = Array(text.unicodeScalars)
        guard scalars.count > length + leeway else { return text }
        let head = String(String.UnicodeScalarView(scalars.prefix(max(0, length - end.unicodeScalars.count))))
        return (cutsWords ? head : PythonStrings.splitFromRight(head, " ", 1)[0]) + end
    }

    /// What is no text is as it is while it is short, and an error beyond.
    private static func truncated(_ value: TemplateValue, _ arguments: TemplateArguments) throws(TemplateError)
        -> TemplateValue
    {
        let most = (try arguments.whole(0, "length") ?? 255) + (try arguments.whole(3, "leeway") ?? 5)
        guard try SequenceFilters.length(value) > most else { return value }
        throw TemplateError(.type, "can only concatenate str to str, not \(value.kind)")
    }

    /// A text, or the pairs of a mapping or a sequence as a query.
    private static func urlEncode(_ value: TemplateValue, _ renderer: TemplateRenderer) throws(TemplateError) -> String
    {
        var pairs: [TemplateValue] = []
        switch value {
        case .dictionary(let dictionary): pairs = dictionary.items
        case .list, .tuple, .sequence: pairs = try renderer.iterate(value)
        default: return urlEncode(PythonText.string(value))
        }
        var parts: [String] = []
        for pair in pairs {
            let halves = try renderer.iterate(pair)
            guard halves.count == 2 else {
                throw TemplateError(.value, "\(halves.count) values where 2 were expected")
            }
            parts.append(
                halves.map { half in
                    // In a query a slash is quoted too, and a blank is a plus.
                    PythonStrings.replace(
                        PythonStrings.replace(urlEncode(PythonText.string(half)), "/", "%2F"), "%20", "+")
                }.joined(separator: "="))
        }
        return parts.joined(separator: "&")
    }

    private static func urlEncode(_ text: String) -> String {
        let plain = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~/".utf8)
        return text.utf8.reduce(into: "") { result, byte in
            if plain.contains(byte) {
                result.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                result += "%" + (digits.utf8.count == 1 ? "0" : "") + digits
            }
        }
    }

    private static func json(_ value: TemplateValue, _ arguments: TemplateArguments) throws(TemplateError) -> String {
        try TemplateRenderer.refuseUndefined(value)
        var indent: Int?
        if let width = arguments.value(1, "indent")?.whole { indent = min(max(width, 0), 64) }
        var form = PythonJSON(indent: indent, itemSeparator: indent == nil ? ", " : ",", keySeparator: ": ")
        if case .tuple(let parts)? = arguments.value(2, "separators"), parts.count == 2 {
            (form.itemSeparator, form.keySeparator) = (PythonText.string(parts[0]), PythonText.string(parts[1]))
        } else if case .list(let parts)? = arguments.value(2, "separators"), parts.count == 2 {
            (form.itemSeparator, form.keySeparator) = (PythonText.string(parts[0]), PythonText.string(parts[1]))
        }
        form.escapesNonASCII = arguments.value(0, "ensure_ascii")?.isTrue ?? false
        form.sortsKeys = arguments.value(3, "sort_keys")?.isTrue ?? false
        return try form.text(value)
    }

    private static func int(_ value: TemplateValue, _ arguments: TemplateArguments) throws(TemplateError)
        -> TemplateValue
    {
        try TemplateRenderer.refuseUndefined(value)
        let base = try arguments.whole(1, "base") ?? 10
        if let whole = value.whole { return .integer(whole) }
        if let number = value.number, let whole = Int(exactly: number.rounded(.towardZero)) { return .integer(whole) }
        if let text = value.text.map({ PythonText.strip($0) }) {
            if (2...36).contains(base), let whole = Int(PythonStrings.replace(text, "_", ""), radix: base) {
                return .integer(whole)
            }
            if let number = Double(text), let whole = Int(exactly: number.rounded(.towardZero)) {
                return .integer(whole)
            }
        }
        return arguments.value(0, "default") ?? .integer(0)
    }

    private static func abs(_ value: TemplateValue) throws(TemplateError) -> TemplateValue {
        if let whole = value.whole {
            return .integer(
                try TemplateArithmetic.checked(
                    whole < 0 ? (0 as Int).subtractingReportingOverflow(whole) : (whole, false)))
        }
        guard let number = value.number else {
            throw TemplateError(.type, "bad operand type for abs(): '\(value.kind)'")
        }
        return .float(number.magnitude)
    }

    private static func round(_ value: TemplateValue, _ arguments: TemplateArguments) throws(TemplateError)
        -> TemplateValue
    {
        guard let number = value.number else {
            throw TemplateError(.type, "type \(value.kind) doesn't define __round__ method")
        }
        let precision = min(max(try arguments.whole(0, "precision") ?? 0, -300), 300)
        let method = try arguments.text(1, "method") ?? "common"
        if method.utf8.elementsEqual("common".utf8) {
            if value.whole != nil, precision >= 0 { return value }
            if precision >= 0 { return .float(Double(PythonFormat.fixed(number, precision)) ?? number) }
        }
        var factor = 1.0
        for _ in 0..<precision.magnitude { factor *= 10 }
        if precision < 0 { factor = 1 / factor }
        let rule: FloatingPointRoundingRule =
            method.utf8.elementsEqual("ceil".utf8)
            ? .up : method.utf8.elementsEqual("floor".utf8) ? .down : .toNearestOrEven
        return .float((number * factor).rounded(rule) / factor)
    }
}
