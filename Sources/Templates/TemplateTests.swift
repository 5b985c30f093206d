/// Jinja2's tests (`is string`).
enum TemplateTests {
    private static let names: Set<String> = [
        "defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "number", "integer", "float",
        "boolean",
        "true", "false", "callable", "even", "odd", "divisibleby", "eq", "equalto", "==", "ne", "!=", "lt", "lessthan",
        "<",
        "le", "<=", "gt", "greaterthan", ">", "ge", ">=", "in", "sameas", "lower", "upper", "escaped", "filter", "test",
    ]

    static func isKnown(_ name: String) -> Bool { names.contains(name) }

    static func apply(
        _ name: String, to value: TemplateValue, _ arguments: TemplateArguments, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> Bool {
        if let answer = kindTest(name, value) { return answer }
        let other = arguments.value(0, "other") ?? .none
        switch name {
        case "even": return try isDivisible(value, by: .integer(2), renderer)
        case "odd": return !(try isDivisible(value, by: .integer(2), renderer))
        case "divisibleby": return try isDivisible(value, by: other, renderer)
        case "eq", "equalto", "==": return try value.equals(other, renderer)
        case "ne", "!=": return !(try value.equals(other, renderer))
        case "lt", "lessthan", "<": return try TemplateArithmetic.order(value, other, renderer) < 0
        case "le", "<=": return try TemplateArithmetic.order(value, other, renderer) <= 0
        case "gt", "greaterthan", ">": return try TemplateArithmetic.order(value, other, renderer, ">") > 0
        case "ge", ">=": return try TemplateArithmetic.order(value, other, renderer, ">=") >= 0
        case "in": return try TemplateArithmetic.contains(other, value, renderer)
        case "sameas":
            guard value.kind.utf8.elementsEqual(other.kind.utf8) else { return false }
            return try value.equals(other, renderer)
        case "lower", "upper":
            let scalars = try PythonText.string(value, renderer).unicodeScalars
            try renderer.charge(bytes: scalars.count)
            let isUpper = name.hasPrefix("u")
            return scalars.contains { $0.properties.isCased }
                && !scalars.contains { isUpper ? $0.properties.isLowercase : $0.properties.isUppercase }
        case "filter", "test":
            switch value {
            case .list, .dictionary: throw TemplateError(.type, "unhashable type: '\(value.kind)'")
            default: break
            }
            guard let known = value.text else { return false }
            return name.hasPrefix("f") ? TemplateFilters.isKnown(known) : isKnown(known)
        default: throw TemplateError(.runtime, "No test named '\(name)' found.")
        }
    }

    /// The answer of a test of a value's kind, which takes no argument; nil for other tests.
    private static func kindTest(_ name: String, _ value: TemplateValue) -> Bool? {
        switch (name, value) {
        case ("defined", _): !value.isUndefined
        case ("undefined", _): value.isUndefined
        case ("none", .none), ("mapping", .dictionary), ("float", .float), ("boolean", .bool), ("true", .bool(true)),
            ("false", .bool(false)):
            true
        case ("none", _), ("mapping", _), ("float", _), ("boolean", _), ("true", _), ("false", _): false
        case ("string", _): value.text != nil
        case ("number", _): value.number != nil
        case ("integer", .bool): false
        case ("integer", _): value.integer != nil
        case ("sequence", .sequence(let sequence)): sequence.kind == .range
        case ("iterable", _), ("sequence", _): isIterable(value)
        case ("callable", .macro), ("callable", .function), ("callable", .method), ("callable", .block(.some)): true
        case ("callable", .counter(let counter)): counter.values.isEmpty
        case ("callable", _): false
        case ("escaped", _): value.isMarkup
        default: nil
        }
    }

    private static func isIterable(_ value: TemplateValue) -> Bool {
        switch value {
        case .string, .markup, .list, .tuple, .dictionary, .sequence, .undefined: true
        default: false
        }
    }

    private static func isDivisible(_ value: TemplateValue, by divisor: TemplateValue, _ renderer: TemplateRenderer)
        throws(TemplateError) -> Bool
    {
        guard value.number != nil else {
            try TemplateRenderer.refuseUndefined(value)
            throw TemplateError(.type, "unsupported operand type(s) for %: '\(value.kind)' and '\(divisor.kind)'")
        }
        return !(try TemplateArithmetic.binary("%", value, divisor, renderer).isTrue)
    }
}
