/// Python's two ways to format: `%` and `str.format`.
enum PythonFormat {
    /// A format specification: what stands after the colon of `{:…}`.
    struct Specification {
        var fill: Unicode.Scalar = " "
        var alignment: Unicode.Scalar?
        var sign: Unicode.Scalar = "-"
        var width = 0
        var groups = false
        var precision: Int?
        var type: Unicode.Scalar?

        init() {}

        init(_ text: String) throws(TemplateError) {
            var rest = Array(text.unicodeScalars)[...]
            let alignments: [Unicode.Scalar] = ["<", ">", "^", "="]
            if rest.count > 1, alignments.contains(rest[rest.startIndex + 1]) {
                fill = rest.removeFirst()
                alignment = rest.removeFirst()
            } else if let first = rest.first, alignments.contains(first) {
                alignment = rest.removeFirst()
            }
            if let first = rest.first, ["+", "-", " "].contains(first) { sign = rest.removeFirst() }
            if rest.first == "#" { rest.removeFirst() }
            if rest.first == "0" {
                if alignment == nil { (fill, alignment) = ("0", "=") }
                rest.removeFirst()
            }
            width = try PythonFormat.number(&rest) ?? 0
            if rest.first == "," {
                groups = true
                rest.removeFirst()
            }
            if rest.first == "." {
                rest.removeFirst()
                precision = try PythonFormat.number(&rest)
            }
            type = rest.popFirst()
            guard rest.isEmpty else { throw TemplateError(.value, "Invalid format specifier '\(text)'") }
        }
    }

    private static func number(_ rest: inout ArraySlice<Unicode.Scalar>) throws(TemplateError) -> Int? {
        var digits = ""
        while let first = rest.first, ("0"..."9").contains(first) { digits.unicodeScalars.append(rest.removeFirst()) }
        if digits.isEmpty { return nil }
        guard let value = Int(digits), value <= 4096 else {
            throw TemplateError(.value, "a width beyond 4096 in a format")
        }
        return value
    }

    /// `format(value, specification)`.
    static func format(_ value: TemplateValue, _ form: Specification, _ renderer: TemplateRenderer)
        throws(TemplateError)
        -> String
    {
        try renderer.charge(bytes: max(form.width, form.precision ?? 0))
        var isNumber = true
        var text: String
        switch (value, form.type) {
        case (.integer, nil), (.wide, nil): text = String(value.integer ?? 0)
        case (_, "d") where value.integer != nil: text = String(value.integer ?? 0)
        case (_, "x") where value.integer != nil: text = String(value.integer ?? 0, radix: 16)
        case (_, "X") where value.integer != nil: text = String(value.integer ?? 0, radix: 16, uppercase: true)
        case (_, "o") where value.integer != nil: text = String(value.integer ?? 0, radix: 8)
        case (_, "b") where value.integer != nil: text = String(value.integer ?? 0, radix: 2)
        case (_, "f") where value.number != nil, (_, "F") where value.number != nil:
            text = fixed(value.number ?? 0, form.precision ?? 6)
        case (_, "e") where value.number != nil, (_, "E") where value.number != nil,
            (_, "g") where value.number != nil, (_, "G") where value.number != nil:
            text = CFormat.scientific(value.number ?? 0, form.precision ?? 6, form.type ?? "e")
        case (_, "%") where value.number != nil: text = fixed((value.number ?? 0) * 100, form.precision ?? 2) + "%"
        case (.float, nil): text = PythonText.float(value.number ?? 0)
        default:
            guard form.type == nil || form.type == "s" else {
                throw TemplateError(
                    .value,
                    "Unknown format code '\(form.type.map(String.init) ?? "")' for object of type '\(value.kind)'")
            }
            isNumber = false
            text = try PythonText.string(value, renderer)
            if let precision = form.precision {
                text = String(String.UnicodeScalarView(text.unicodeScalars.prefix(precision)))
            }
        }
        if isNumber, form.groups { text = grouped(text) }
        if isNumber, form.sign != "-", !text.hasPrefix("-") { text = String(form.sign) + text }
        return try aligned(text, form, isNumber, renderer)
    }

    private static func aligned(
        _ text: String, _ form: Specification, _ isNumber: Bool, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> String {
        let fill = String(form.fill)
        switch form.alignment ?? (isNumber ? ">" : "<") {
        case "<": return try PythonStrings.pad(text, form.width, fill, left: false, right: true, renderer)
        case "^": return try PythonStrings.pad(text, form.width, fill, left: true, right: true, renderer)
        case "=":
            let sign = text.hasPrefix("-") || text.hasPrefix("+") ? String(text.unicodeScalars.prefix(1)) : ""
            let digits = String(String.UnicodeScalarView(text.unicodeScalars.dropFirst(sign.utf8.count)))
            return sign
                + (try PythonStrings.pad(digits, form.width - sign.utf8.count, fill, left: true, right: false, renderer))
        default: return try PythonStrings.pad(text, form.width, fill, left: true, right: false, renderer)
        }
    }

    private static func grouped(_ text: String) -> String {
        let (head, tail) =
            text.utf8.firstIndex(of: UInt8(ascii: ".")).map { (String(text[..<$0]), String(text[$0...])) } ?? (text, "")
        var digits = Array(head.unicodeScalars)
        var place = digits.count - 3
        while place > 0, digits[place - 1] != "-" {
            digits.insert(",", at: place)
            place -= 3
        }
        return String(String.UnicodeScalarView(digits)) + tail
    }

    /// `places` digits behind the point, halves to even, exactly as the double's decimal expansion rounds.
    static func fixed(_ value: Double, _ places: Int) -> String {
        guard value.isFinite else { return PythonText.float(value) }
        return CFormat.fixed(value, places)
    }

    /// `format % arguments`.
    ///
    /// - Parameter escapes: Escapes what is put in, as markup does.
    static func percent(
        _ format: String, _ argument: TemplateValue, _ renderer: TemplateRenderer, escapes: Bool = false
    ) throws(TemplateError) -> String {
        try renderer.charge(bytes: format.utf8.count)
        var values: ArraySlice<TemplateValue> = [argument]
        if case .tuple(let elements) = argument { values = elements.elements[...] }
        var result = String.UnicodeScalarView()
        var rest = Array(format.unicodeScalars)[...]
        while let scalar = rest.popFirst() {
            guard scalar == "%" else {
                result.append(scalar)
                continue
            }
            if rest.first == "%" {
                result.append(rest.removeFirst())
                continue
            }
            let named = try namedValue(&rest, in: argument)
            let form = try percentForm(&rest)
            guard let type = rest.popFirst() else { throw TemplateError(.value, "incomplete format") }
            guard let value = named ?? values.popFirst() else {
                throw TemplateError(.type, "not enough arguments for format string")
            }
            if type != "s" { try TemplateRenderer.refuseUndefined(value) }
            let text = try percent(value, type, form, renderer, escapes: escapes)
            try renderer.charge(bytes: text.utf8.count)
            result.append(contentsOf: text.unicodeScalars)
        }
        // What has items need not be used up, and a missing value would have some.
        switch argument {
        case .dictionary, .list, .undefined: return String(result)
        default: break
        }
        guard values.isEmpty else { throw TemplateError(.type, "not all arguments converted during string formatting") }
        return String(result)
    }

    /// The value of `argument` that a directive names, as in `%(name)s`; nil for one without a name.
    private static func namedValue(
        _ rest: inout ArraySlice<Unicode.Scalar>, in argument: TemplateValue
    ) throws(TemplateError) -> TemplateValue? {
        guard rest.first == "(", let close = rest.firstIndex(of: ")") else { return nil }
        guard case .dictionary(let dictionary) = argument else {
            throw TemplateError(.type, "format requires a mapping")
        }
        let key = String(String.UnicodeScalarView(rest[(rest.startIndex + 1)..<close]))
        guard let found = dictionary[key] else { throw TemplateError(.key, PythonText.quoted(key)) }
        rest = rest[(close + 1)...]
        return found
    }

    /// The flags, width and precision of a directive.
    private static func percentForm(_ rest: inout ArraySlice<Unicode.Scalar>) throws(TemplateError) -> Specification {
        var form = Specification()
        form.alignment = ">"
        while let flag = rest.first, ["-", "0", "+", " ", "#"].contains(flag) {
            rest.removeFirst()
            if flag == "-" { form.alignment = "<" }
            if flag == "0" { (form.fill, form.alignment) = ("0", "=") }
            if flag == "+" || flag == " " { form.sign = flag }
        }
        form.width = try number(&rest) ?? 0
        if rest.first == "." {
            rest.removeFirst()
            form.precision = try number(&rest) ?? 0
        }
        return form
    }

    private static func percent(
        _ value: TemplateValue, _ type: Unicode.Scalar, _ form: Specification, _ renderer: TemplateRenderer,
        escapes: Bool
    ) throws(TemplateError) -> String {
        var form = form
        switch type {
        case "s":
            let text = escapes ? try Markup.escape(value, renderer) : try PythonText.string(value, renderer)
            return try format(.string(text), form, renderer)
        case "r":
            let text = try PythonText.representation(value, renderer)
            return try format(.string(escapes ? try Markup.escape(text, renderer) : text), form, renderer)
        case "d", "i", "u":
            guard let number = value.number else {
                throw TemplateError(.type, "%\(type) format: a real number is required, not \(value.kind)")
            }
            guard let whole = value.integer ?? Int128(exactly: number.rounded(.towardZero)) else {
                throw TemplateError(.overflow, "a number beyond 128 bits")
            }
            form.precision = nil
            return try format(TemplateValue(whole), form, renderer)
        case "x", "X", "o":
            form.type = type
            return try format(value, form, renderer)
        case "e", "E", "g", "G":
            guard let number = value.number else {
                throw TemplateError(.type, "must be real number, not \(value.kind)")
            }
            form.type = type
            return try format(.float(number), form, renderer)
        case "f", "F":
            guard let number = value.number else {
                throw TemplateError(.type, "must be real number, not \(value.kind)")
            }
            form.type = "f"
            return try format(.float(number), form, renderer)
        default: throw TemplateError(.value, "unsupported format character '\(type)'")
        }
    }

    /// `format.format(*arguments)`.
    ///
    /// - Parameter escapes: Escapes what is put in, as markup does.
    static func braces(
        _ format: String, _ arguments: TemplateArguments, _ renderer: TemplateRenderer, escapes: Bool = false
    ) throws(TemplateError) -> String {
        try renderer.charge(bytes: format.utf8.count)
        var result = String.UnicodeScalarView()
        var rest = Array(format.unicodeScalars)[...]
        var next = 0
        while let scalar = rest.popFirst() {
            if scalar == "{" || scalar == "}", rest.first == scalar {
                result.append(rest.removeFirst())
                continue
            }
            guard scalar == "{" else {
                guard scalar != "}" else { throw TemplateError(.value, "Single '}' encountered in format string") }
                result.append(scalar)
                continue
            }
            guard let close = rest.firstIndex(of: "}") else {
                throw TemplateError(.value, "Single '{' encountered in format string")
            }
            let field = String(String.UnicodeScalarView(rest[..<close]))
            rest = rest[(close + 1)...]
            let parts = try PythonStrings.split(field, ":", limit: 1, renderer)
            let name = try PythonStrings.split(parts[0], "!", limit: 1, renderer)
            var value = try self.field(name[0], arguments, &next, renderer)
            if name.count > 1, name[1] == "r" { value = .string(try PythonText.representation(value, renderer)) }
            if name.count > 1, name[1] == "s" { value = .string(try PythonText.string(value, renderer)) }
            var text = try self.format(value, Specification(parts.count > 1 ? parts[1] : ""), renderer)
            if escapes, !value.isMarkup { text = try Markup.escape(text, renderer) }
            try renderer.charge(bytes: text.utf8.count)
            result.append(contentsOf: text.unicodeScalars)
        }
        return String(result)
    }

    private static func field(
        _ name: String, _ arguments: TemplateArguments, _ next: inout Int, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue {
        let end = name.utf8.firstIndex { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "[") } ?? name.endIndex
        let first = String(name[..<end])
        var value: TemplateValue
        if first.isEmpty || Int(first) != nil {
            let index = Int(first) ?? next
            next += 1
            guard arguments.positional.indices.contains(index) else {
                throw TemplateError(.value, "Replacement index \(index) out of range for positional args tuple")
            }
            value = arguments.positional[index]
        } else {
            guard let found = arguments.value(-1, first) else { throw TemplateError(.key, PythonText.quoted(first)) }
            value = found
        }
        var rest = name[end...]
        while let sign = rest.unicodeScalars.popFirst() {
            if sign == "." {
                let end = rest.utf8.firstIndex { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "[") } ?? rest.endIndex
                value = try renderer.attribute(String(rest[..<end]), of: value)
                rest = rest[end...]
            } else {
                guard let close = rest.utf8.firstIndex(of: UInt8(ascii: "]")) else {
                    throw TemplateError(.value, "expected '}' before end of string")
                }
                let key = String(rest[..<close])
                value = try renderer.item(Int(key).map { .integer($0) } ?? .string(key), of: value)
                rest = rest[close...].dropFirst()
            }
            try TemplateRenderer.refuseUndefined(value)
        }
        try TemplateRenderer.refuseUndefined(value)
        return value
    }
}
