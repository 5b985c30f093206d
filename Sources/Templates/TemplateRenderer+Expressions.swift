extension TemplateRenderer {
    /// The value of an expression, charged, and no deeper than values may be.
    func evaluate(_ expression: TemplateExpression, _ scope: TemplateScope, caller: TemplateMacro? = nil)
        throws(TemplateError) -> TemplateValue
    {
        try charge(0)
        let value = try nested { () throws(TemplateError) in try evaluated(expression, scope, caller) }
        guard value.depth <= TemplateValue.maximumDepth else {
            throw TemplateError(.limit, "values nested more than \(TemplateValue.maximumDepth) deep")
        }
        return value
    }

    private func evaluated(_ expression: TemplateExpression, _ scope: TemplateScope, _ caller: TemplateMacro?)
        throws(TemplateError) -> TemplateValue
    {
        switch expression {
        case .constant(let value): return value
        case .name(let name): return value(of: name, scope)
        case .list(let elements): return TemplateValue(try evaluateAll(elements, scope))
        case .tuple(let elements): return .tuple(TemplateArray(try evaluateAll(elements, scope)))
        case .dictionary(let entries): return try dictionary(entries, scope)
        case .postfix(let base, let steps): return try postfix(base, steps, scope, caller)
        case .unary(let sign, let operand): return try unary(sign, try evaluate(operand, scope))
        case .chain(let first, let operands):
            var value = try evaluate(first, scope)
            for (sign, operand) in operands {
                value = try TemplateArithmetic.binary(sign, value, try evaluate(operand, scope), self)
            }
            return value
        case .comparison(let first, let operands):
            var left = try evaluate(first, scope)
            for (sign, operand) in operands {
                let right = try evaluate(operand, scope)
                guard try TemplateArithmetic.compare(sign, left, right, self) else { return .bool(false) }
                left = right
            }
            return .bool(true)
        case .and(let operands): return try first(of: operands, where: false, scope)
        case .or(let operands): return try first(of: operands, where: true, scope)
        case .conditional(let value, let branches):
            for (condition, otherwise) in branches.reversed() where !(try evaluate(condition, scope).isTrue) {
                return try otherwise.map { other throws(TemplateError) in try evaluate(other, scope) }
                    ?? .undefined("the inline if-expression evaluated to false and no else section was defined.")
            }
            return try evaluate(value, scope)
        }
    }

    private func value(of name: String, _ scope: TemplateScope) -> TemplateValue {
        if let value = scope.find(name) { return value }
        if name.utf8.elementsEqual("self".utf8) { return .block(nil) }
        return TemplateFunctions.isKnown(name) ? .function(name) : .undefined("'\(name)' is undefined")
    }

    private func dictionary(_ entries: [(TemplateExpression, TemplateExpression)], _ scope: TemplateScope)
        throws(TemplateError) -> TemplateValue
    {
        var dictionary = TemplateDictionary()
        for (key, value) in entries {
            let key = try evaluate(key, scope)
            guard try dictionary.set(key, try evaluate(value, scope), self) else {
                throw TemplateError(.type, "unhashable type: '\(key.kind)'")
            }
        }
        return .dictionary(dictionary)
    }

    /// The first operand that is true, or that is not; else the last one.
    private func first(of operands: [TemplateExpression], where isTrue: Bool, _ scope: TemplateScope)
        throws(TemplateError) -> TemplateValue
    {
        var value = TemplateValue.none
        for operand in operands {
            value = try evaluate(operand, scope)
            if value.isTrue == isTrue { return value }
        }
        return value
    }

    private func postfix(
        _ base: TemplateExpression, _ steps: [TemplateExpression.Step], _ scope: TemplateScope, _ caller: TemplateMacro?
    ) throws(TemplateError) -> TemplateValue {
        var value = try evaluate(base, scope)
        for (index, step) in steps.enumerated() {
            try charge(0)
            switch step {
            case .attribute(let name): value = try attribute(name, of: value)
            case .item(let key): value = try item(try evaluate(key, scope), of: value)
            case .slice(let start, let stop, let step): value = try slice(value, start, stop, step, scope)
            case .call(let arguments):
                try TemplateRenderer.refuseUndefined(value)
                let arguments = try self.arguments(arguments, scope)
                value = try call(value, arguments, caller: index == steps.count - 1 ? caller : nil)
            case .filter(let call): value = try filter(value, call, scope)
            case .test(let call, let isNegated): value = .bool(try test(value, call, scope) != isNegated)
            }
        }
        return value
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
        if let whole = value.integer { return TemplateValue(sign.utf8.elementsEqual("-".utf8) ? -whole : whole) }
        guard case .float(let number) = value else {
            throw TemplateError(.type, "bad operand type for unary \(sign): '\(value.kind)'")
        }
        return .float(sign.utf8.elementsEqual("-".utf8) ? -number : number)
    }

    /// Refuses a missing value: anything done with one but asking whether it is there is an error.
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
        case .list(let elements), .tuple(let elements): return elements.elements
        case .sequence(let sequence): return sequence.rest()
        case .dictionary(let dictionary):
            try charge(dictionary.count)
            return dictionary.entries.map(\.key)
        case .string(let text), .markup(let text):
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
            return namespace.attributes[name]
                ?? .undefined("'jinja2.utils.Namespace object' has no attribute '\(name)'")
        case .loop(let loop): return try TemplateLoopFields.field(name, of: loop)
        case .counter(let counter) where !counter.values.isEmpty:
            if name == "current" { return counter.current }
            if name == "next" || name == "reset" { return .method(value, name) }
        case .macro(let macro):
            switch name {
            case "name": return .string(macro.definition.name)
            case "arguments":
                return .tuple(TemplateArray(macro.definition.parameters.map { .string($0.name) }))
            default: break
            }
        case .block(nil):
            return hasBlock(name) ? .block(name) : .undefined("'\(value.kind) object' has no attribute '\(name)'")
        case .tuple(let elements) where elements.isGroup:
            if name.utf8.elementsEqual("grouper".utf8) { return elements[0] }
            if name.utf8.elementsEqual("list".utf8) { return elements[1] }
        default: break
        }
        if TemplateMethods.isUnsafe(name, of: value) { return .unsafe(kind: value.kind, attribute: name) }
        if TemplateMethods.isKnown(name, of: value) { return .method(value, name) }
        if case .dictionary(let dictionary) = value, let found = dictionary[name] { return found }
        return .undefined("'\(value.kind) object' has no attribute '\(name)'")
    }

    /// `value[index]`: an item first, then an attribute.
    func item(_ index: TemplateValue, of value: TemplateValue) throws(TemplateError) -> TemplateValue {
        try TemplateRenderer.refuseUndefined(value)
        switch value {
        case .dictionary(let dictionary):
            if let found = try dictionary.find(index, self) { return found }
        case .sequence(let sequence) where sequence.kind == .range:
            return try item(index, of: .tuple(TemplateArray(sequence.elements)))
        case .list(let elements), .tuple(let elements):
            if let at = index.whole {
                let place = at < 0 ? at + elements.count : at
                guard elements.indices.contains(place) else {
                    return .undefined("\(value.kind) object has no element \(at)")
                }
                return elements[place]
            }
        case .string(let text), .markup(let text):
            if let at = index.whole {
                let scalars = text.unicodeScalars
                try charge(bytes: text.utf8.count)
                let count = scalars.count
                let place = at < 0 ? at + count : at
                guard place >= 0, place < count else { return .undefined("str object has no element \(at)") }
                return value.with(text: String(scalars[scalars.index(scalars.startIndex, offsetBy: place)]))
            }
        case .namespace(let namespace):
            if let found = try namespace.attributes.find(index, self) { return found }
        default: break
        }
        if let name = index.text { return try attribute(name, of: value) }
        return .undefined("\(value.kind) object has no element \(try PythonText.representation(index, self))")
    }

    private func slice(
        _ value: TemplateValue, _ start: TemplateExpression?, _ stop: TemplateExpression?, _ step: TemplateExpression?,
        _ scope: TemplateScope
    ) throws(TemplateError) -> TemplateValue {
        try TemplateRenderer.refuseUndefined(value)
        func bound(_ expression: TemplateExpression?) throws(TemplateError) -> Int? {
            guard let expression else { return nil }
            let value = try evaluate(expression, scope)
            if case .none = value { return nil }
            guard let whole = value.integer else {
                throw TemplateError(.type, "slice indices must be integers or None or have an __index__ method")
            }
            return Int(clamping: whole)
        }
        let slice = PythonSlice(start: try bound(start), stop: try bound(stop), step: try bound(step) ?? 1)
        guard slice.step != 0 else { throw TemplateError(.value, "slice step cannot be zero") }
        switch value {
        case .list(let elements):
            try charge(elements.count)
            return TemplateValue(slice.places(elements.count).map { elements[$0] })
        case .tuple(let elements):
            try charge(elements.count)
            return .tuple(TemplateArray(slice.places(elements.count).map { elements[$0] }))
        case .sequence(let sequence) where sequence.kind == .range:
            let count = sequence.elements.count
            let (from, to) = slice.bounds(count)
            try charge(count)
            return .sequence(sequence.slice(slice.places(count), from: from, to: to, by: slice.step))
        case .string(let text), .markup(let text):
            try charge(bytes: text.utf8.count)
            let scalars = Array(text.unicodeScalars)
            var part = String.UnicodeScalarView()
            for place in slice.places(scalars.count) { part.append(scalars[place]) }
            return value.with(text: String(part))
        default: throw TemplateError(.type, "'\(value.kind)' object is not subscriptable")
        }
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
        case .block(let name?): try text(ofBlock: name)
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
            for (key, value) in dictionary.entries { values.named.append((try PythonText.string(key, self), value)) }
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
        try TemplateTests.apply(call.name, to: value, try arguments(call.arguments, scope), self)
    }
}

/// The fields of `loop`.
enum TemplateLoopFields {
    static func field(_ name: String, of loop: TemplateLoop) throws(TemplateError) -> TemplateValue {
        let elements = loop.memory.elements
        let (index, count) = (loop.index, elements.count)
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
        case "previtem": return index > 0 ? elements[index - 1] : .undefined("there is no previous item")
        case "nextitem": return index + 1 < count ? elements[index + 1] : .undefined("there is no next item")
        case "cycle", "changed": return .method(.loop(loop), name)
        default: return .undefined("'LoopContext object' has no attribute '\(name)'")
        }
    }
}
