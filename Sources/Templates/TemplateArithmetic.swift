import MartletPlatform

/// Python's operators.
enum TemplateArithmetic {
    /// Longest text or list that an operator may make.
    static let largestResult = 1 << 24

    static func checked(_ result: (partialValue: Int, overflow: Bool)) throws(TemplateError) -> Int {
        guard !result.overflow else { throw TemplateError(.overflow, "a number beyond 64 bits") }
        return result.partialValue
    }

    static func binary(
        _ sign: String, _ left: TemplateValue, _ right: TemplateValue, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue {
        if sign.utf8.elementsEqual("~".utf8) {
            let text = PythonText.string(left) + PythonText.string(right)
            try renderer.charge(text.utf8.count / 16)
            return .string(text)
        }
        try TemplateRenderer.refuseUndefined(left)
        // An undefined name formats as no text.
        if case .string(let format) = left, sign.utf8.elementsEqual("%".utf8) {
            return .string(try PythonFormat.percent(format, right))
        }
        try TemplateRenderer.refuseUndefined(right)
        switch (sign, left, right) {
        case ("+", .string(let a), .string(let b)):
            try renderer.charge((a.utf8.count + b.utf8.count) / 16)
            guard a.utf8.count + b.utf8.count <= largestResult else {
                throw TemplateError(.limit, "a text that is too long")
            }
            return .string(a + b)
        case ("+", .list(let a), .list(let b)):
            try renderer.charge(a.count + b.count)
            return .list(a + b)
        case ("+", .tuple(let a), .tuple(let b)):
            try renderer.charge(a.count + b.count)
            return .tuple(a + b)
        case ("*", .string(let text), _) where right.whole != nil:
            return .string(try repeated(text.utf8.count, right, renderer) { String(repeating: text, count: $0) })
        case ("*", .list(let elements), _) where right.whole != nil:
            return .list(
                try repeated(elements.count, right, renderer) { Array(repeatElement(elements, count: $0).joined()) })
        case ("*", _, .string), ("*", _, .list):
            if left.whole != nil { return try binary(sign, right, left, renderer) }
        default: break
        }
        if let a = left.whole, let b = right.whole { return try integers(sign, a, b) }
        if let a = left.number, let b = right.number { return .float(try floats(sign, a, b)) }
        if sign.utf8.elementsEqual("+".utf8), case .string = left {
            throw TemplateError(.type, "can only concatenate str (not \"\(right.kind)\") to str")
        }
        if sign.utf8.elementsEqual("+".utf8), case .list = left {
            throw TemplateError(.type, "can only concatenate list (not \"\(right.kind)\") to list")
        }
        throw TemplateError(.type, "unsupported operand type(s) for \(sign): '\(left.kind)' and '\(right.kind)'")
    }

    private static func repeated<Value>(
        _ count: Int, _ times: TemplateValue, _ renderer: TemplateRenderer, _ make: (Int) -> Value
    ) throws(TemplateError) -> Value {
        let times = max(0, times.whole ?? 0)
        let (total, overflow) = count.multipliedReportingOverflow(by: times)
        guard !overflow, total <= largestResult else { throw TemplateError(.limit, "a repetition that is too long") }
        try renderer.charge(total / 16)
        return make(count == 0 ? 0 : times)
    }

    private static func integers(_ sign: String, _ a: Int, _ b: Int) throws(TemplateError) -> TemplateValue {
        switch sign {
        case "+": return .integer(try checked(a.addingReportingOverflow(b)))
        case "-": return .integer(try checked(a.subtractingReportingOverflow(b)))
        case "*": return .integer(try checked(a.multipliedReportingOverflow(by: b)))
        case "/": return .float(try floats(sign, Double(a), Double(b)))
        case "//", "%":
            guard b != 0 else { throw TemplateError(.zeroDivision, "integer division or modulo by zero") }
            let quotient = try checked(a.dividedReportingOverflow(by: b))
            let remainder = a - quotient * b
            let adjusts = remainder != 0 && (remainder < 0) != (b < 0)
            if sign.utf8.elementsEqual("%".utf8) { return .integer(adjusts ? remainder + b : remainder) }
            return .integer(adjusts ? quotient - 1 : quotient)
        case "**":
            guard b >= 0 else { return .float(try floats(sign, Double(a), Double(b))) }
            var (result, base, exponent) = (1, a, b)
            while exponent > 0 {
                if exponent & 1 == 1 { result = try checked(result.multipliedReportingOverflow(by: base)) }
                exponent >>= 1
                if exponent > 0 { base = try checked(base.multipliedReportingOverflow(by: base)) }
            }
            return .integer(result)
        default: throw TemplateError(.type, "unknown operator \(sign)")
        }
    }

    private static func floats(_ sign: String, _ a: Double, _ b: Double) throws(TemplateError) -> Double {
        switch sign {
        case "+": return a + b
        case "-": return a - b
        case "*": return a * b
        case "**": return pow(a, b)
        default: break
        }
        guard b != 0 else { throw TemplateError(.zeroDivision, "division by zero") }
        switch sign {
        case "/": return a / b
        case "//": return (a / b).rounded(.down)
        default: return a - b * (a / b).rounded(.down)
        }
    }

    static func compare(_ sign: String, _ left: TemplateValue, _ right: TemplateValue) throws(TemplateError) -> Bool {
        switch sign {
        case "==": return left.equals(right)
        case "!=": return !left.equals(right)
        case "in": return try contains(right, left)
        case "not in": return !(try contains(right, left))
        default: break
        }
        let order = try order(left, right, sign)
        switch sign {
        case "<": return order < 0
        case "<=": return order <= 0
        case ">": return order > 0
        default: return order >= 0
        }
    }

    /// −1, 0 or 1, as `left` stands before, with or after `right`.
    static func order(_ left: TemplateValue, _ right: TemplateValue, _ sign: String = "<") throws(TemplateError) -> Int
    {
        try TemplateRenderer.refuseUndefined(left)
        try TemplateRenderer.refuseUndefined(right)
        if let a = left.whole, let b = right.whole { return a < b ? -1 : a == b ? 0 : 1 }
        if let a = left.number, let b = right.number { return a < b ? -1 : a == b ? 0 : 1 }
        switch (left, right) {
        case (.string(let a), .string(let b)):
            // UTF-8 keeps the order of scalars.
            return a.utf8.lexicographicallyPrecedes(b.utf8) ? -1 : a.utf8.elementsEqual(b.utf8) ? 0 : 1
        case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
            for (x, y) in zip(a, b) {
                if x.equals(y) { continue }
                return try order(x, y, sign)
            }
            return a.count < b.count ? -1 : a.count == b.count ? 0 : 1
        default:
            throw TemplateError(
                .type, "'\(sign)' not supported between instances of '\(left.kind)' and '\(right.kind)'")
        }
    }

    /// Python's `element in container`.
    static func contains(_ container: TemplateValue, _ element: TemplateValue) throws(TemplateError) -> Bool {
        switch container {
        case .string(let text):
            guard let part = element.text else {
                throw TemplateError(.type, "'in <string>' requires string as left operand, not \(element.kind)")
            }
            return PythonStrings.find(part, in: text) != nil
        case .list(let elements), .tuple(let elements): return elements.contains { $0.equals(element) }
        case .dictionary(let dictionary): return dictionary[element] != nil
        case .sequence(let sequence): return sequence.rest().contains { $0.equals(element) }
        case .undefined: return false
        default:
            try TemplateRenderer.refuseUndefined(container)
            throw TemplateError(.type, "argument of type '\(container.kind)' is not iterable")
        }
    }
}
