/// The methods of texts, dictionaries and lists.
enum TemplateMethods {
    private static let text: Set<String> = [
        "strip", "lstrip", "rstrip", "split", "rsplit", "splitlines", "upper", "lower", "title", "capitalize",
        "startswith",
        "endswith", "replace", "find", "rfind", "index", "count", "join", "format", "isdigit", "isalpha", "isalnum",
        "isspace", "isupper", "islower", "zfill", "ljust", "rjust", "center", "removeprefix", "removesuffix",
        "partition",
        "rpartition", "format_map", "casefold", "swapcase", "isnumeric", "isdecimal", "istitle", "expandtabs",
    ]
    private static let dictionary: Set<String> = ["get", "items", "keys", "values", "copy"]
    private static let list: Set<String> = ["index", "count", "copy"]
    static func isKnown(_ name: String, of value: TemplateValue) -> Bool {
        switch value {
        case .string, .markup: text.contains(name)
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
            try renderer.charge(bytes: text.utf8.count)
            return try TextMethods.call(name, of: text, arguments, renderer)
        case .markup(let text):
            try renderer.charge(bytes: text.utf8.count)
            return try MarkupMethods.call(name, of: text, arguments, renderer)
        case .dictionary(let dictionary):
            switch name {
            case "get":
                guard let key = arguments.value(0, "key") else {
                    throw TemplateError(.type, "get expected at least 1 argument, got 0")
                }
                return try dictionary.find(key, renderer) ?? arguments.value(1, "default") ?? .none
            case "items", "keys", "values":
                try renderer.charge(dictionary.count)
                let kind: TemplateSequence.Kind = name == "items" ? .items : name == "keys" ? .keys : .values
                let elements =
                    kind == .items ? dictionary.items : dictionary.entries.map { kind == .keys ? $0.key : $0.value }
                return .sequence(TemplateSequence(kind, elements))
            default: return value
            }
        case .list(let elements), .tuple(let elements):
            return try search(name, value, elements, arguments.value(0, "value") ?? .none, renderer)
        case .counter(let counter):
            if name.hasPrefix("n") { return counter.next() }
            counter.reset()
            return .none
        case .loop(let loop):
            if name.hasPrefix("ch") { return .bool(try loop.memory.hasChanged(arguments.positional, renderer)) }
            guard !arguments.positional.isEmpty else { throw TemplateError(.type, "no items for cycling given") }
            return arguments.positional[loop.index % arguments.positional.count]
        default: throw TemplateError(.type, "'\(value.kind)' has no method \(name)")
        }
    }

    /// `list.count` and `list.index`.
    private static func search(
        _ name: String, _ list: TemplateValue, _ elements: TemplateArray, _ element: TemplateValue,
        _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue {
        guard name != "copy" else { return list }
        var count = 0
        for (index, candidate) in elements.enumerated() where try candidate.equals(element, renderer) {
            guard name == "count" else { return .integer(index) }
            count += 1
        }
        guard name == "count" else {
            throw TemplateError(.value, "\(try PythonText.representation(element, renderer)) is not in list")
        }
        return .integer(count)
    }
}

/// The methods of `str` on markup: what they are given is escaped, and what they give is markup again.
enum MarkupMethods {
    static func call(
        _ name: String, of text: String, _ arguments: TemplateArguments, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue {
        func escaped(_ value: TemplateValue) throws(TemplateError) -> TemplateValue {
            value.text == nil ? value : .string(try Markup.escape(value, renderer))
        }
        switch name {
        case "format": return .markup(try PythonFormat.braces(text, arguments, renderer, escapes: true))
        case "format_map":
            let names = try TextMethods.mapping(arguments)
            return .markup(try PythonFormat.braces(text, names, renderer, escapes: true))
        default: break
        }
        var given = arguments
        for index in given.positional.indices { given.positional[index] = try escaped(given.positional[index]) }
        for index in given.named.indices { given.named[index].value = try escaped(given.named[index].value) }
        if name == "join" {
            var parts: [TemplateValue] = []
            for part in try renderer.iterate(arguments.value(0, "iterable") ?? .none) {
                parts.append(.string(try Markup.escape(part, renderer)))
            }
            given.positional = [TemplateValue(parts)]
        }
        let result = try TextMethods.call(name, of: text, given, renderer)
        switch result {
        case .string(let text): return .markup(text)
        case .list(let parts): return TemplateValue(parts.map { .markup($0.text ?? "") })
        case .tuple(let parts): return .tuple(TemplateArray(parts.map { .markup($0.text ?? "") }))
        default: return result
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
        case "swapcase": return .string(PythonStrings.swapCase(text))
        case "istitle": return .bool(PythonStrings.isTitle(text))
        case "expandtabs":
            return .string(try PythonStrings.expandTabs(text, try arguments.whole(0, "tabsize") ?? 8, renderer))
        case "startswith", "endswith": return .bool(try isAtEnd(name, of: text, arguments, renderer))
        case "split", "rsplit", "splitlines", "partition", "rpartition":
            return try split(name, text, arguments, renderer)
        case "replace":
            let (old, new) = (try required(0, "old", arguments), try required(1, "new", arguments))
            let limit = try arguments.whole(2, "count") ?? -1
            return .string(try PythonStrings.replace(text, old, new, limit: limit < 0 ? .max : limit, renderer))
        case "join": return .string(try join(by: text, arguments, renderer))
        case "format_map": return .string(try PythonFormat.braces(text, try mapping(arguments), renderer))
        case "format": return .string(try PythonFormat.braces(text, arguments, renderer))
        case "find", "rfind", "index", "count": return try search(name, text, arguments, renderer)
        case "zfill":
            var form = PythonFormat.Specification()
            (form.fill, form.alignment, form.width) = ("0", "=", min(try arguments.whole(0, "width") ?? 0, 4096))
            return .string(try PythonFormat.format(.string(text), form, renderer))
        case "ljust", "rjust", "center": return .string(try justified(name, text, arguments, renderer))
        case "removeprefix": return .string(withoutPrefix(try required(0, "prefix", arguments), text))
        case "removesuffix": return .string(withoutSuffix(try required(0, "suffix", arguments), text))
        default: return .bool(isAll(name, text))
        }
    }

    private static func justified(
        _ name: String, _ text: String, _ arguments: TemplateArguments, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> String {
        let width = try arguments.whole(0, "width") ?? 0
        let fill = try arguments.text(1, "fillchar") ?? " "
        let (left, right) = (!name.hasPrefix("l"), !name.hasPrefix("r"))
        return try PythonStrings.pad(text, width, fill, left: left, right: right, renderer)
    }

    private static func withoutPrefix(_ prefix: String, _ text: String) -> String {
        guard PythonStrings.starts(text, with: prefix) else { return text }
        return String(decoding: text.utf8.dropFirst(prefix.utf8.count), as: UTF8.self)
    }

    private static func withoutSuffix(_ suffix: String, _ text: String) -> String {
        guard PythonStrings.ends(text, with: suffix) else { return text }
        return String(decoding: text.utf8.dropLast(suffix.utf8.count), as: UTF8.self)
    }

    private static func join(
        by separator: String, _ arguments: TemplateArguments, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> String {
        var parts: [String] = []
        for (index, element) in try renderer.iterate(arguments.value(0, "iterable") ?? .none).enumerated() {
            guard let part = element.text else {
                throw TemplateError(.type, "sequence item \(index): expected str instance, \(element.kind) found")
            }
            try renderer.charge(bytes: part.utf8.count)
            parts.append(part)
        }
        try renderer.charge(parts.count, times: separator.utf8.count)
        return parts.joined(separator: separator)
    }

    /// The one argument of `format_map`, as named arguments.
    static func mapping(_ arguments: TemplateArguments) throws(TemplateError) -> TemplateArguments {
        guard arguments.named.isEmpty, arguments.positional.count == 1 else {
            let count = arguments.positional.count + arguments.named.count
            throw TemplateError(.type, "format_map() takes exactly one argument \(count) given")
        }
        guard case .dictionary(let dictionary) = arguments.positional[0] else {
            throw TemplateError(.type, "format_map() takes a mapping, not \(arguments.positional[0].kind)")
        }
        return TemplateArguments(named: dictionary.entries.compactMap { key, value in key.text.map { ($0, value) } })
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
        if case .tuple(let several) = parts[0] { parts = several.elements }
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

    private static func split(
        _ name: String, _ text: String, _ arguments: TemplateArguments, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue {
        if name.utf8.elementsEqual("splitlines".utf8) {
            try renderer.charge(text.utf8.count { (10...13).contains($0) })
            return texts(PythonStrings.lines(text, keepsEnds: arguments.flag(0, "keepends")))
        }
        let separator = try arguments.text(0, "sep")
        if let separator, separator.isEmpty { throw TemplateError(.value, "empty separator") }
        if name.hasSuffix("partition") {
            guard let separator else { throw TemplateError(.type, "must be str, not NoneType") }
            let fromRight = name.hasPrefix("r")
            let parts =
                fromRight
                ? try PythonStrings.splitFromRight(text, separator, 1, renderer)
                : try PythonStrings.split(text, separator, limit: 1, renderer)
            let three =
                parts.count == 2
                ? [parts[0], separator, parts[1]] : fromRight ? ["", "", text] : [text, "", ""]
            return .tuple(TemplateArray(three.map { .string($0) }))
        }
        let limit = try arguments.whole(1, "maxsplit") ?? -1
        let most = limit < 0 ? Int.max : limit
        guard let separator else {
            try renderer.charge(text.utf8.count / 4)
            return texts(PythonStrings.splitAtBlanks(text, most))
        }
        return texts(
            name.hasPrefix("r") && limit >= 0
                ? try PythonStrings.splitFromRight(text, separator, limit, renderer)
                : try PythonStrings.split(text, separator, limit: most, renderer))
    }

    private static func texts(_ parts: [String]) -> TemplateValue { TemplateValue(parts.map { .string($0) }) }

    private static func search(
        _ name: String, _ text: String, _ arguments: TemplateArguments, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue {
        let part = try required(0, "sub", arguments)
        if name.utf8.elementsEqual("count".utf8) { return .integer(PythonStrings.count(part, in: text)) }
        var place = PythonStrings.find(part, in: text)
        if name.hasPrefix("r"), place != nil {
            let parts = try PythonStrings.splitFromRight(text, part, 1, renderer)
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
