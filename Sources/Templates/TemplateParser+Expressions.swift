/// Expressions, in Jinja2's order of precedence: `if`, `or`, `and`, `not`, comparisons, `+ -`, `~`, `* / // %`, `**`,
/// signs, then attributes, items, calls, filters and tests.
extension TemplateParser {
    mutating func expression(withCondition: Bool = true) throws(TemplateError) -> TemplateExpression {
        try nested { parser throws(TemplateError) in
            let unknown = parser.unknown.count
            let value = try parser.disjunction()
            var branches: [(condition: TemplateExpression, otherwise: TemplateExpression?)] = []
            while withCondition, parser.skip(name: "if") {
                try parser.softly { parser throws(TemplateError) in
                    let condition = try parser.disjunction()
                    branches.append((condition, parser.skip(name: "else") ? try parser.expression() : nil))
                }
            }
            guard !branches.isEmpty else { return value }
            // What stands before an `if` is reached through it.
            parser.unknown.removeSubrange(unknown...)
            return .conditional(value, branches)
        }
    }

    /// An expression, or several with commas, which are a tuple.
    mutating func tupleExpression(withCondition: Bool = true) throws(TemplateError) -> TemplateExpression {
        let first = try expression(withCondition: withCondition)
        guard current.isSign(",") else { return first }
        var elements = [first]
        while skip(sign: ",") {
            if current.kind == .variableEnd || current.kind == .blockEnd || current.isSign(")") { break }
            elements.append(try expression(withCondition: withCondition))
        }
        return .tuple(elements)
    }

    private mutating func disjunction() throws(TemplateError) -> TemplateExpression {
        var operands = [try conjunction()]
        while skip(name: "or") { operands.append(try conjunction()) }
        return operands.count == 1 ? operands[0] : .or(operands)
    }

    private mutating func conjunction() throws(TemplateError) -> TemplateExpression {
        var operands = [try negation()]
        while skip(name: "and") { operands.append(try negation()) }
        return operands.count == 1 ? operands[0] : .and(operands)
    }

    private mutating func negation() throws(TemplateError) -> TemplateExpression {
        guard skip(name: "not") else { return try comparison() }
        return try nested { parser throws(TemplateError) in .unary("not", try parser.negation()) }
    }

    private mutating func comparison() throws(TemplateError) -> TemplateExpression {
        let left = try sum()
        var operands: [(String, TemplateExpression)] = []
        while true {
            if current.kind == .sign, ["==", "!=", "<", "<=", ">", ">="].contains(current.text) {
                operands.append((advance().text, try sum()))
            } else if skip(name: "in") {
                operands.append(("in", try sum()))
            } else if current.isName("not"), position + 1 < tokens.count, tokens[position + 1].isName("in") {
                position += 2
                operands.append(("not in", try sum()))
            } else {
                return operands.isEmpty ? left : .comparison(left, operands)
            }
        }
    }

    private mutating func sum() throws(TemplateError) -> TemplateExpression {
        try chain(["+", "-"]) { parser throws(TemplateError) in try parser.concatenation() }
    }

    private mutating func concatenation() throws(TemplateError) -> TemplateExpression {
        try chain(["~"]) { parser throws(TemplateError) in try parser.product() }
    }

    private mutating func product() throws(TemplateError) -> TemplateExpression {
        try chain(["*", "/", "//", "%"]) { parser throws(TemplateError) in try parser.power() }
    }

    private mutating func power() throws(TemplateError) -> TemplateExpression {
        try chain(["**"]) { parser throws(TemplateError) in try parser.unary() }
    }

    /// Operands with operators of one rank between them.
    private mutating func chain(
        _ signs: [String], _ operand: (inout TemplateParser) throws(TemplateError) -> TemplateExpression
    ) throws(TemplateError) -> TemplateExpression {
        let first = try operand(&self)
        var rest: [(sign: String, operand: TemplateExpression)] = []
        while current.kind == .sign, signs.contains(current.text) {
            rest.append((advance().text, try operand(&self)))
        }
        return rest.isEmpty ? first : .chain(first, rest)
    }

    private mutating func unary(withFilter: Bool = true) throws(TemplateError) -> TemplateExpression {
        try nested { parser throws(TemplateError) in
            var node: TemplateExpression
            if parser.current.isSign("-") || parser.current.isSign("+") {
                let sign = parser.advance().text
                node = .unary(sign, try parser.unary(withFilter: false))
            } else {
                node = try parser.primary()
            }
            var steps: [TemplateExpression.Step] = []
            try parser.readSteps(&steps, withFilter: withFilter)
            return steps.isEmpty ? node : .postfix(node, steps)
        }
    }

    private mutating func primary() throws(TemplateError) -> TemplateExpression {
        let token = advance()
        switch token.kind {
        case .name:
            switch token.text {
            case "true", "True": return .constant(.bool(true))
            case "false", "False": return .constant(.bool(false))
            case "none", "None": return .constant(.none)
            default:
                namesRead.insert(token.text)
                return .name(token.text)
            }
        case .string:
            var text = token.text
            while current.kind == .string { text += advance().text }
            return .constant(.string(text))
        case .integer:
            guard let value = PythonText.integer(token.text, base: 0) else {
                throw error("the number \(token.text) is too large")
            }
            return .constant(TemplateValue(value))
        case .float: return .constant(.float(Double(token.text) ?? .infinity))
        case .sign where token.isSign("("):
            if skip(sign: ")") { return .tuple([]) }
            let inner = try tupleExpression()
            try expect(sign: ")")
            return inner
        case .sign where token.isSign("["):
            let elements = try list(closing: "]")
            return .list(elements)
        case .sign where token.isSign("{"): return try dictionary()
        default:
            position -= 1
            throw error("unexpected '\(token.kind == .end ? "end of template" : token.text)'")
        }
    }

    private mutating func list(closing: String) throws(TemplateError) -> [TemplateExpression] {
        var elements: [TemplateExpression] = []
        while !current.isSign(closing) {
            if !elements.isEmpty { try expect(sign: ",") }
            if current.isSign(closing) { break }
            elements.append(try expression())
        }
        try expect(sign: closing)
        return elements
    }

    private mutating func dictionary() throws(TemplateError) -> TemplateExpression {
        var entries: [(TemplateExpression, TemplateExpression)] = []
        while !current.isSign("}") {
            if !entries.isEmpty { try expect(sign: ",") }
            if current.isSign("}") { break }
            let key = try expression()
            try expect(sign: ":")
            entries.append((key, try expression()))
        }
        try expect(sign: "}")
        return .dictionary(entries)
    }

    /// Attributes, items and calls; then also filters and tests, where they are allowed.
    private mutating func readSteps(_ steps: inout [TemplateExpression.Step], withFilter: Bool) throws(TemplateError) {
        var hasFilter = false
        while true {
            if !hasFilter, skip(sign: ".") {
                if current.kind == .integer, let index = Int(current.text) {
                    _ = advance()
                    steps.append(.item(.constant(.integer(index))))
                } else {
                    steps.append(.attribute(try expectName()))
                }
            } else if !hasFilter, skip(sign: "[") {
                steps.append(try subscripted())
            } else if current.isSign("(") {
                steps.append(.call(try arguments()))
            } else if withFilter, skip(sign: "|") {
                hasFilter = true
                steps.append(.filter(try filterCall()))
            } else if withFilter, skip(name: "is") {
                hasFilter = true
                let isNegated = skip(name: "not")
                steps.append(.test(try testCall(), isNegated: isNegated))
            } else {
                return
            }
        }
    }

    private mutating func subscripted() throws(TemplateError) -> TemplateExpression.Step {
        var bounds: [TemplateExpression?] = [nil]
        while true {
            if skip(sign: ":") {
                bounds.append(nil)
            } else if skip(sign: "]") {
                break
            } else {
                guard bounds[bounds.count - 1] == nil else { throw error("expected token ']', got '\(current.text)'") }
                bounds[bounds.count - 1] = try tupleExpression()
            }
        }
        guard bounds.count > 1 else {
            guard let index = bounds[0] else { throw error("expected a subscript") }
            return .item(index)
        }
        guard bounds.count <= 3 else { throw error("a slice of more than three parts") }
        return .slice(bounds[0], bounds[1], bounds.count > 2 ? bounds[2] : nil)
    }

    mutating func arguments() throws(TemplateError) -> TemplateExpression.Arguments {
        var arguments = TemplateExpression.Arguments()
        try expect(sign: "(")
        var isFirst = true
        while !current.isSign(")") {
            if !isFirst {
                try expect(sign: ",")
                if current.isSign(")") { break }
            }
            isFirst = false
            if skip(sign: "*") {
                arguments.unpacked.append(try expression())
            } else if skip(sign: "**") {
                arguments.unpackedNamed.append(try expression())
            } else if current.kind == .name, position + 1 < tokens.count, tokens[position + 1].isSign("=") {
                let name = advance().text
                _ = advance()
                arguments.named.append((name, try expression()))
            } else {
                guard arguments.named.isEmpty else { throw error("invalid syntax for function call expression") }
                arguments.positional.append(try expression())
            }
        }
        try expect(sign: ")")
        return arguments
    }

    private mutating func dottedName() throws(TemplateError) -> String {
        var name = try expectName()
        while skip(sign: ".") { name += "." + (try expectName()) }
        return name
    }

    /// The name of a filter and its arguments.
    mutating func filterCall() throws(TemplateError) -> TemplateExpression.Call {
        let line = current.line
        let name = try dottedName()
        check(isKnown: TemplateFilters.isKnown(name), "filter", name)
        let arguments = current.isSign("(") ? try arguments() : TemplateExpression.Arguments()
        return TemplateExpression.Call(name: name, arguments: arguments, line: line)
    }

    /// The name of a test and its arguments, of which a single one needs no parentheses.
    private mutating func testCall() throws(TemplateError) -> TemplateExpression.Call {
        let line = current.line
        let name = try dottedName()
        check(isKnown: TemplateTests.isKnown(name), "test", name)
        var arguments = TemplateExpression.Arguments()
        if current.isSign("(") {
            arguments = try self.arguments()
        } else if startsArgument {
            let argument = try primary()
            var steps: [TemplateExpression.Step] = []
            try readSteps(&steps, withFilter: false)
            arguments.positional = [steps.isEmpty ? argument : .postfix(argument, steps)]
        }
        return TemplateExpression.Call(name: name, arguments: arguments, line: line)
    }

    private var startsArgument: Bool {
        switch current.kind {
        case .name: !["else", "or", "and", "is", "if", "in", "not"].contains { current.isName($0) }
        case .string, .integer, .float: true
        case .sign: current.isSign("[") || current.isSign("{")
        default: false
        }
    }
}
