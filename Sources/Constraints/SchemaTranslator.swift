import MartletJSON

/// A JSON schema (draft 2020-12) as a grammar whose texts are valid: properties in the schema's order, at most one
/// blank after `:` and `,`.
///
/// `Documentation/Constraints.md` lists the keywords. One that is not there is refused with its pointer: nothing that a
/// schema asserts is passed over in silence. Where JSON would allow more than is written here (other orders, blanks,
/// unnamed properties), less comes, and all of it is valid.
struct SchemaTranslator {
    static let annotations: Set<String> = [
        "title", "description", "default", "example", "examples", "deprecated", "readOnly", "writeOnly", "$schema",
        "$id", "$comment",
        "$defs", "definitions",
    ]
    private static let maximumDepth = 64

    private let root: JSON
    private var rules: [GrammarExpression] = [.never]
    private var names = ["#"]
    private var references: [String: Int] = [:]

    static func grammar(_ schema: JSON) throws(ConstraintError) -> Grammar {
        var translator = SchemaTranslator(root: schema)
        let expression = try translator.translate(schema, "", depth: 0)
        translator.rules[0] = expression
        return try Grammar(rules: translator.rules, names: translator.names)
    }

    private init(root: JSON) { self.root = root }

    func refusal(_ pointer: String, _ cause: String, _ remedy: String = "leave it out, or check the finished text")
        -> ConstraintError
    {
        ConstraintError(place: pointer.isEmpty ? "/" : pointer, cause: cause, remedy: remedy)
    }

    // MARK: Values

    mutating func translate(_ schema: JSON, _ pointer: String, depth: Int) throws(ConstraintError) -> GrammarExpression
    {
        guard depth <= SchemaTranslator.maximumDepth else {
            throw refusal(pointer, "the schema is nested deeper than \(SchemaTranslator.maximumDepth)")
        }
        if let value = schema.boolValue { return value ? anyValue() : .never }
        guard let object = schema.objectValue else { throw refusal(pointer, "a schema is an object or a truth value") }
        let keys = object.keys.filter { !SchemaTranslator.annotations.contains($0) && !$0.utf8.starts(with: "x-".utf8) }
        func only(_ allowed: Set<String>) throws(ConstraintError) {
            if let other = keys.first(where: { !allowed.contains($0) }) {
                throw refusal(
                    pointer + "/" + other,
                    "\(other) beside \(allowed.sorted().joined(separator: ", ")) is not supported")
            }
        }
        if let reference = object["$ref"] {
            try only(["$ref"])
            return .rule(try rule(reference, pointer + "/$ref", depth))
        }
        if let value = object["const"] {
            try only(["const", "type"])
            return try values([value], object["type"], pointer + "/const")
        }
        if let value = object["enum"] {
            try only(["enum", "type"])
            guard let all = value.arrayValue, !all.isEmpty else {
                throw refusal(pointer + "/enum", "enum is a list of at least one value")
            }
            return try values(all, object["type"], pointer + "/enum")
        }
        if object["allOf"] != nil { return try translate(merged(object, pointer, depth), pointer, depth: depth + 1) }
        for key in ["anyOf", "oneOf"] where object[key] != nil {
            try only([key, "type"])
            return try alternatives(object, key, pointer, depth)
        }
        return try typed(object, keys, pointer, depth)
    }

    private func values(_ values: [JSON], _ type: JSON?, _ pointer: String) throws(ConstraintError) -> GrammarExpression
    {
        var kept = values
        if let type {
            let names = try types(type, pointer)
            kept.removeAll { value in !names.contains { SchemaTranslator.has(value, $0) } }
        }
        guard !kept.isEmpty else { throw refusal(pointer, "no value is of the type") }
        return .choice(kept.map { .bytes($0.serialized()) })
    }

    private static func has(_ value: JSON, _ type: String) -> Bool {
        switch (type, value) {
        case ("null", .null), ("boolean", .bool), ("string", .string), ("array", .array), ("object", .object),
            ("integer", .integer),
            ("number", .integer), ("number", .number):
            true
        case ("integer", .number(let number)): number == number.rounded()
        default: false
        }
    }

    // MARK: References and combinations

    private mutating func rule(_ reference: JSON, _ pointer: String, _ depth: Int) throws(ConstraintError) -> Int {
        let target = try resolved(reference, pointer)
        if let known = references[target.pointer] { return known }
        let number = rules.count
        references[target.pointer] = number
        rules.append(.never)
        names.append("#" + target.pointer)
        guard number < 10_000 else { throw refusal(pointer, "more than 10000 references") }
        let expression =
            target.pointer.isEmpty && depth > 0
            ? .rule(0) : try translate(target.schema, target.pointer, depth: depth + 1)
        rules[number] = expression
        return number
    }

    private func resolved(_ reference: JSON, _ pointer: String) throws(ConstraintError) -> (
        schema: JSON, pointer: String
    ) {
        guard let text = reference.stringValue, text == "#" || text.utf8.starts(with: "#/".utf8) else {
            throw refusal(pointer, "references outside of the schema are not followed", "put the schema under $defs")
        }
        var schema = root
        for part in text.split(separator: "/").dropFirst() {
            let name = SchemaTranslator.unescaped(String(part))
            guard let next = schema[name] ?? Int(name).flatMap({ schema[$0] }) else {
                throw refusal(pointer, "\(text) names nothing", "correct it")
            }
            schema = next
        }
        return (schema, String(text.dropFirst()))
    }

    /// `~1` is `/` and `~0` is `~` (RFC 6901).
    private static func unescaped(_ part: String) -> String {
        var (result, escaped) = (String.UnicodeScalarView(), false)
        for scalar in part.unicodeScalars {
            if escaped {
                result.append(scalar == "1" ? "/" : "~")
                escaped = false
            } else if scalar == "~" {
                escaped = true
            } else {
                result.append(scalar)
            }
        }
        return String(result)
    }

    private mutating func alternatives(_ object: JSONObject, _ key: String, _ pointer: String, _ depth: Int)
        throws(ConstraintError) -> GrammarExpression
    {
        guard let parts = object[key]?.arrayValue, !parts.isEmpty else {
            throw refusal(pointer + "/" + key, "\(key) is a list of schemas", "correct it")
        }
        if key == "oneOf" { try checkDisjoint(parts, pointer + "/oneOf") }
        var expressions: [GrammarExpression] = []
        for (index, part) in parts.enumerated() {
            var part = part
            if let type = object["type"], var own = part.objectValue, own["type"] == nil {
                own["type"] = type
                part = .object(own)
            }
            expressions.append(try translate(part, "\(pointer)/\(key)/\(index)", depth: depth + 1))
        }
        return .choice(expressions)
    }

    /// Exactly one of the alternatives must hold, which is certain where no two have a type in common, or where a
    /// required property is a constant in both, and another one.
    private func checkDisjoint(_ parts: [JSON], _ pointer: String) throws(ConstraintError) {
        var known: [JSON] = []
        for part in parts {
            known.append(part["$ref"] == nil ? part : try resolved(part["$ref"] ?? .null, pointer).schema)
        }
        for (index, second) in known.enumerated() {
            for first in known[..<index] where try !isDisjoint(first, second, pointer) {
                throw refusal(
                    pointer, "two alternatives of oneOf are told apart neither by type nor by a required constant",
                    "use anyOf")
            }
        }
    }

    private func isDisjoint(_ a: JSON, _ b: JSON, _ pointer: String) throws(ConstraintError) -> Bool {
        func values(_ schema: JSON?) -> [JSON]? { (schema?["const"]).map { [$0] } ?? schema?["enum"]?.arrayValue }
        func differ(_ a: [JSON], _ b: [JSON]) -> Bool {
            !a.contains { x in b.contains { $0.serialized() == x.serialized() } }
        }
        if let first = values(a), let second = values(b) { return differ(first, second) }
        if let first = a["type"], let second = b["type"] {
            var (first, second) = (Set(try types(first, pointer)), Set(try types(second, pointer)))
            if first.contains("number") { first.insert("integer") }
            if second.contains("number") { second.insert("integer") }
            if first.isDisjoint(with: second) { return true }
        }
        let required = Set((a["required"]?.arrayValue ?? []).compactMap(\.stringValue))
            .intersection((b["required"]?.arrayValue ?? []).compactMap(\.stringValue))
        return required.contains { name in
            guard let first = values(a["properties"]?[name]), let second = values(b["properties"]?[name]) else {
                return false
            }
            return differ(first, second)
        }
    }

    /// The parts of `allOf` as one schema: properties and required names of all, the narrower of two bounds; two texts
    /// of one keyword that differ are refused.
    private func merged(_ object: JSONObject, _ pointer: String, _ depth: Int) throws(ConstraintError) -> JSON {
        var whole = JSONObject()
        guard let parts = object["allOf"]?.arrayValue, depth <= SchemaTranslator.maximumDepth else {
            throw refusal(pointer + "/allOf", "allOf is a list of schemas", "correct it")
        }
        var own = object
        own["allOf"] = nil
        var known: [(schema: JSONObject, place: String)] = []
        for (index, part) in ([.object(own)] + parts).enumerated() {
            let place = index == 0 ? pointer : "\(pointer)/allOf/\(index - 1)"
            var schema = part["$ref"] == nil ? part : try resolved(part["$ref"] ?? .null, place).schema
            if let inner = schema.objectValue, inner["allOf"] != nil { schema = try merged(inner, place, depth + 1) }
            guard let members = schema.objectValue else { throw refusal(place, "a part of allOf is no object") }
            known.append((members, place))
            for member in members.members where !SchemaTranslator.annotations.contains(member.key) {
                whole[member.key] = try both(member.key, whole[member.key], member.value, place)
            }
        }
        for part in known { try checkReach(part.schema, part.place, whole) }
        return .object(whole)
    }

    /// `items` and `additionalProperties` speak of what their own part of `allOf` does not name, be it named by
    /// another.
    private func checkReach(_ part: JSONObject, _ pointer: String, _ whole: JSONObject) throws(ConstraintError) {
        let (own, all) = (part["prefixItems"]?.arrayValue?.count ?? 0, whole["prefixItems"]?.arrayValue?.count ?? 0)
        if let items = part["items"], items.boolValue != true, own < all {
            throw refusal(pointer + "/items", "items beside the prefixItems of another part of allOf is not supported")
        }
        guard let others = part["additionalProperties"], others.boolValue != true else { return }
        for name in whole["properties"]?.objectValue?.keys ?? [] where part["properties"]?[name] == nil {
            throw refusal(
                pointer + "/additionalProperties",
                "additionalProperties beside the property \(name.quoted) of another part of allOf is not supported")
        }
    }

    private func both(_ key: String, _ first: JSON?, _ second: JSON, _ pointer: String) throws(ConstraintError) -> JSON
    {
        guard let first, first.serialized() != second.serialized() else { return second }
        switch key {
        case "required": return .array((first.arrayValue ?? []) + (second.arrayValue ?? []))
        case "properties":
            var properties = first.objectValue ?? JSONObject()
            for member in second.objectValue?.members ?? [] {
                let known = properties[member.key]
                properties[member.key] = known.map { ["allOf": .array([$0, member.value])] } ?? member.value
            }
            return .object(properties)
        case "minimum", "minLength", "minItems", "exclusiveMinimum":
            if let a = first.doubleValue, let b = second.doubleValue { return a > b ? first : second }
        case "maximum", "maxLength", "maxItems", "exclusiveMaximum":
            if let a = first.doubleValue, let b = second.doubleValue { return a < b ? first : second }
        case "additionalProperties":
            if first.boolValue == false || second.boolValue == false { return .bool(false) }
        default: break
        }
        throw refusal(pointer + "/" + key, "two parts of allOf say different things of \(key)")
    }

    /// A rule of its own for what is used more than once, so that it is compiled once; nothing needs none.
    mutating func ruled(_ expression: GrammarExpression) -> GrammarExpression {
        switch expression {
        case .rule: return expression
        case .sequence(let parts) where parts.isEmpty: return expression
        default:
            rules.append(expression)
            names.append("properties")
            return .rule(rules.count - 1)
        }
    }

    /// Any JSON value, nested as deep as calls may be.
    mutating func anyValue() -> GrammarExpression {
        if let known = references["any"] { return .rule(known) }
        let number = rules.count
        references["any"] = number
        names.append("any value")
        rules.append(.never)
        let value = GrammarExpression.rule(number)
        let member = GrammarExpression.sequence([JSONGrammar.string, JSONGrammar.colon, value])
        rules[number] = .choice([
            JSONGrammar.string, JSONGrammar.number, .text("true"), .text("false"), .text("null"),
            JSONGrammar.list(value, minimum: 0, maximum: nil, "[", "]"),
            JSONGrammar.list(member, minimum: 0, maximum: nil, "{", "}"),
        ])
        return value
    }
}
