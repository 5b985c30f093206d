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

    static func apply(_ name: String, to value: TemplateValue, _ arguments: TemplateArguments) throws(TemplateError)
        -> Bool
    {
        let other = arguments.value(0, "other") ?? .none
        switch name {
        case "defined": return !value.isUndefined
        case "undefined": return value.isUndefined
        case "none": if case .none = value { return true } else { return false }
        case "string": return value.text != nil
        case "mapping": if case .dictionary = value { return true } else { return false }
        case "number": return value.number != nil
        case "integer": if case .integer = value { return true } else { return false }
        case "float": if case .float = value { return true } else { return false }
        case "boolean": if case .bool = value { return true } else { return false }
        case "true": if case .bool(true) = value { return true } else { return false }
        case "false": if case .bool(false) = value { return true } else { return false }
        case "iterable": return isIterable(value)
        case "sequence":
            if case .sequence(let sequence) = value { return sequence.kind == .range }
            return isIterable(value)
        case "callable":
            switch value {
            case .macro, .function, .method: return true
            case .counter(let counter): return counter.values.isEmpty
            default: return false
            }
        case "even": return try whole(value) % 2 == 0
        case "odd": return try whole(value) % 2 != 0
        case "divisibleby":
            guard value.whole != nil, let divisor = other.whole else {
                guard let a = value.number, let b = other.number, b != 0 else {
                    return try whole(value) % whole(other) == 0
                }
                return a.truncatingRemainder(dividingBy: b) == 0
            }
            guard divisor != 0 else { throw TemplateError(.zeroDivision, "integer division or modulo by zero") }
            return try whole(value) % divisor == 0
        case "eq", "equalto", "==": return value.equals(other)
        case "ne", "!=": return !value.equals(other)
        case "lt", "lessthan", "<": return try TemplateArithmetic.order(value, other) < 0
        case "le", "<=": return try TemplateArithmetic.order(value, other) <= 0
        case "gt", "greaterthan", ">": return try TemplateArithmetic.order(value, other) > 0
        case "ge", ">=": return try TemplateArithmetic.order(value, other) >= 0
        case "in": return try TemplateArithmetic.contains(other, value)
        case "sameas": return value.kind.utf8.elementsEqual(other.kind.utf8) && value.equals(other)
        case "lower":
            return PythonText.string(value).unicodeScalars.contains { $0.properties.isCased }
                && !PythonText.string(value).unicodeScalars.contains { $0.properties.isUppercase }
        case "upper":
            return PythonText.string(value).unicodeScalars.contains { $0.properties.isCased }
                && !PythonText.string(value).unicodeScalars.contains { $0.properties.isLowercase }
        case "filter", "test":
            switch value {
            case .list, .dictionary: throw TemplateError(.type, "unhashable type: '\(value.kind)'")
            default: break
            }
            guard let known = value.text else { return false }
            return name.hasPrefix("f") ? TemplateFilters.isKnown(known) : isKnown(known)
        case "escaped": return false
        default: throw TemplateError(.runtime, "No test named '\(name)' found.")
        }
    }

    private static func isIterable(_ value: TemplateValue) -> Bool {
        switch value {
        case .string, .list, .tuple, .dictionary, .sequence, .undefined: true
        default: false
        }
    }

    private static func whole(_ value: TemplateValue) throws(TemplateError) -> Int {
        try TemplateRenderer.refuseUndefined(value)
        guard let whole = value.whole else {
            throw TemplateError(.type, "unsupported operand type(s) for %: '\(value.kind)' and 'int'")
        }
        return whole
    }
}
