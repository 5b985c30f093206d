/// The filters that work on sequences.
enum SequenceFilters {
    /// - Returns: nil for a filter that is none of these.
    static func apply(
        _ name: String, to value: TemplateValue, _ arguments: TemplateArguments, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue? {
        switch name {
        case "length", "count": return .integer(try length(value))
        case "items": return try items(value, renderer)
        case "list":
            let elements = try renderer.iterate(value)
            try renderer.charge(elements.count)
            return TemplateValue(elements)
        case "first", "last": return try end(name, of: value, renderer)
        case "join": return try join(value, arguments, renderer)
        case "reverse": return try reversed(value, renderer)
        case "map", "select", "reject", "selectattr", "rejectattr": return try pick(name, value, arguments, renderer)
        case "random":
            let elements = try renderer.iterate(value)
            return elements.randomElement() ?? .undefined("No random item, sequence was empty.")
        case "sort": return TemplateValue(try sort(value, arguments, renderer))
        case "dictsort": return try dictionarySort(value, arguments, renderer)
        case "unique": return try unique(value, arguments, renderer)
        case "min", "max": return try extreme(name, value, arguments, renderer)
        case "sum": return try sum(value, arguments, renderer)
        case "groupby": return try group(value, arguments, renderer)
        case "batch", "slice": return try portions(name, value, arguments, renderer)
        default: return nil
        }
    }

    private static func generator(_ elements: [TemplateValue]) -> TemplateValue {
        .sequence(TemplateSequence(.generator, elements))
    }

    private static func items(
        _ value: TemplateValue, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue {
        if value.isUndefined { return generator([]) }
        guard case .dictionary(let dictionary) = value else {
            throw TemplateError(.type, "Can only get item pairs from a mapping.")
        }
        try renderer.charge(dictionary.count)
        return generator(dictionary.items)
    }

    /// The first element, or the last.
    private static func end(
        _ name: String, of value: TemplateValue, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue {
        let isFirst = name.hasPrefix("f")
        if case .sequence(let sequence) = value, sequence.isOnce {
            guard isFirst else { throw TemplateError(.type, "'\(value.kind)' object is not reversible") }
            return sequence.first() ?? .undefined("No first item, sequence was empty.")
        }
        let elements = try renderer.iterate(value)
        return (isFirst ? elements.first : elements.last) ?? .undefined("No \(name) item, sequence was empty.")
    }

    private static func reversed(
        _ value: TemplateValue, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue {
        if let text = value.text {
            try renderer.charge(bytes: text.utf8.count)
            return value.with(text: String(String.UnicodeScalarView(text.unicodeScalars.reversed())))
        }
        let elements = try renderer.iterate(value)
        try renderer.charge(elements.count)
        // Of a generator a list is made first.
        if case .sequence(let sequence) = value, sequence.isOnce { return TemplateValue(elements.reversed()) }
        return .sequence(TemplateSequence(.reversed, elements.reversed()))
    }

    static func length(_ value: TemplateValue) throws(TemplateError) -> Int {
        switch value {
        case .string(let text), .markup(let text): return text.unicodeScalars.count
        case .list(let elements), .tuple(let elements): return elements.count
        case .dictionary(let dictionary): return dictionary.count
        case .sequence(let sequence) where !sequence.isOnce: return sequence.elements.count
        case .undefined: return 0
        default:
            try TemplateRenderer.refuseUndefined(value)
            throw TemplateError(.type, "object of type '\(value.kind)' has no len()")
        }
    }

    /// `a.b.0` of a value, missing parts undefined.
    private static func field(_ path: TemplateValue, of value: TemplateValue, _ renderer: TemplateRenderer)
        throws(TemplateError) -> TemplateValue
    {
        guard let text = path.text else { return try renderer.item(path, of: value) }
        var value = value
        for name in try PythonStrings.split(text, ".", renderer) {
            value = try renderer.item(Int(name).map { .integer($0) } ?? .string(name), of: value)
        }
        return value
    }

    private static func join(_ value: TemplateValue, _ arguments: TemplateArguments, _ renderer: TemplateRenderer)
        throws(TemplateError) -> TemplateValue
    {
        var elements = try renderer.iterate(value)
        if let attribute = arguments.value(1, "attribute") {
            var fields: [TemplateValue] = []
            for element in elements { fields.append(try field(attribute, of: element, renderer)) }
            elements = fields
        }
        let separator = arguments.value(0, "d") ?? .string("")
        // Where what is written is escaped, or one of several is markup, all the others are escaped.
        let escapes = renderer.escapes && (separator.isMarkup || elements.contains(where: \.isMarkup))
        var parts: [String] = []
        for element in elements {
            let part = escapes ? try Markup.escape(element, renderer) : try PythonText.string(element, renderer)
            try renderer.charge(bytes: part.utf8.count)
            parts.append(part)
        }
        let between = escapes ? try Markup.escape(separator, renderer) : try PythonText.string(separator, renderer)
        try renderer.charge(parts.count, times: between.utf8.count)
        let text = parts.joined(separator: between)
        return escapes ? .markup(text) : .string(text)
    }

    private static func pick(
        _ name: String, _ value: TemplateValue, _ arguments: TemplateArguments, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue {
        // What is false has no elements, whatever it is.
        let elements = value.isTrue ? try renderer.iterate(value) : []
        return generator(
            name.utf8.elementsEqual("map".utf8)
                ? try mapped(elements, arguments, renderer) : try selected(name, elements, arguments, renderer))
    }

    /// `map`: an attribute of each element, or what a filter makes of it.
    private static func mapped(
        _ elements: [TemplateValue], _ arguments: TemplateArguments, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> [TemplateValue] {
        var result: [TemplateValue] = []
        if let attribute = arguments.value(-1, "attribute") {
            let missing = arguments.value(-1, "default")
            for element in elements {
                let found = try field(attribute, of: element, renderer)
                result.append(found.isUndefined ? missing ?? found : found)
            }
            return result
        }
        var rest = arguments
        guard let filter = rest.positional.first?.text else {
            throw TemplateError(.type, "map requires a filter argument")
        }
        rest.positional.removeFirst()
        for element in elements {
            try renderer.charge(0)
            result.append(try TemplateFilters.apply(filter, to: element, rest, renderer))
        }
        return result
    }

    /// `select`, `reject`, `selectattr`, `rejectattr`: the elements, or those with an attribute, that pass a test or
    /// fail it.
    private static func selected(
        _ name: String, _ elements: [TemplateValue], _ arguments: TemplateArguments, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> [TemplateValue] {
        var (rest, result) = (arguments, [TemplateValue]())
        let attribute = name.hasSuffix("attr") ? rest.positional.first : nil
        if name.hasSuffix("attr") {
            guard attribute != nil else { throw TemplateError(.type, "missing the name of an attribute") }
            rest.positional.removeFirst()
        }
        let test = try rest.positional.first.map { value throws(TemplateError) in try PythonText.string(value, renderer)
        }
        if test != nil { rest.positional.removeFirst() }
        let wants = name.hasPrefix("s")
        for element in elements {
            try renderer.charge(0)
            let subject =
                try attribute.map { path throws(TemplateError) in try field(path, of: element, renderer) } ?? element
            let holds =
                try test.map { name throws(TemplateError) in
                    try TemplateTests.apply(name, to: subject, rest, renderer)
                }
                ?? subject.isTrue
            if holds == wants { result.append(element) }
        }
        return result
    }

    /// Texts compare in lower case unless told otherwise.
    private static func key(_ value: TemplateValue, isCaseSensitive: Bool, _ renderer: TemplateRenderer)
        throws(TemplateError) -> TemplateValue
    {
        if !isCaseSensitive, let text = value.text {
            try renderer.charge(bytes: text.utf8.count)
            return .string(PythonStrings.lower(text))
        }
        return value
    }

    /// A stable sort whose comparison may fail.
    private static func sorted(
        _ elements: [(key: TemplateValue, value: TemplateValue)], reversed: Bool, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> [TemplateValue] {
        var failure: TemplateError?
        let order = elements.indices.sorted { a, b in
            guard failure == nil else { return a < b }
            do throws(TemplateError) {
                let order = try TemplateArithmetic.order(elements[a].key, elements[b].key, renderer)
                return order == 0 ? a < b : reversed ? order > 0 : order < 0
            } catch {
                failure = error
                return a < b
            }
        }
        if let failure { throw failure }
        return order.map { elements[$0].value }
    }

    private static func sort(_ value: TemplateValue, _ arguments: TemplateArguments, _ renderer: TemplateRenderer)
        throws(TemplateError) -> [TemplateValue]
    {
        let isCaseSensitive = arguments.flag(1, "case_sensitive")
        var keyed: [(key: TemplateValue, value: TemplateValue)] = []
        for element in try renderer.iterate(value) {
            var key = element
            if let attribute = arguments.value(2, "attribute"), attribute.isTrue {
                key = try field(attribute, of: element, renderer)
            }
            keyed.append((try self.key(key, isCaseSensitive: isCaseSensitive, renderer), element))
        }
        return try sorted(keyed, reversed: arguments.flag(0, "reverse"), renderer)
    }

    private static func dictionarySort(
        _ value: TemplateValue, _ arguments: TemplateArguments, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue {
        guard case .dictionary(let dictionary) = value else {
            try TemplateRenderer.refuseUndefined(value)
            throw TemplateError(.type, "'\(value.kind)' object has no attribute 'items'")
        }
        let isCaseSensitive = arguments.flag(0, "case_sensitive")
        let byValue = try arguments.text(1, "by").map { $0.utf8.elementsEqual("value".utf8) } ?? false
        var keyed: [(key: TemplateValue, value: TemplateValue)] = []
        for (key, value) in dictionary.entries {
            let sorting = try self.key(byValue ? value : key, isCaseSensitive: isCaseSensitive, renderer)
            keyed.append((sorting, .tuple(TemplateArray([key, value]))))
        }
        return TemplateValue(try sorted(keyed, reversed: arguments.flag(2, "reverse"), renderer))
    }

    /// The field of an element that `path` names; the element itself where none is named.
    private static func attribute(
        _ path: TemplateValue?, of element: TemplateValue, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue {
        guard let path else { return element }
        return try field(path, of: element, renderer)
    }

    private static func unique(_ value: TemplateValue, _ arguments: TemplateArguments, _ renderer: TemplateRenderer)
        throws(TemplateError) -> TemplateValue
    {
        let isCaseSensitive = arguments.flag(0, "case_sensitive")
        var seen = TemplateDictionary()
        var result: [TemplateValue] = []
        for element in try renderer.iterate(value) {
            let subject = try attribute(arguments.value(1, "attribute"), of: element, renderer)
            let key = try key(subject, isCaseSensitive: isCaseSensitive, renderer)
            if try seen.find(key, renderer) != nil { continue }
            guard try seen.set(key, .none, renderer) else {
                throw TemplateError(.type, "unhashable type: '\(key.kind)'")
            }
            result.append(element)
        }
        return generator(result)
    }

    private static func extreme(
        _ name: String, _ value: TemplateValue, _ arguments: TemplateArguments, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue {
        let isCaseSensitive = arguments.flag(0, "case_sensitive")
        var best: (key: TemplateValue, value: TemplateValue)?
        for element in try renderer.iterate(value) {
            let subject = try attribute(arguments.value(1, "attribute"), of: element, renderer)
            let key = try key(subject, isCaseSensitive: isCaseSensitive, renderer)
            guard let current = best else {
                best = (key, element)
                continue
            }
            let order = try TemplateArithmetic.order(key, current.key, renderer)
            if name.hasSuffix("n") ? order < 0 : order > 0 { best = (key, element) }
        }
        return best?.value ?? .undefined("No aggregated item, sequence was empty.")
    }

    private static func sum(_ value: TemplateValue, _ arguments: TemplateArguments, _ renderer: TemplateRenderer)
        throws(TemplateError) -> TemplateValue
    {
        var total = arguments.value(1, "start") ?? .integer(0)
        for element in try renderer.iterate(value) {
            let term = try attribute(arguments.value(0, "attribute"), of: element, renderer)
            total = try TemplateArithmetic.binary("+", total, term, renderer)
        }
        return total
    }

    private static func group(_ value: TemplateValue, _ arguments: TemplateArguments, _ renderer: TemplateRenderer)
        throws(TemplateError) -> TemplateValue
    {
        guard let attribute = arguments.value(0, "attribute") else {
            throw TemplateError(.type, "groupby requires an attribute")
        }
        let isCaseSensitive = arguments.flag(2, "case_sensitive")
        var keyed: [(key: TemplateValue, value: TemplateValue)] = []
        for element in try renderer.iterate(value) {
            let found = try field(attribute, of: element, renderer)
            let name = found.isUndefined ? arguments.value(1, "default") ?? found : found
            let key = try key(name, isCaseSensitive: isCaseSensitive, renderer)
            keyed.append((key, .tuple(TemplateArray([key, name, element]))))
        }
        // A group is called as its first member is.
        var groups: [(key: TemplateValue, name: TemplateValue, members: [TemplateValue])] = []
        for triple in try sorted(keyed, reversed: false, renderer) {
            guard case .tuple(let parts) = triple else { continue }
            if let last = groups.last, try last.key.equals(parts[0], renderer) {
                groups[groups.count - 1].members.append(parts[2])
            } else {
                groups.append((parts[0], parts[1], [parts[2]]))
            }
        }
        return TemplateValue(
            groups.map { group in
                var pair = TemplateArray([group.name, TemplateValue(group.members)])
                pair.isGroup = true
                return .tuple(pair)
            })
    }

    private static func portions(
        _ name: String, _ value: TemplateValue, _ arguments: TemplateArguments, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue {
        let elements = try renderer.iterate(value)
        let count = try arguments.whole(0, "count") ?? 0
        guard count > 0, count <= 1 << 20 else { throw TemplateError(.value, "a portion of \(count) elements") }
        try renderer.charge(elements.count)
        var fill = arguments.value(1, "fill_with")
        if case .none? = fill { fill = nil }
        var result: [TemplateValue] = []
        if name.utf8.elementsEqual("batch".utf8) {
            for start in stride(from: 0, to: elements.count, by: count) {
                var part = Array(elements[start..<min(start + count, elements.count)])
                if let fill, part.count < count {
                    try renderer.charge(count)
                    part += Array(repeating: fill, count: count - part.count)
                }
                result.append(TemplateValue(part))
            }
            return generator(result)
        }
        try renderer.charge(count)
        var start = 0
        for index in 0..<count {
            let size = elements.count / count + (index < elements.count % count ? 1 : 0)
            var part = Array(elements[start..<(start + size)])
            if let fill, index >= elements.count % count, elements.count % count != 0 { part.append(fill) }
            result.append(TemplateValue(part))
            start += size
        }
        return generator(result)
    }
}
