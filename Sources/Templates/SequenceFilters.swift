/// The filters that work on sequences.
enum SequenceFilters {
    /// - Returns: nil for a filter that is none of these.
    static func apply(
        _ name: String, to value: TemplateValue, _ arguments: TemplateArguments, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue? {
        switch name {
        case "length", "count": return .integer(try length(value))
        case "items":
            if value.isUndefined { return generator([]) }
            guard case .dictionary(let dictionary) = value else {
                throw TemplateError(.type, "Can only get item pairs from a mapping.")
            }
            return generator(dictionary.items)
        case "list": return .list(try renderer.iterate(value))
        case "first", "last":
            if case .sequence(let sequence) = value, sequence.isOnce {
                guard name.hasPrefix("f") else {
                    throw TemplateError(.type, "'\(value.kind)' object is not reversible")
                }
                return sequence.first() ?? .undefined("No first item, sequence was empty.")
            }
            let elements = try renderer.iterate(value)
            return (name.hasPrefix("f") ? elements.first : elements.last)
                ?? .undefined("No \(name) item, sequence was empty.")
        case "join": return try join(value, arguments, renderer)
        case "reverse":
            if case .string(let text) = value {
                return .string(String(String.UnicodeScalarView(text.unicodeScalars.reversed())))
            }
            let elements = try renderer.iterate(value)
            // Of a generator a list is made first.
            if case .sequence(let sequence) = value, sequence.isOnce { return .list(elements.reversed()) }
            return .sequence(TemplateSequence(.reversed, elements.reversed()))
        case "map", "select", "reject", "selectattr", "rejectattr": return try pick(name, value, arguments, renderer)
        case "sort": return .list(try sort(value, arguments, renderer))
        case "dictsort": return try dictionarySort(value, arguments)
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

    static func length(_ value: TemplateValue) throws(TemplateError) -> Int {
        switch value {
        case .string(let text): return text.unicodeScalars.count
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
        for name in PythonStrings.split(text, ".") {
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
        let separator = PythonText.string(arguments.value(0, "d") ?? .string(""))
        let text = elements.map(PythonText.string).joined(separator: separator)
        try renderer.charge(text.utf8.count / 16)
        return .string(text)
    }

    private static func pick(
        _ name: String, _ value: TemplateValue, _ arguments: TemplateArguments, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue {
        var rest = arguments
        var result: [TemplateValue] = []
        // What is false has no elements, whatever it is.
        let elements = value.isTrue ? try renderer.iterate(value) : []
        if name.utf8.elementsEqual("map".utf8) {
            if let attribute = arguments.value(-1, "attribute") {
                let missing = arguments.value(-1, "default")
                for element in elements {
                    let found = try field(attribute, of: element, renderer)
                    result.append(found.isUndefined ? missing ?? found : found)
                }
                return generator(result)
            }
            guard let filter = rest.positional.first?.text else {
                throw TemplateError(.type, "map requires a filter argument")
            }
            rest.positional.removeFirst()
            for element in elements {
                try renderer.charge(0)
                result.append(try TemplateFilters.apply(filter, to: element, rest, renderer))
            }
            return generator(result)
        }
        let attribute = name.hasSuffix("attr") ? rest.positional.first : nil
        if name.hasSuffix("attr") {
            guard attribute != nil else { throw TemplateError(.type, "missing the name of an attribute") }
            rest.positional.removeFirst()
        }
        let test = rest.positional.first.map(PythonText.string)
        if test != nil { rest.positional.removeFirst() }
        let wants = name.hasPrefix("s")
        for element in elements {
            try renderer.charge(0)
            let subject =
                try attribute.map { path throws(TemplateError) in try field(path, of: element, renderer) } ?? element
            let holds =
                try test.map { name throws(TemplateError) in try TemplateTests.apply(name, to: subject, rest) }
                ?? subject.isTrue
            if holds == wants { result.append(element) }
        }
        return generator(result)
    }

    /// Texts compare in lower case unless told otherwise.
    private static func key(_ value: TemplateValue, isCaseSensitive: Bool) -> TemplateValue {
        if !isCaseSensitive, let text = value.text { return .string(PythonStrings.lower(text)) }
        return value
    }

    /// A stable sort whose comparison may fail.
    private static func sorted(
        _ elements: [(key: TemplateValue, value: TemplateValue)], reversed: Bool
    ) throws(TemplateError) -> [TemplateValue] {
        var failure: TemplateError?
        let order = elements.indices.sorted { a, b in
            do throws(TemplateError) {
                let order = try TemplateArithmetic.order(elements[a].key, elements[b].key)
                return order == 0 ? a < b : reversed ? order > 0 : order < 0
            } catch {
                failure = failure ?? error
                return a < b
            }
        }
        if let failure { throw failure }
        return order.map { elements[$0].value }
    }

    private static func sort(_ value: TemplateValue, _ arguments: TemplateArguments, _ renderer: TemplateRenderer)
        throws(TemplateError) -> [TemplateValue]
    {
        let isCaseSensitive = arguments.value(1, "case_sensitive")?.isTrue ?? false
        var keyed: [(key: TemplateValue, value: TemplateValue)] = []
        for element in try renderer.iterate(value) {
            var key = element
            if let attribute = arguments.value(2, "attribute"), attribute.isTrue {
                key = try field(attribute, of: element, renderer)
            }
            keyed.append((self.key(key, isCaseSensitive: isCaseSensitive), element))
        }
        return try sorted(keyed, reversed: arguments.value(0, "reverse")?.isTrue ?? false)
    }

    private static func dictionarySort(_ value: TemplateValue, _ arguments: TemplateArguments) throws(TemplateError)
        -> TemplateValue
    {
        guard case .dictionary(let dictionary) = value else {
            try TemplateRenderer.refuseUndefined(value)
            throw TemplateError(.type, "'\(value.kind)' object has no attribute 'items'")
        }
        let isCaseSensitive = arguments.value(0, "case_sensitive")?.isTrue ?? false
        let byValue = try arguments.text(1, "by").map { $0.utf8.elementsEqual("value".utf8) } ?? false
        let keyed = dictionary.entries.map { entry in
            (
                key: key(byValue ? entry.value : entry.key, isCaseSensitive: isCaseSensitive),
                value: TemplateValue.tuple([entry.key, entry.value])
            )
        }
        return .list(try sorted(keyed, reversed: arguments.value(2, "reverse")?.isTrue ?? false))
    }

    private static func unique(_ value: TemplateValue, _ arguments: TemplateArguments, _ renderer: TemplateRenderer)
        throws(TemplateError) -> TemplateValue
    {
        let isCaseSensitive = arguments.value(0, "case_sensitive")?.isTrue ?? false
        var seen = TemplateDictionary()
        var result: [TemplateValue] = []
        for element in try renderer.iterate(value) {
            let subject =
                try arguments.value(1, "attribute").map { path throws(TemplateError) in
                    try field(path, of: element, renderer)
                } ?? element
            let key = key(subject, isCaseSensitive: isCaseSensitive)
            if seen[key] != nil { continue }
            guard seen.set(key, .none) else { throw TemplateError(.type, "unhashable type: '\(key.kind)'") }
            result.append(element)
        }
        return generator(result)
    }

    private static func extreme(
        _ name: String, _ value: TemplateValue, _ arguments: TemplateArguments, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue {
        let isCaseSensitive = arguments.value(0, "case_sensitive")?.isTrue ?? false
        var best: (key: TemplateValue, value: TemplateValue)?
        for element in try renderer.iterate(value) {
            let subject =
                try arguments.value(1, "attribute").map { path throws(TemplateError) in
                    try field(path, of: element, renderer)
                } ?? element
            let key = key(subject, isCaseSensitive: isCaseSensitive)
            guard let current = best else {
                best = (key, element)
                continue
            }
            let order = try TemplateArithmetic.order(key, current.key)
            if name.hasSuffix("n") ? order < 0 : order > 0 { best = (key, element) }
        }
        return best?.value ?? .undefined("No aggregated item, sequence was empty.")
    }

    private static func sum(_ value: TemplateValue, _ arguments: TemplateArguments, _ renderer: TemplateRenderer)
        throws(TemplateError) -> TemplateValue
    {
        var total = arguments.value(1, "start") ?? .integer(0)
        for element in try renderer.iterate(value) {
            let term =
                try arguments.value(0, "attribute").map { path throws(TemplateError) in
                    try field(path, of: element, renderer)
                } ?? element
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
        var keyed: [(key: TemplateValue, value: TemplateValue)] = []
        for element in try renderer.iterate(value) {
            let found = try field(attribute, of: element, renderer)
            let key = found.isUndefined ? arguments.value(1, "default") ?? found : found
            keyed.append((key, .tuple([key, element])))
        }
        var groups: [(key: TemplateValue, members: [TemplateValue])] = []
        for pair in try sorted(keyed.map { (key($0.key, isCaseSensitive: false), $0.value) }, reversed: false) {
            guard case .tuple(let parts) = pair else { continue }
            if let last = groups.last, last.key.equals(parts[0]) {
                groups[groups.count - 1].members.append(parts[1])
            } else {
                groups.append((parts[0], [parts[1]]))
            }
        }
        return .list(groups.map { .tuple([$0.key, .list($0.members)]) })
    }

    private static func portions(
        _ name: String, _ value: TemplateValue, _ arguments: TemplateArguments, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue {
        let elements = try renderer.iterate(value)
        let count = try arguments.whole(0, "count") ?? 0
        guard count > 0, count <= 1 << 20 else { throw TemplateError(.value, "a portion of \(count) elements") }
        let fill = arguments.value(1, "fill_with")
        var result: [TemplateValue] = []
        if name.utf8.elementsEqual("batch".utf8) {
            for start in stride(from: 0, to: elements.count, by: count) {
                var part = Array(elements[start..<min(start + count, elements.count)])
                if let fill, part.count < count { part += Array(repeating: fill, count: count - part.count) }
                result.append(.list(part))
            }
            return generator(result)
        }
        try renderer.charge(count)
        var start = 0
        for index in 0..<count {
            let size = elements.count / count + (index < elements.count % count ? 1 : 0)
            var part = Array(elements[start..<(start + size)])
            if let fill, index >= elements.count % count, elements.count % count != 0 { part.append(fill) }
            result.append(.list(part))
            start += size
        }
        return generator(result)
    }
}
