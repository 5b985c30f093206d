import MartletPlatform

/// Python's operators.
enum TemplateArithmetic {
    /// Longest text or list that an operator may make.
    static let largestResult = 1 << 24

    static func checked(_ result: (partialValue: Int128, overflow: Bool)) throws(TemplateError) -> Int128 {
        guard !result.overflow else { throw TemplateError(.overflow, "a number beyond 128 bits") }
        return result.partialValue
    }

    static func binary(
        _ sign: String, _ left: TemplateValue, _ right: TemplateValue, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue {
        try renderer.charge(0)
        if sign.utf8.elementsEqual("~".utf8) { return try joined(left, right, renderer) }
        try TemplateRenderer.refuseUndefined(left)
        // An undefined name formats as no text.
        if let format = left.text, sign.utf8.elementsEqual("%".utf8) {
            return left.with(text: try PythonFormat.percent(format, right, renderer, escapes: left.isMarkup))
        }
        try TemplateRenderer.refuseUndefined(right)
        if let result = try sequences(sign, left, right, renderer) { return result }
        if let a = left.integer, let b = right.integer { return try integers(sign, a, b) }
        if let a = left.number, let b = right.number { return .float(try floats(sign, a, b)) }
        if sign.utf8.elementsEqual("+".utf8), left.text != nil {
            throw TemplateError(.type, "can only concatenate str (not \"\(right.kind)\") to str")
        }
        if sign.utf8.elementsEqual("+".utf8), case .list = left {
            throw TemplateError(.type, "can only concatenate list (not \"\(right.kind)\") to list")
        }
        throw TemplateError(.type, "unsupported operand type(s) for \(sign): '\(left.kind)' and '\(right.kind)'")
    }

    /// `+` and `*` of texts, lists and tuples; nil where neither side is one, or not of a fitting kind.
    private static func sequences(
        _ sign: String, _ left: TemplateValue, _ right: TemplateValue, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue? {
        switch (sign, left, right) {
        case ("+", .string, .string), ("+", .markup, .string), ("+", .string, .markup), ("+", .markup, .markup):
            return try concatenated(left, right, renderer)
        case ("+", .list(let a), .list(let b)):
            try renderer.charge(a.count + b.count)
            return TemplateValue(a.elements + b.elements)
        case ("+", .tuple(let a), .tuple(let b)):
            try renderer.charge(a.count + b.count)
            return .tuple(TemplateArray(a.elements + b.elements))
        case ("*", .string(let text), _) where right.integer != nil,
            ("*", .markup(let text), _) where right.integer != nil:
            let times = try times(text.utf8.count, right)
            try renderer.charge(times, times: text.utf8.count)
            return left.with(text: String(repeating: text, count: times))
        case ("*", .list(let elements), _) where right.integer != nil:
            return TemplateValue(try repeated(elements, right, renderer))
        case ("*", .tuple(let elements), _) where right.integer != nil:
            return .tuple(TemplateArray(try repeated(elements, right, renderer)))
        case ("*", _, .string), ("*", _, .markup), ("*", _, .list), ("*", _, .tuple):
            return left.integer == nil ? nil : try binary(sign, right, left, renderer)
        default: return nil
        }
    }

    /// `left ~ right`: both as text, and escaped where what is written is.
    private static func joined(_ left: TemplateValue, _ right: TemplateValue, _ renderer: TemplateRenderer)
        throws(TemplateError) -> TemplateValue
    {
        if renderer.escapes, left.isMarkup || right.isMarkup {
            return .markup(try Markup.escape(left, renderer) + (try Markup.escape(right, renderer)))
        }
        return try concatenated(
            .string(try PythonText.string(left, renderer)), .string(try PythonText.string(right, renderer)), renderer)
    }

    /// Two texts, one after the other; what joins markup is escaped.
    private static func concatenated(_ left: TemplateValue, _ right: TemplateValue, _ renderer: TemplateRenderer)
        throws(TemplateError) -> TemplateValue
    {
        if left.isMarkup || right.isMarkup {
            return .markup(try Markup.escape(left, renderer) + (try Markup.escape(right, renderer)))
        }
        let (a, b) = (left.text ?? "", right.text ?? "")
        try renderer.charge(1, times: a.utf8.count + b.utf8.count)
        return .string(a + b)
    }

    /// The number of times that something of `count` parts is to be repeated.
    private static func times(_ count: Int, _ times: TemplateValue) throws(TemplateError) -> Int {
        let times = max(0, times.integer ?? 0)
        guard count > 0, times > 0 else { return 0 }
        guard times <= Int128(largestResult / count) else {
            throw TemplateError(.limit, "a repetition that is too long")
        }
        return Int(times)
    }

    private static func repeated(_ elements: TemplateArray, _ count: TemplateValue, _ renderer: TemplateRenderer)
        throws(TemplateError) -> [TemplateValue]
    {
        let times = try times(elements.count, count)
        try renderer.charge(elements.count * times)
        var result: [TemplateValue] = []
        result.reserveCapacity(elements.count * times)
        for _ in 0..<times { result += elements.elements }
        return result
    }

    private static func integers(_ sign: String, _ a: Int128, _ b: Int128) throws(TemplateError) -> TemplateValue {
        switch sign {
        case "+": return TemplateValue(try checked(a.addingReportingOverflow(b)))
        case "-": return TemplateValue(try checked(a.subtractingReportingOverflow(b)))
        case "*": return TemplateValue(try checked(a.multipliedReportingOverflow(by: b)))
        case "/": return .float(try floats(sign, Double(a), Double(b)))
        case "//", "%":
            guard b != 0 else { throw TemplateError(.zeroDivision, "integer division or modulo by zero") }
            let quotient = try checked(a.dividedReportingOverflow(by: b))
            let remainder = a - quotient * b
            let adjusts = remainder != 0 && (remainder < 0) != (b < 0)
            if sign.utf8.elementsEqual("%".utf8) { return TemplateValue(adjusts ? remainder + b : remainder) }
            return TemplateValue(adjusts ? quotient - 1 : quotient)
        case "**":
            guard b >= 0 else { return .float(try floats(sign, Double(a), Double(b))) }
            var (result, base, exponent) = (1 as Int128, a, b)
            while exponent > 0 {
                if exponent & 1 == 1 { result = try checked(result.multipliedReportingOverflow(by: base)) }
                exponent >>= 1
                if exponent > 0, base != 0, base != 1 {
                    base = try checked(base.multipliedReportingOverflow(by: base))
                }
            }
            return TemplateValue(result)
        default: throw TemplateError(.type, "unknown operator \(sign)")
        }
    }

    private static func floats(_ sign: String, _ a: Double, _ b: Double) throws(TemplateError) -> Double {
        switch sign {
        case "+": return a + b
        case "-": return a - b
        case "*": return a * b
        case "**":
            guard a != 0 || b >= 0 else {
                throw TemplateError(.zeroDivision, "0.0 cannot be raised to a negative power")
            }
            return pow(a, b)
        default: break
        }
        guard b != 0 else { throw TemplateError(.zeroDivision, "division by zero") }
        switch sign {
        case "/": return a / b
        case "//": return (a / b).rounded(.down)
        default: return a - b * (a / b).rounded(.down)
        }
    }

    static func compare(
        _ sign: String, _ left: TemplateValue, _ right: TemplateValue, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> Bool {
        switch sign {
        case "==": return try left.equals(right, renderer)
        case "!=": return !(try left.equals(right, renderer))
        case "in": return try contains(right, left, renderer)
        case "not in": return !(try contains(right, left, renderer))
        default: break
        }
        let order = try order(left, right, renderer, sign)
        switch sign {
        case "<": return order < 0
        case "<=": return order <= 0
        case ">": return order > 0
        default: return order >= 0
        }
    }

    /// −1, 0 or 1, as `left` stands before, with or after `right`.
    static func order(
        _ left: TemplateValue, _ right: TemplateValue, _ renderer: TemplateRenderer, _ sign: String = "<"
    ) throws(TemplateError) -> Int {
        try renderer.charge(0)
        try TemplateRenderer.refuseUndefined(left)
        try TemplateRenderer.refuseUndefined(right)
        if let a = left.integer, let b = right.integer { return a < b ? -1 : a == b ? 0 : 1 }
        if let a = left.number, let b = right.number { return a < b ? -1 : a == b ? 0 : 1 }
        if let a = left.text, let b = right.text {
            try renderer.charge(bytes: min(a.utf8.count, b.utf8.count))
            // UTF-8 keeps the order of scalars.
            return a.utf8.lexicographicallyPrecedes(b.utf8) ? -1 : a.utf8.elementsEqual(b.utf8) ? 0 : 1
        }
        switch (left, right) {
        case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
            for (x, y) in zip(a, b) {
                if try x.equals(y, renderer) { continue }
                return try order(x, y, renderer, sign)
            }
            return a.count < b.count ? -1 : a.count == b.count ? 0 : 1
        default:
            throw TemplateError(
                .type, "'\(sign)' not supported between instances of '\(left.kind)' and '\(right.kind)'")
        }
    }

    /// Python's `element in container`.
    static func contains(
        _ container: TemplateValue, _ element: TemplateValue, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> Bool {
        switch container {
        case .string(let text), .markup(let text):
            guard let part = element.text else {
                throw TemplateError(.type, "'in <string>' requires string as left operand, not \(element.kind)")
            }
            try renderer.charge(bytes: text.utf8.count)
            return PythonStrings.find(part, in: text) != nil
        case .list(let elements), .tuple(let elements): return try contains(elements.elements, element, renderer)
        case .dictionary(let dictionary): return try dictionary.find(element, renderer) != nil
        case .sequence(let sequence): return try contains(sequence.rest(), element, renderer)
        case .undefined: return false
        default:
            try TemplateRenderer.refuseUndefined(container)
            throw TemplateError(.type, "argument of type '\(container.kind)' is not iterable")
        }
    }

    private static func contains(_ elements: [TemplateValue], _ element: TemplateValue, _ renderer: TemplateRenderer)
        throws(TemplateError) -> Bool
    {
        for candidate in elements where try candidate.equals(element, renderer) { return true }
        return false
    }
}
