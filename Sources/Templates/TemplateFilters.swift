/// Jinja2's filters, with `tojson` as transformers defines it for chat templates.
enum TemplateFilters {
    private static let names: Set<String> = [
        "abs", "attr", "batch", "capitalize", "center", "count", "d", "default", "dictsort", "e", "escape",
        "filesizeformat", "first", "float", "forceescape", "format", "groupby", "indent", "int", "items", "join",
        "last", "length", "list", "lower", "map", "max", "min", "pprint", "random", "reject", "rejectattr", "replace",
        "reverse", "round", "safe", "select", "selectattr", "slice", "sort", "string", "striptags", "sum", "title",
        "tojson", "trim", "truncate", "unique", "upper", "urlencode", "urlize", "wordcount", "wordwrap", "xmlattr",
    ]

    static func isKnown(_ name: String) -> Bool { names.contains(name) }

    static func apply(
        _ name: String, to value: TemplateValue, _ arguments: TemplateArguments, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue {
        try renderer.charge(0)
        if let result = try SequenceFilters.apply(name, to: value, arguments, renderer) { return result }
        if let result = try applyToValue(name, value, arguments, renderer) { return result }
        if case .unsafe = value { try TemplateRenderer.refuseUndefined(value) }
        let text = try PythonText.string(value, renderer)
        try renderer.charge(bytes: text.utf8.count)
        if let result = try MarkupFilters.apply(name, to: value, text, arguments, renderer) { return result }
        return try applyToText(name, value, text, arguments, renderer)
    }

    /// The filters of numbers and of values of any kind; nil for another.
    private static func applyToValue(
        _ name: String, _ value: TemplateValue, _ arguments: TemplateArguments, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue? {
        switch name {
        case "default", "d":
            if arguments.named.contains(where: { $0.name.utf8.elementsEqual("value".utf8) }) {
                throw TemplateError(.type, "do_default() got multiple values for argument 'value'")
            }
            let isMissing = value.isUndefined || arguments.flag(1, "boolean") && !value.isTrue
            return isMissing ? arguments.value(0, "default_value") ?? .string("") : value
        case "tojson": return .string(try json(value, arguments, renderer))
        case "int": return try int(value, arguments, renderer)
        case "float":
            try TemplateRenderer.refuseUndefined(value)
            return .float(
                value.number ?? value.text.flatMap(PythonText.number) ?? arguments.value(0, "default")?.number ?? 0)
        case "abs": return try abs(value)
        case "round": return try round(value, arguments)
        case "filesizeformat": return .string(try fileSize(value, binary: arguments.flag(0, "binary")))
        case "pprint": return .string(try PrettyPrinter(renderer: renderer).text(value))
        case "attr":
            let name = try arguments.text(0, "name") ?? ""
            // An attribute only, never an item.
            if case .dictionary = value, !TemplateMethods.isKnown(name, of: value) {
                return .undefined("'dict object' has no attribute '\(name)'")
            }
            return try renderer.attribute(name, of: value)
        default: return nil
        }
    }

    private static func applyToText(
        _ name: String, _ value: TemplateValue, _ text: String, _ arguments: TemplateArguments,
        _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue {
        switch name {
        case "string": return value.with(text: text)
        case "trim": return value.with(text: PythonText.strip(text, try arguments.text(0, "chars")))
        case "upper": return value.with(text: PythonStrings.upper(text))
        case "lower": return value.with(text: PythonStrings.lower(text))
        case "title": return .string(PythonStrings.title(text, startsWordsAtBlanksOnly: true))
        case "capitalize": return value.with(text: PythonStrings.capitalize(text))
        case "center":
            let width = try arguments.whole(0, "width") ?? 80
            return value.with(text: try PythonStrings.pad(text, width, " ", left: true, right: true, renderer))
        case "format":
            var given = TemplateValue.tuple(TemplateArray(arguments.positional))
            if !arguments.named.isEmpty {
                var names = TemplateDictionary()
                for (name, value) in arguments.named { names.set(name, value) }
                given = .dictionary(names)
            }
            return value.with(text: try PythonFormat.percent(text, given, renderer, escapes: value.isMarkup))
        case "indent":
            guard value.text != nil else { throw TemplateError(.type, "indent takes text, not \(value.kind)") }
            return value.with(text: try indent(text, arguments, renderer))
        case "truncate":
            guard value.text != nil else { return try truncated(value, arguments) }
            return value.with(text: try truncate(text, arguments, renderer))
        case "wordcount":
            return .integer(text.unicodeScalars.split { !PythonText.isWord($0) }.count)
        case "wordwrap": return .string(try WordWrapper(arguments).text(text, renderer))
        case "urlencode": return .string(try urlEncode(value, renderer))
        default: throw TemplateError(.runtime, "No filter named '\(name)' found.")
        }
    }

    private static func indent(_ text: String, _ arguments: TemplateArguments, _ renderer: TemplateRenderer)
        throws(TemplateError) -> String
    {
        let width = arguments.value(0, "width") ?? .integer(4)
        let count = Int(clamping: width.integer ?? 4)
        let blanks = try PythonStrings.pad("", count, " ", left: true, right: false, renderer)
        let blank = width.text ?? blanks
        let (first, fillsBlanks) = (arguments.flag(1, "first"), arguments.flag(2, "blank"))
        var lines = PythonStrings.lines(text + "\n", keepsEnds: false)
        if lines.isEmpty { lines = [""] }
        try renderer.charge(lines.count, times: blank.utf8.count + 1)
        let indented = lines.enumerated().map { index, line in
            index == 0 ? (first ? blank + line : line) : line.isEmpty && !fillsBlanks ? line : blank + line
        }
        return indented.joined(separator: "\n")
    }

    private static func truncate(_ text: String, _ arguments: TemplateArguments, _ renderer: TemplateRenderer)
        throws(TemplateError) -> String
    {
        let length = try arguments.whole(0, "length") ?? 255
        let cutsWords = arguments.flag(1, "killwords")
        let end = try arguments.text(2, "end") ?? "..."
        let leeway = try arguments.whole(3, "leeway") ?? 5
        let scalars = text.unicodeScalars
        guard length >= end.unicodeScalars.count else {
            throw TemplateError(.runtime, "expected length >= \(end.unicodeScalars.count), got \(length)")
        }
        guard leeway >= 0 else { throw TemplateError(.runtime, "expected leeway >= 0, got \(leeway)") }
        let (most, overflow) = length.addingReportingOverflow(leeway)
        guard !overflow, scalars.count > most else { return text }
        let head = String(String.UnicodeScalarView(scalars.prefix(max(0, length - end.unicodeScalars.count))))
        return (cutsWords ? head : try PythonStrings.splitFromRight(head, " ", 1, renderer)[0]) + end
    }

    /// The value where `truncate` is asked of what is no text: as it is while it is short, and an error beyond.
    private static func truncated(_ value: TemplateValue, _ arguments: TemplateArguments) throws(TemplateError)
        -> TemplateValue
    {
        let (most, overflow) = (try arguments.whole(0, "length") ?? 255).addingReportingOverflow(
            try arguments.whole(3, "leeway") ?? 5)
        guard !overflow, try SequenceFilters.length(value) > most else { return value }
        throw TemplateError(.type, "can only concatenate str to str, not \(value.kind)")
    }

    private static func fileSize(_ value: TemplateValue, binary: Bool) throws(TemplateError) -> String {
        try TemplateRenderer.refuseUndefined(value)
        guard let bytes = value.number ?? value.text.flatMap(PythonText.number) else {
            throw TemplateError(.value, "could not convert string to float: \(PythonText.quoted(value.text ?? ""))")
        }
        let base: Double = binary ? 1024 : 1000
        if bytes == 1 { return "1 Byte" }
        if bytes < base { return "\(Int(exactly: bytes.rounded(.towardZero)) ?? 0) Bytes" }
        var unit = base
        for (index, letter) in ["k", "M", "G", "T", "P", "E", "Z", "Y"].enumerated() {
            unit *= base
            guard bytes < unit || index == 7 else { continue }
            let prefix = binary ? (index == 0 ? "K" : letter) + "i" : letter
            return PythonFormat.fixed(base * bytes / unit, 1) + " \(prefix)B"
        }
        return ""
    }

    /// A text, or the pairs of a mapping or a sequence as a query.
    private static func urlEncode(_ value: TemplateValue, _ renderer: TemplateRenderer) throws(TemplateError) -> String
    {
        var pairs: [TemplateValue] = []
        switch value {
        case .dictionary(let dictionary): pairs = dictionary.items
        case .list, .tuple, .sequence: pairs = try renderer.iterate(value)
        default: return try urlEncode(PythonText.string(value, renderer), renderer)
        }
        var parts: [String] = []
        for pair in pairs {
            let halves = try renderer.iterate(pair)
            guard halves.count == 2 else {
                throw TemplateError(.value, "\(halves.count) values where 2 were expected")
            }
            var encoded: [String] = []
            for half in halves {
                let text = try urlEncode(try PythonText.string(half, renderer), renderer)
                // In a query a slash is quoted too, and a blank is a plus.
                let quoted = try PythonStrings.replace(text, "/", "%2F", renderer)
                encoded.append(try PythonStrings.replace(quoted, "%20", "+", renderer))
            }
            parts.append(encoded.joined(separator: "="))
        }
        return parts.joined(separator: "&")
    }

    private static func urlEncode(_ text: String, _ renderer: TemplateRenderer) throws(TemplateError) -> String {
        try renderer.charge(3, times: text.utf8.count)
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

    private static func json(_ value: TemplateValue, _ arguments: TemplateArguments, _ renderer: TemplateRenderer)
        throws(TemplateError) -> String
    {
        try TemplateRenderer.refuseUndefined(value)
        var indent: Int?
        if let width = arguments.value(1, "indent")?.whole { indent = min(max(width, 0), 64) }
        var form = PythonJSON(
            indent: indent, itemSeparator: indent == nil ? ", " : ",", keySeparator: ": ", renderer: renderer)
        switch arguments.value(2, "separators") {
        case .tuple(let parts) where parts.count == 2, .list(let parts) where parts.count == 2:
            form.itemSeparator = try PythonText.string(parts[0], renderer)
            form.keySeparator = try PythonText.string(parts[1], renderer)
        default: break
        }
        form.escapesNonASCII = arguments.value(0, "ensure_ascii")?.isTrue ?? false
        form.sortsKeys = arguments.value(3, "sort_keys")?.isTrue ?? false
        return try form.text(value)
    }

    private static func int(_ value: TemplateValue, _ arguments: TemplateArguments, _ renderer: TemplateRenderer)
        throws(TemplateError) -> TemplateValue
    {
        try TemplateRenderer.refuseUndefined(value)
        let base = try arguments.whole(1, "base") ?? 10
        if let whole = value.integer { return TemplateValue(whole) }
        if let number = value.number, let whole = Int128(exactly: number.rounded(.towardZero)) {
            return TemplateValue(whole)
        }
        if let text = value.text {
            try renderer.charge(bytes: text.utf8.count)
            if let whole = PythonText.integer(text, base: base) { return TemplateValue(whole) }
            if let number = PythonText.number(text), let whole = Int128(exactly: number.rounded(.towardZero)) {
                return TemplateValue(whole)
            }
        }
        return arguments.value(0, "default") ?? .integer(0)
    }

    private static func abs(_ value: TemplateValue) throws(TemplateError) -> TemplateValue {
        try TemplateRenderer.refuseUndefined(value)
        if let whole = value.integer { return TemplateValue(whole < 0 ? -whole : whole) }
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
            if value.integer != nil, precision >= 0 { return value }
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
