/// The methods of texts, dictionaries and lists.
enum TemplateMethods {
    private static let text: Set<String> = [
        "strip", "lstrip", "rstrip", "split", "rsplit", "splitlines", "upper", "lower", "title", "capitalize",
        "startswith",
        "endswith", "replace", "find", "rfind", "index", "count", "join", "format", "isdigit", "isalpha", "isalnum",
        "isspace", "isupper", "islower", "zfill", "ljust", "rjust", "center", "removeprefix", "removesuffix",
        "partition",
        "rpartition", "casefold", "swapcase", "isnumeric", "isdecimal", "istitle", "expandtabs",
    ]
    private static let dictionary: Set<String> = ["get", "items", "keys", "values", "copy"]
    private static let list: Set<String> = ["index", "count", "copy"]
    static func isKnown(_ name: String, of value: TemplateValue) -> Bool {
        switch value {
        case .string: text.contains(name)
        case .dictionary: dictionary.contains(name)
        case .list, .tuple: list.contains(name)
        default: false
        }
    }

    /// Methods that change their value, which the sandbox gives to nobody.
    static func isUnsafe(_ name: String, of value: TemplateValue) -> Bool {
        switch value {
        case .list: ["append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"].contains(name)
        case .dictionary: ["clear", "pop", "popitem", "setdefault", "update"].contains(name)
        default: false
        }
    }

    static func call(
        _ name: String, of value: TemplateValue, _ arguments: TemplateArguments, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue {
        switch value {
        case .string(let text):
            try renderer.charge(text.utf8.count / 16)
            return try TextMethods.call(name, of: text, arguments, renderer)
        case .dictionary(let dictionary):
            switch name {
            case "get":
                guard let key = arguments.value(0, "key") else {
                    throw TemplateError(.type, "get expected at least 1 argument, got 0")
                }
                return dictionary[key] ?? arguments.value(1, "default") ?? .none
            case "items": return .sequence(TemplateSequence(.items, dictionary.items))
            case "keys": return .sequence(TemplateSequence(.keys, dictionary.entries.map(\.key)))
            case "values": return .sequence(TemplateSequence(.values, dictionary.entries.map(\.value)))
            default: return value
            }
        case .list(let elements), .tuple(let elements):
            let element = arguments.value(0, "value") ?? .none
            switch name {
            case "count": return .integer(elements.filter { $0.equals(element) }.count)
            case "index":
                guard let index = elements.firstIndex(where: { $0.equals(element) }) else {
                    throw TemplateError(.value, "\(PythonText.representation(element)) is not in list")
                }
                return .integer(index)
            default: return value
            }
        case .counter(let counter):
            if name.hasPrefix("n") { return counter.next() }
            counter.reset()
            return .none
        case .loop(let loop):
            if name.hasPrefix("ch") { return .bool(loop.memory.hasChanged(arguments.positional)) }
            guard !arguments.positional.isEmpty else { throw TemplateError(.type, "no items for cycling given") }
            return arguments.positional[loop.index % arguments.positional.count]
        default: throw TemplateError(.type, "'\(value.kind)' has no method \(name)")
        }
    }
}

/// The methods of `str`.
enum TextMethods {
    static func call(
        _ name: String, of text: String, _ arguments: TemplateArguments, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue {
        switch name {
        case "strip": return .string(PythonText.strip(text, try arguments.text(0, "chars")))
        case "lstrip": return .string(PythonText.strip(text, right: false, try arguments.text(0, "chars")))
        case "rstrip": return .string(PythonText.strip(text, left: false, try arguments.text(0, "chars")))
        case "upper": return .string(PythonStrings.upper(text))
        case "lower", "casefold": return .string(PythonStrings.lower(text))
        case "title": return .string(PythonStrings.title(text))
        case "capitalize": return .string(PythonStrings.capitalize(text))
        case "swapcase":
            return .string(
                text.unicodeScalars.reduce(into: "") {
                    $0 += $1.properties.isUppercase ? $1.properties.lowercaseMapping : $1.properties.uppercaseMapping
                })
        case "istitle": return .bool(PythonStrings.isTitle(text))
        case "expandtabs":
            return .string(try PythonStrings.expandTabs(text, try arguments.whole(0, "tabsize") ?? 8))
        case "startswith", "endswith": return .bool(try isAtEnd(name, of: text, arguments, renderer))
        case "split", "rsplit", "splitlines", "partition", "rpartition": return try split(name, text, arguments)
        case "replace":
            let (old, new) = (try required(0, "old", arguments), try required(1, "new", arguments))
            let limit = try arguments.whole(2, "count") ?? -1
            let result = PythonStrings.replace(text, old, new, limit < 0 ? .max : limit)
            guard result.utf8.count <= TemplateArithmetic.largestResult else {
                throw TemplateError(.limit, "a text that is too long")
            }
            try renderer.charge(result.utf8.count / 16)
            return .string(result)
        case "join":
            var parts: [String] = []
            for (index, element) in try renderer.iterate(arguments.value(0, "iterable") ?? .none).enumerated() {
                guard let part = element.text else {
                    throw TemplateError(.type, "sequence item \(index): expected str instance, \(element.kind) found")
                }
                parts.append(part)
            }
            return .string(parts.joined(separator: text))
        case "format": return .string(try PythonFormat.braces(text, arguments, renderer))
        case "find", "rfind", "index", "count": return try search(name, text, arguments)
        case "zfill":
            var form = PythonFormat.Specification()
            (form.fill, form.alignment, form.width) = ("0", "=", min(try arguments.whole(0, "width") ?? 0, 4096))
            return .string(try PythonFormat.format(.string(text), form))
        case "ljust", "rjust", "center":
            let width = try arguments.whole(0, "width") ?? 0
            let fill = try arguments.text(1, "fillchar") ?? " "
            let (left, right) = (!name.hasPrefix("l"), !name.hasPrefix("r"))
            return .string(try PythonStrings.pad(text, width, fill, left: left, right: right))
        case "removeprefix":
            let prefix = try required(0, "prefix", arguments)
            return .string(
                PythonStrings.starts(text, with: prefix)
                    ? String(decoding: text.utf8.dropFirst(prefix.utf8.count), as: UTF8.self) : text)
        case "removesuffix":
            let suffix = try required(0, "suffix", arguments)
            return .string(
                PythonStrings.ends(text, with: suffix)
                    ? String(decoding: text.utf8.dropLast(suffix.utf8.count), as: UTF8.self) : text)
        default: return .bool(isAll(name, text))
        }
    }

    private static func required(_ index: Int, _ name: String, _ arguments: TemplateArguments) throws(TemplateError)
        -> String
    {
        guard let text = try arguments.text(index, name) else {
            throw TemplateError(.type, "missing the argument '\(name)'")
        }
        return text
    }

    private static func isAtEnd(
        _ name: String, of text: String, _ arguments: TemplateArguments, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> Bool {
        var parts = [arguments.value(0, "prefix") ?? .none]
        if case .tuple(let several) = parts[0] { parts = several }
        for part in parts {
            guard let part = part.text else {
                throw TemplateError(.type, "\(name) first arg must be str or a tuple of str, not \(part.kind)")
            }
            if name.hasPrefix("s") ? PythonStrings.starts(text, with: part) : PythonStrings.ends(text, with: part) {
                return true
            }
        }
        return false
    }

    private static func split(_ name: String, _ text: String, _ arguments: TemplateArguments) throws(TemplateError)
        -> TemplateValue
    {
        if name.utf8.elementsEqual("splitlines".utf8) {
            return .list(
                PythonStrings.lines(text, keepsEnds: arguments.value(0, "keepends")?.isTrue ?? false).map {
                    .string($0)
                })
        }
        let separator = try arguments.text(0, "sep")
        if let separator, separator.isEmpty { throw TemplateError(.value, "empty separator") }
        if name.hasSuffix("partition") {
            guard let separator else { throw TemplateError(.type, "must be str, not NoneType") }
            let fromRight = name.hasPrefix("r")
            let parts =
                fromRight ? PythonStrings.splitFromRight(text, separator, 1) : PythonStrings.split(text, separator, 1)
            if parts.count == 2 { return .tuple([.string(parts[0]), .string(separator), .string(parts[1])]) }
            return .tuple(
                fromRight ? [.string(""), .string(""), .string(text)] : [.string(text), .string(""), .string("")])
        }
        let limit = try arguments.whole(1, "maxsplit") ?? -1
        let most = limit < 0 ? Int.max : limit
        guard let separator else { return .list(PythonStrings.splitAtBlanks(text, most).map { .string($0) }) }
        let parts =
            name.hasPrefix("r") && limit >= 0
            ? PythonStrings.splitFromRight(text, separator, limit) : PythonStrings.split(text, separator, most)
        return .list(parts.map { .string($0) })
    }

    private static func search(_ name: String, _ text: String, _ arguments: TemplateArguments) throws(TemplateError)
        -> TemplateValue
    {
        let part = try required(0, "sub", arguments)
        if name.utf8.elementsEqual("count".utf8) { return .integer(PythonStrings.count(part, in: text)) }
        var place = PythonStrings.find(part, in: text)
        if name.hasPrefix("r"), place != nil {
            let parts = PythonStrings.splitFromRight(text, part, 1)
            place = part.isEmpty ? text.utf8.count : parts[0].utf8.count
        }
        guard let place else {
            guard name.hasSuffix("find") else { throw TemplateError(.value, "substring not found") }
            return .integer(-1)
        }
        return .integer(String(decoding: text.utf8.prefix(place), as: UTF8.self).unicodeScalars.count)
    }

    private static func isAll(_ name: String, _ text: String) -> Bool {
        let scalars = text.unicodeScalars
        guard !scalars.isEmpty else { return false }
        switch name {
        case "isdigit", "isdecimal": return scalars.allSatisfy { $0.properties.generalCategory == .decimalNumber }
        case "isnumeric": return scalars.allSatisfy { $0.properties.numericType != nil }
        case "isalpha": return scalars.allSatisfy { PythonText.isLetter($0) }
        case "isalnum":
            return scalars.allSatisfy { PythonText.isLetter($0) || PythonText.isNumber($0) }
        case "isspace": return scalars.allSatisfy(PythonText.isSpace)
        case "isupper":
            return scalars.contains { $0.properties.isUppercase } && !scalars.contains { $0.properties.isLowercase }
        default:
            return scalars.contains { $0.properties.isLowercase } && !scalars.contains { $0.properties.isUppercase }
        }
    }
}
