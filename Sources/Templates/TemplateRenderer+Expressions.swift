extension TemplateRenderer {
    func evaluate(_ expression: TemplateExpression, _ scope: TemplateScope) throws(TemplateError) -> TemplateValue {
        try charge(0)
        return try nested { () throws(TemplateError) in try evaluated(expression, scope) }
    }

    private func evaluated(_ expression: TemplateExpression, _ scope: TemplateScope) throws(TemplateError)
        -> TemplateValue
    {
        switch expression {
        case .constant(let value): return value
        case .name(let name):
            if let value = scope.find(name) { return value }
            return TemplateFunctions.isKnown(name) ? .function(name) : .undefined("'\(name)' is undefined")
        case .list(let elements): return .list(try evaluateAll(elements, scope))
        case .tuple(let elements): return .tuple(try evaluateAll(elements, scope))
        case .dictionary(let entries):
            var dictionary = TemplateDictionary()
            for (key, value) in entries {
                let key = try evaluate(key, scope)
                guard dictionary.set(key, try evaluate(value, scope)) else {
                    throw TemplateError(.type, "unhashable type: '\(key.kind)'")
                }
            }
            return .dictionary(dictionary)
        case .attribute(let base, let name): return try attribute(name, of: try evaluate(base, scope))
        case .item(let base, let index): return try item(try evaluate(index, scope), of: try evaluate(base, scope))
        case .slice(let base, let start, let stop, let step): return try slice(base, start, stop, step, scope)
        case .call(let function, let arguments): return try call(function, arguments, scope, caller: nil)
        case .filter(let base, let call): return try filter(try evaluate(base, scope), call, scope)
        case .test(let base, let call, let isNegated):
            return .bool(try test(try evaluate(base, scope), call, scope) != isNegated)
        case .unary(let sign, let operand): return try unary(sign, try evaluate(operand, scope))
        case .binary(let sign, let left, let right):
            return try TemplateArithmetic.binary(sign, try evaluate(left, scope), try evaluate(right, scope), self)
        case .comparison(let first, let operands):
            var left = try evaluate(first, scope)
            for (sign, operand) in operands {
                let right = try evaluate(operand, scope)
                guard try TemplateArithmetic.compare(sign, left, right) else { return .bool(false) }
                left = right
            }
            return .bool(true)
        case .and(let left, let right):
            let value = try evaluate(left, scope)
            return value.isTrue ? try evaluate(right, scope) : value
        case .or(let left, let right):
            let value = try evaluate(left, scope)
            return value.isTrue ? value : try evaluate(right, scope)
        case .conditional(let value, let condition, let otherwise):
            if try evaluate(condition, scope).isTrue { return try evaluate(value, scope) }
            guard let otherwise else {
                return .undefined("the inline if-expression evaluated to false and no else section was defined.")
            }
            return try evaluate(otherwise, scope)
        }
    }

    private func evaluateAll(_ expressions: [TemplateExpression], _ scope: TemplateScope) throws(TemplateError)
        -> [TemplateValue]
    {
        var values: [TemplateValue] = []
        for expression in expressions { values.append(try evaluate(expression, scope)) }
        return values
    }

    private func unary(_ sign: String, _ value: TemplateValue) throws(TemplateError) -> TemplateValue {
        if sign.utf8.elementsEqual("not".utf8) { return .bool(!value.isTrue) }
        try TemplateRenderer.refuseUndefined(value)
        if let whole = value.whole {
            return .integer(
                sign.utf8.elementsEqual("-".utf8)
                    ? try TemplateArithmetic.checked(whole.multipliedReportingOverflow(by: -1)) : whole)
        }
        guard case .float(let number) = value else {
            throw TemplateError(.type, "bad operand type for unary \(sign): '\(value.kind)'")
        }
        return .float(sign.utf8.elementsEqual("-".utf8) ? -number : number)
    }

    /// Anything done with a missing value but asking whether it is there is an error.
    static func refuseUndefined(_ value: TemplateValue) throws(TemplateError) {
        switch value {
        case .undefined(let what): throw TemplateError(.undefined, what)
        case .unsafe(let kind, let attribute):
            throw TemplateError(.security, "access to attribute '\(attribute)' of '\(kind)' object is unsafe.")
        default: return
        }
    }

    /// The elements that a loop over `value` sees.
    func iterate(_ value: TemplateValue) throws(TemplateError) -> [TemplateValue] {
        switch value {
        case .list(let elements), .tuple(let elements): return elements
        case .sequence(let sequence): return sequence.rest()
        case .dictionary(let dictionary): return dictionary.entries.map(\.key)
        case .string(let text):
            try charge(text.utf8.count)
            return text.unicodeScalars.map { .string(String($0)) }
        case .undefined: return []
        case .unsafe:
            try TemplateRenderer.refuseUndefined(value)
            return []
        default: throw TemplateError(.type, "'\(value.kind)' object is not iterable")
        }
    }

    /// `value.name`: a method or field first, then an item.
    func attribute(_ name: String, of value: TemplateValue) throws(TemplateError) -> TemplateValue {
        try TemplateRenderer.refuseUndefined(value)
        if name.hasPrefix("__") { return .unsafe(kind: value.kind, attribute: name) }
        switch value {
        case .namespace(let namespace):
            return namespace.attributes[.string(name)]
                ?? .undefined("'jinja2.utils.Namespace object' has no attribute '\(name)'")
        case .loop(let loop): return try TemplateLoopFields.field(name, of: loop)
        case .counter(let counter) where !counter.values.isEmpty:
            if name == "current" { return counter.current }
            if name == "next" || name == "reset" { return .method(value, name) }
        case .macro(let macro):
            switch name {
            case "name": return .string(macro.definition.name)
            case "arguments": return .tuple(macro.definition.parameters.map { .string($0.name) })
            default: break
            }
        default: break
        }
        if TemplateMethods.isUnsafe(name, of: value) { return .unsafe(kind: value.kind, attribute: name) }
        if TemplateMethods.isKnown(name, of: value) { return .method(value, name) }
        if case .dictionary(let dictionary) = value, let found = dictionary[.string(name)] { return found }
        return .undefined("'\(value.kind) object' has no attribute '\(name)'")
    }

    /// `value[index]`: an item first, then an attribute.
    func item(_ index: TemplateValue, of value: TemplateValue) throws(TemplateError) -> TemplateValue {
        try TemplateRenderer.refuseUndefined(value)
        switch value {
        case .dictionary(let dictionary):
            if let found = dictionary[index] { return found }
        case .sequence(let sequence) where sequence.kind == .range:
            return try item(index, of: .tuple(sequence.elements))
        case .list(let elements), .tuple(let elements):
            if let at = index.whole {
                let place = at < 0 ? at + elements.count : at
                guard elements.indices.contains(place) else {
                    return .undefined("\(value.kind) object has no element \(at)")
                }
                return elements[place]
            }
        case .string(let text):
            if let at = index.whole {
                let scalars = text.unicodeScalars
                try charge(scalars.count / 16)
                let place = at < 0 ? at + scalars.count : at
                guard place >= 0, place < scalars.count else { return .undefined("str object has no element \(at)") }
                return .string(String(scalars[scalars.index(scalars.startIndex, offsetBy: place)]))
            }
        case .namespace(let namespace):
            if let found = namespace.attributes[index] { return found }
        default: break
        }
        if let name = index.text { return try attribute(name, of: value) }
        return .undefined("\(value.kind) object has no element \(PythonText.representation(index))")
    }

    private func slice(
        _ base: TemplateExpression, _ start: TemplateExpression?, _ stop: TemplateExpression?,
        _ step: TemplateExpression?,
        _ scope: TemplateScope
    ) throws(TemplateError) -> TemplateValue {
        let value = try evaluate(base, scope)
        try TemplateRenderer.refuseUndefined(value)
        func bound(_ expression: TemplateExpression?) throws(TemplateError) -> Int? {
            guard let expression else { return nil }
            let value = try evaluate(expression, scope)
            if case .none = value { return nil }
            guard let whole = value.whole else {
                throw TemplateError(.type, "slice indices must be integers or None or have an __index__ method")
            }
            return whole
        }
        let (start, stop, step) = (try bound(start), try bound(stop), try bound(step) ?? 1)
        guard step != 0 else { throw TemplateError(.value, "slice step cannot be zero") }
        func bounds(_ count: Int) -> (from: Int, to: Int) {
            func clamp(_ at: Int, _ low: Int, _ high: Int) -> Int { min(max(at < 0 ? at + count : at, low), high) }
            return step > 0
                ? (start.map { clamp($0, 0, count) } ?? 0, stop.map { clamp($0, 0, count) } ?? count)
                : (
                    start.map { clamp($0, -1, count - 1) } ?? count - 1, stop.map { clamp($0, -1, count - 1) } ?? -1
                )
        }
        func places(_ count: Int) -> StrideTo<Int> {
            let (from, to) = bounds(count)
            return stride(from: from, to: to, by: max(step, -Int.max))
        }
        switch value {
        case .list(let elements):
            try charge(elements.count)
            return .list(places(elements.count).map { elements[$0] })
        case .tuple(let elements): return .tuple(places(elements.count).map { elements[$0] })
        case .sequence(let sequence) where sequence.kind == .range:
            let (from, to) = bounds(sequence.elements.count)
            return .sequence(sequence.slice(places(sequence.elements.count), from: from, to: to, by: step))
        case .string(let text):
            let scalars = Array(text.unicodeScalars)
            try charge(scalars.count)
            return .string(String(String.UnicodeScalarView(places(scalars.count).map { scalars[$0] })))
        default: throw TemplateError(.type, "'\(value.kind)' object is not subscriptable")
        }
    }

    func call(
        _ function: TemplateExpression, _ arguments: TemplateExpression.Arguments, _ scope: TemplateScope,
        caller: TemplateMacro?
    ) throws(TemplateError) -> TemplateValue {
        let callee = try evaluate(function, scope)
        try TemplateRenderer.refuseUndefined(callee)
        let values = try self.arguments(arguments, scope)
        return try call(callee, values, caller: caller)
    }

    func call(_ callee: TemplateValue, _ arguments: TemplateArguments, caller: TemplateMacro? = nil)
        throws(TemplateError)
        -> TemplateValue
    {
        switch callee {
        case .macro(let macro): try call(macro, arguments, caller: caller)
        case .function(let name): try TemplateFunctions.call(name, arguments, self)
        case .method(let value, let name): try TemplateMethods.call(name, of: value, arguments, self)
        case .counter(let counter) where counter.values.isEmpty: counter.next()
        case .loop(let loop): try again(loop, arguments)
        default: throw TemplateError(.type, "'\(callee.kind)' object is not callable")
        }
    }

    private func arguments(
        _ arguments: TemplateExpression.Arguments, _ scope: TemplateScope
    ) throws(TemplateError) -> TemplateArguments {
        var values = TemplateArguments()
        values.positional = try evaluateAll(arguments.positional, scope)
        for expression in arguments.unpacked { values.positional += try iterate(try evaluate(expression, scope)) }
        for (name, expression) in arguments.named { values.named.append((name, try evaluate(expression, scope))) }
        for expression in arguments.unpackedNamed {
            guard case .dictionary(let dictionary) = try evaluate(expression, scope) else {
                throw TemplateError(.type, "argument after ** must be a mapping")
            }
            for (key, value) in dictionary.entries { values.named.append((PythonText.string(key), value)) }
        }
        return values
    }

    func filter(_ value: TemplateValue, _ call: TemplateExpression.Call, _ scope: TemplateScope) throws(TemplateError)
        -> TemplateValue
    {
        let arguments = try self.arguments(call.arguments, scope)
        do {
            return try TemplateFilters.apply(call.name, to: value, arguments, self)
        } catch {
            throw error.line == nil ? TemplateError(error.kind, error.message, line: call.line) : error
        }
    }

    private func test(_ value: TemplateValue, _ call: TemplateExpression.Call, _ scope: TemplateScope)
        throws(TemplateError)
        -> Bool
    {
        try TemplateTests.apply(call.name, to: value, try arguments(call.arguments, scope))
    }
}

/// The fields of `loop`.
enum TemplateLoopFields {
    static func field(_ name: String, of loop: TemplateLoop) throws(TemplateError) -> TemplateValue {
        let (index, count) = (loop.index, loop.elements.count)
        switch name {
        case "index": return .integer(index + 1)
        case "index0": return .integer(index)
        case "revindex": return .integer(count - index)
        case "revindex0": return .integer(count - index - 1)
        case "first": return .bool(index == 0)
        case "last": return .bool(index == count - 1)
        case "length": return .integer(count)
        case "depth": return .integer(loop.depth + 1)
        case "depth0": return .integer(loop.depth)
        case "previtem": return index > 0 ? loop.elements[index - 1] : .undefined("there is no previous item")
        case "nextitem": return index + 1 < count ? loop.elements[index + 1] : .undefined("there is no next item")
        case "cycle", "changed": return .method(.loop(loop), name)
        default: return .undefined("'LoopContext object' has no attribute '\(name)'")
        }
    }
}
