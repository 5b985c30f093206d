import MartletJSON

extension SchemaTranslator {
    /// The keywords that say something of values of one type.
    private static let keywords: [String: Set<String>] = [
        "null": [], "boolean": [],
        "string": ["minLength", "maxLength", "pattern", "format"],
        "integer": ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
        "number": ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
        "array": ["items", "prefixItems", "minItems", "maxItems"],
        "object": ["properties", "required", "additionalProperties"],
    ]

    /// A value of the types that the schema names, or else that its keywords speak of, or else of any.
    mutating func typed(_ object: JSONObject, _ keys: [String], _ pointer: String, _ depth: Int) throws(ConstraintError)
        -> GrammarExpression
    {
        for key in keys where key != "type" && !SchemaTranslator.keywords.values.contains(where: { $0.contains(key) }) {
            // What asserts nothing may be said.
            if key == "uniqueItems", object[key]?.boolValue == false { continue }
            throw refusal(pointer + "/" + key, "\(key) is not supported")
        }
        var names: [String]
        if let type = object["type"] {
            names = try types(type, pointer + "/type")
        } else {
            names = ["string", "array", "object"].filter { type in
                keys.contains { SchemaTranslator.keywords[type]?.contains($0) ?? false }
            }
            if keys.contains(where: { SchemaTranslator.keywords["number"]?.contains($0) ?? false }) {
                names.append("number")
            }
            if names.isEmpty { return anyValue() }
        }
        if names.contains("number") { names.removeAll { $0 == "integer" } }
        var parts: [GrammarExpression] = []
        for name in names { parts.append(try value(of: name, object, pointer, depth)) }
        return parts.count == 1 ? parts[0] : .choice(parts)
    }

    func types(_ value: JSON, _ pointer: String) throws(ConstraintError) -> [String] {
        let names = (value.arrayValue ?? [value]).compactMap(\.stringValue)
        guard !names.isEmpty, names.allSatisfy({ SchemaTranslator.keywords[$0] != nil }) else {
            throw refusal(
                pointer,
                "type is one of \(SchemaTranslator.keywords.keys.sorted().joined(separator: ", ")), or a list of them",
                "correct it")
        }
        return names
    }

    private mutating func value(of type: String, _ object: JSONObject, _ pointer: String, _ depth: Int)
        throws(ConstraintError) -> GrammarExpression
    {
        switch type {
        case "null": .text("null")
        case "boolean": .choice([.text("true"), .text("false")])
        case "string": try string(object, pointer)
        case "array": try array(object, pointer, depth)
        case "object": try members(object, pointer, depth)
        default: try number(object, pointer, isWhole: type == "integer")
        }
    }

    private func count(_ object: JSONObject, _ key: String, _ pointer: String) throws(ConstraintError) -> Int? {
        guard let value = object[key] else { return nil }
        let number = value.integerValue ?? value.doubleValue.flatMap { Int(exactly: $0) }
        guard let number, (0...100_000).contains(number) else {
            throw refusal(pointer + "/" + key, "\(key) is a whole number from 0 to 100000", "correct it")
        }
        return number
    }

    // MARK: Strings

    /// Formats as regular expressions. Days are those that every year has.
    private static let formats: [String: String] = {
        let day = "((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|02-(0[1-9]|1\\d|2[0-8]))"
        let date = "\\d{3}[1-9]-" + day
        let time = "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,6})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)"
        let byte = "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
        // No two hyphens in a row: as third and fourth they would promise Punycode (RFC 5891).
        let label = "[A-Za-z0-9](-?[A-Za-z0-9]){0,31}"
        return [
            "date": date, "time": time, "date-time": date + "T" + time,
            "uuid": "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
            "ipv4": "\(byte)\\.\(byte)\\.\(byte)\\.\(byte)",
            "hostname": "\(label)(\\.\(label)){0,2}",
            "email": "[A-Za-z0-9_+-]{1,32}(\\.[A-Za-z0-9_+-]{1,31})?@\(label)(\\.\(label)){1,2}",
        ]
    }()

    private func string(_ object: JSONObject, _ pointer: String) throws(ConstraintError) -> GrammarExpression {
        let (least, most) = (try count(object, "minLength", pointer), try count(object, "maxLength", pointer))
        if let least, let most, least > most {
            throw refusal(pointer + "/minLength", "minLength is above maxLength", "correct it")
        }
        let shapes = ["pattern", "format"].filter { object[$0] != nil }
        guard let shape = shapes.first else {
            return JSONGrammar.quoted(.repeated(JSONGrammar.character, minimum: least ?? 0, maximum: most))
        }
        if let other = shapes.dropFirst().first ?? (least != nil ? "minLength" : most != nil ? "maxLength" : nil) {
            throw refusal(
                pointer + "/" + other, "\(other) beside \(shape) is not supported", "say it all in the pattern")
        }
        let text = object[shape]?.stringValue ?? ""
        if shape == "format" {
            guard let format = SchemaTranslator.formats[text] else {
                throw refusal(pointer + "/format", "the format \(text) is not supported")
            }
            return JSONGrammar.quoted(try RegularExpression.expression(format, searches: false))
        }
        do throws(ConstraintError) {
            return JSONGrammar.quoted(
                try RegularExpression.expression(text, searches: true, spelled: JSONGrammar.spelled))
        } catch {
            throw error.at(pointer + "/pattern")
        }
    }

    // MARK: Numbers

    private func number(_ object: JSONObject, _ pointer: String, isWhole: Bool) throws(ConstraintError)
        -> GrammarExpression
    {
        func bound(_ key: String) throws(ConstraintError) -> Double? {
            guard let value = object[key] else { return nil }
            guard let number = value.doubleValue, abs(number) <= 1e15 else {
                throw refusal(pointer + "/" + key, "\(key) is a number within ±1e15", "correct it")
            }
            return number
        }
        let (least, most) = (try bound("minimum"), try bound("maximum"))
        let (above, below) = (try bound("exclusiveMinimum"), try bound("exclusiveMaximum"))
        guard least != nil || most != nil || above != nil || below != nil else {
            return isWhole ? JSONGrammar.integers(-999_999_999_999_999, 999_999_999_999_999) : JSONGrammar.number
        }
        // The lowest and highest whole number that is allowed, and between which all fractions are.
        let low = max(least.map { $0.rounded(.up) } ?? -1e15, above.map { $0.rounded(.down) + 1 } ?? -1e15)
        let high = min(most.map { $0.rounded(.down) } ?? 1e15, below.map { $0.rounded(.up) - 1 } ?? 1e15)
        let from = max(least.map { $0.rounded(.up) } ?? -1e15, above.map { $0.rounded(.up) } ?? -1e15)
        let to = min(most.map { $0.rounded(.down) } ?? 1e15, below.map { $0.rounded(.down) } ?? 1e15)
        let whole = JSONGrammar.integers(Int(low), Int(high))
        let expression = isWhole ? whole : .choice([whole, JSONGrammar.fractions(Int(from), Int(to))])
        if low > high && (isWhole || from >= to) {
            throw refusal(pointer, "no number lies between the bounds that is written here", "widen them")
        }
        return expression
    }

    // MARK: Arrays and objects

    private mutating func array(_ object: JSONObject, _ pointer: String, _ depth: Int) throws(ConstraintError)
        -> GrammarExpression
    {
        let least = try count(object, "minItems", pointer) ?? 0
        let most = try count(object, "maxItems", pointer)
        let first = object["prefixItems"]?.arrayValue ?? []
        let item: GrammarExpression?
        switch object["items"] {
        case .bool(false): item = nil
        case let items?: item = try translate(items, pointer + "/items", depth: depth + 1)
        case nil: item = anyValue()
        }
        if let most, least > most { throw refusal(pointer + "/minItems", "minItems is above maxItems", "correct it") }
        guard !first.isEmpty else {
            return JSONGrammar.list(item ?? .never, minimum: least, maximum: item == nil ? 0 : most, "[", "]")
        }
        guard first.count <= 64 else { throw refusal(pointer + "/prefixItems", "more than 64 prefixItems") }
        // What follows the first `number` items; it may be nothing once there are enough.
        var rest = GrammarExpression.empty
        if let item {
            let left = most.map { max(0, $0 - first.count) }
            rest = .repeated(.sequence([JSONGrammar.comma, item]), minimum: max(0, least - first.count), maximum: left)
        } else if least > first.count {
            throw refusal(pointer + "/minItems", "minItems is above what prefixItems allow", "correct it")
        }
        for number in first.indices.reversed() {
            if let most, number >= most {
                rest = .empty
                continue
            }
            let own = try translate(first[number], "\(pointer)/prefixItems/\(number)", depth: depth + 1)
            let part = GrammarExpression.sequence([number > 0 ? JSONGrammar.comma : .empty, own, rest])
            rest = number < least ? part : .optional(part)
        }
        return .sequence([.text("["), rest, .text("]")])
    }

    /// Named properties in the schema's order; free ones where none is named.
    private mutating func members(_ object: JSONObject, _ pointer: String, _ depth: Int) throws(ConstraintError)
        -> GrammarExpression
    {
        let properties = object["properties"]?.objectValue ?? JSONObject()
        let required = Set((object["required"]?.arrayValue ?? []).compactMap(\.stringValue))
        let others = object["additionalProperties"] ?? .bool(true)
        var named: [(key: String, value: GrammarExpression)] = []
        for member in properties.members {
            let place = pointer + "/properties/" + member.key
            named.append((member.key, try translate(member.value, place, depth: depth + 1)))
        }
        for name in required.sorted() where properties[name] == nil {
            guard others.boolValue != false else {
                throw refusal(pointer + "/required", "\(name) is required and not allowed", "correct it")
            }
            named.append((name, try translate(others, pointer + "/additionalProperties", depth: depth + 1)))
        }
        if named.isEmpty {
            guard others.boolValue != false else { return .text("{}") }
            let value = try translate(others, pointer + "/additionalProperties", depth: depth + 1)
            return JSONGrammar.list(
                .sequence([JSONGrammar.string, JSONGrammar.colon, value]), minimum: 0, maximum: nil, "{", "}")
        }
        // From the last on: what may follow when something has been written, and when nothing has.
        var (later, first) = (GrammarExpression.empty, GrammarExpression.empty)
        for (key, value) in named.reversed() {
            let member = GrammarExpression.sequence([.bytes(JSON.string(key).serialized()), JSONGrammar.colon, value])
            let (next, nextFirst) = (ruled(later), ruled(first))
            let (written, begun) = (
                GrammarExpression.sequence([JSONGrammar.comma, member, next]),
                GrammarExpression.sequence([member, next])
            )
            if required.contains(key) {
                (later, first) = (written, begun)
            } else {
                (later, first) = (.choice([written, next]), .choice([begun, nextFirst]))
            }
        }
        return .sequence([.text("{"), first, .text("}")])
    }
}
