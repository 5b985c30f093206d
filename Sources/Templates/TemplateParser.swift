/// Tokens to statements. Expressions are read in `TemplateParser+Expressions.swift`.
struct TemplateParser {
    /// Expressions and statements may lie in one another this deep.
    static let maximumDepth = 100

    let tokens: [TemplateToken]
    var position = 0
    var depth = 0
    /// True within `if`, where an unknown filter or test is an error only when it is reached.
    private var isSoft = false
    /// The unknown filters and tests outside of `if`.
    var unknown: [TemplateError] = []
    private var loopDepth = 0
    /// The names that the macro which is being read has read so far.
    var namesRead: Set<String> = []
    private var blocks: [String: TemplateNode.Block] = [:]
    /// The blocks that have begun, ended or not.
    private var blockNames: Set<String> = []

    static func parse(_ source: String) throws(TemplateError) -> TemplateProgram {
        var parser = TemplateParser(tokens: try TemplateLexer.tokens(source))
        let (nodes, _) = try parser.body(until: [])
        if let error = parser.unknown.first { throw error }
        return TemplateProgram(nodes: nodes, blocks: parser.blocks)
    }

    private init(tokens: [TemplateToken]) { self.tokens = tokens }

    var current: TemplateToken { tokens[min(position, tokens.count - 1)] }

    mutating func advance() -> TemplateToken {
        let token = current
        if position < tokens.count - 1 { position += 1 }
        return token
    }

    func error(_ message: String) -> TemplateError { TemplateError(.syntax, message, line: current.line) }

    mutating func skip(sign: String) -> Bool {
        guard current.isSign(sign) else { return false }
        _ = advance()
        return true
    }

    mutating func skip(name: String) -> Bool {
        guard current.isName(name) else { return false }
        _ = advance()
        return true
    }

    mutating func expect(sign: String) throws(TemplateError) {
        guard skip(sign: sign) else { throw error("expected token '\(sign)', got '\(current.text)'") }
    }

    mutating func expectName() throws(TemplateError) -> String {
        guard current.kind == .name else { throw error("expected a name, got '\(current.text)'") }
        return advance().text
    }

    mutating func expectBlockEnd() throws(TemplateError) {
        guard current.kind == .blockEnd else {
            throw error("expected token 'end of statement block', got '\(current.text)'")
        }
        _ = advance()
    }

    /// Runs `body` one level deeper.
    mutating func nested<Value>(_ body: (inout TemplateParser) throws(TemplateError) -> Value) throws(TemplateError)
        -> Value
    {
        guard depth < TemplateParser.maximumDepth else {
            throw TemplateError(.limit, "nested more than \(TemplateParser.maximumDepth) deep", line: current.line)
        }
        depth += 1
        defer { depth -= 1 }
        return try body(&self)
    }

    /// Statements up to a tag named in `ends`, whose name is taken; up to the end of the template when `ends` is empty.
    private mutating func body(until ends: [String]) throws(TemplateError) -> (nodes: [TemplateNode], end: String) {
        try nested { parser throws(TemplateError) in
            var nodes: [TemplateNode] = []
            while true {
                let token = parser.current
                switch token.kind {
                case .text:
                    nodes.append(.text(parser.advance().text))
                case .variableBegin:
                    _ = parser.advance()
                    nodes.append(.output(try parser.tupleExpression()))
                    guard parser.current.kind == .variableEnd else {
                        throw parser.error("expected token 'end of print statement', got '\(parser.current.text)'")
                    }
                    _ = parser.advance()
                case .blockBegin:
                    _ = parser.advance()
                    let name = try parser.expectName()
                    if ends.contains(where: { $0.utf8.elementsEqual(name.utf8) }) { return (nodes, name) }
                    nodes.append(try parser.statement(name))
                case .end:
                    guard ends.isEmpty else {
                        throw parser.error(
                            "Unexpected end of template. Jinja was looking for the following tags: \(ends.map { "'\($0)'" }.joined(separator: " or "))"
                        )
                    }
                    return (nodes, "")
                default: throw parser.error("unexpected '\(token.text)'")
                }
            }
        }
    }

    /// A body whose frame is its own, in which names of filters are checked at once.
    private mutating func hardBody(until ends: [String]) throws(TemplateError) -> (nodes: [TemplateNode], end: String) {
        let soft = isSoft
        isSoft = false
        defer { isSoft = soft }
        return try body(until: ends)
    }

    mutating func check(isKnown: Bool, _ what: String, _ name: String) {
        if !isKnown, !isSoft { unknown.append(error("No \(what) named '\(name)'.")) }
    }

    mutating func softly<Value>(_ body: (inout TemplateParser) throws(TemplateError) -> Value) throws(TemplateError)
        -> Value
    {
        let soft = isSoft
        isSoft = true
        defer { isSoft = soft }
        return try body(&self)
    }

    private mutating func statement(_ name: String) throws(TemplateError) -> TemplateNode {
        switch name {
        case "if": return try conditional()
        case "for": return try loop()
        case "set": return try set()
        case "macro": return try macro()
        case "call": return try call()
        case "filter":
            let filters = try filterChain()
            try expectBlockEnd()
            let body = try hardBody(until: ["endfilter"]).nodes
            try expectBlockEnd()
            return .filterBlock(filters, body)
        case "with": return try with()
        case "generation":
            try expectBlockEnd()
            let body = try hardBody(until: ["endgeneration"]).nodes
            try expectBlockEnd()
            return .group(body)
        case "autoescape":
            let escapes = try expression()
            try expectBlockEnd()
            let body = try hardBody(until: ["endautoescape"]).nodes
            try expectBlockEnd()
            return .escaping(escapes, body)
        case "block": return try block()
        case "extends", "include", "import", "from":
            _ = try expression()
            while current.kind != .blockEnd, current.kind != .end { _ = advance() }
            try expectBlockEnd()
            return .loading
        case "break", "continue":
            guard loopDepth > 0 else { throw error("'\(name)' outside loop") }
            try expectBlockEnd()
            return name == "break" ? .break : .continue
        default: throw error("Encountered unknown tag '\(name)'.")
        }
    }

    /// `{% block name scoped required %}…{% endblock name %}`.
    private mutating func block() throws(TemplateError) -> TemplateNode {
        let name = try expectName()
        guard blockNames.insert(name).inserted else { throw error("block '\(name)' defined twice") }
        let isScoped = skip(name: "scoped")
        let isRequired = skip(name: "required")
        try expectBlockEnd()
        let (loops, names) = (loopDepth, namesRead)
        loopDepth = 0
        let body = try hardBody(until: ["endblock"]).nodes
        (loopDepth, namesRead) = (loops, names.union(namesRead))
        _ = skip(name: name)
        try expectBlockEnd()
        let isBlank = body.allSatisfy { node in
            guard case .text(let text) = node else { return false }
            return text.unicodeScalars.allSatisfy(PythonText.isSpace)
        }
        guard !isRequired || isBlank else { throw error("Required blocks can only contain comments or whitespace") }
        blocks[name] = TemplateNode.Block(body: body, isRequired: isRequired)
        return .block(name, isScoped: isScoped)
    }

    private mutating func conditional() throws(TemplateError) -> TemplateNode {
        var branches: [(condition: TemplateExpression?, body: [TemplateNode])] = []
        var condition: TemplateExpression? = try tupleExpression(withCondition: false)
        while true {
            try expectBlockEnd()
            let branch = condition
            let (nodes, end) = try softly { parser throws(TemplateError) in
                try parser.body(until: branch == nil ? ["endif"] : ["elif", "else", "endif"])
            }
            branches.append((branch, nodes))
            switch end {
            case "elif":
                condition = try softly { parser throws(TemplateError) in
                    try parser.tupleExpression(withCondition: false)
                }
            case "else": condition = nil
            default:
                try expectBlockEnd()
                return .conditional(branches)
            }
        }
    }

    private mutating func loop() throws(TemplateError) -> TemplateNode {
        let target = try target()
        guard skip(name: "in") else { throw error("expected token 'in', got '\(current.text)'") }
        let elements = try tupleExpression(withCondition: false)
        let filter = skip(name: "if") ? try expression() : nil
        let isRecursive = skip(name: "recursive")
        try expectBlockEnd()
        loopDepth += 1
        defer { loopDepth -= 1 }
        var (body, end) = try hardBody(until: ["endfor", "else"])
        var otherwise: [TemplateNode] = []
        if end.utf8.elementsEqual("else".utf8) {
            try expectBlockEnd()
            (otherwise, end) = try hardBody(until: ["endfor"])
        }
        try expectBlockEnd()
        return .loop(
            TemplateNode.Loop(
                target: target, elements: elements, filter: filter, isRecursive: isRecursive, body: body,
                otherwise: otherwise))
    }

    /// The target of an assignment: names, an attribute of a namespace, or a tuple of them.
    private mutating func target() throws(TemplateError) -> TemplateNode.Target {
        try nested { parser throws(TemplateError) in
            var targets: [TemplateNode.Target] = []
            var isTuple = false
            repeat {
                if parser.skip(sign: "(") {
                    targets.append(try parser.target())
                    try parser.expect(sign: ")")
                } else {
                    guard parser.current.kind == .name else { break }
                    let name = parser.advance().text
                    targets.append(parser.skip(sign: ".") ? .attribute(name, try parser.expectName()) : .name(name))
                }
                if parser.current.isSign(",") { isTuple = true }
            } while parser.skip(sign: ",")
            guard let first = targets.first else { throw parser.error("expected a name, got '\(parser.current.text)'") }
            return isTuple ? .tuple(targets) : first
        }
    }

    private mutating func set() throws(TemplateError) -> TemplateNode {
        let target = try target()
        if skip(sign: "=") {
            let value = try tupleExpression()
            try expectBlockEnd()
            return .set(target: target, value: value)
        }
        let filters = current.isSign("|") ? try filterChain(afterSign: true) : []
        try expectBlockEnd()
        let body = try hardBody(until: ["endset"]).nodes
        try expectBlockEnd()
        return .setBlock(name: target, filters: filters, body: body)
    }

    private mutating func filterChain(afterSign: Bool = false) throws(TemplateError) -> [TemplateExpression.Call] {
        var filters: [TemplateExpression.Call] = []
        if afterSign { try expect(sign: "|") }
        repeat { filters.append(try filterCall()) } while skip(sign: "|")
        return filters
    }

    private mutating func macro() throws(TemplateError) -> TemplateNode {
        let name = try expectName()
        let parameters = try parameters()
        try expectBlockEnd()
        let (body, reads) = try macroBody("endmacro")
        return .macro(TemplateNode.Macro(name: name, parameters: parameters, body: body, reads: reads))
    }

    private mutating func macroBody(_ end: String) throws(TemplateError) -> (body: [TemplateNode], reads: Set<String>) {
        // A loop around a macro is not one inside it.
        let (loops, names) = (loopDepth, namesRead)
        (loopDepth, namesRead) = (0, [])
        defer {
            loopDepth = loops
            namesRead.formUnion(names)
        }
        let body = try hardBody(until: [end]).nodes
        try expectBlockEnd()
        return (body, namesRead)
    }

    private mutating func parameters() throws(TemplateError) -> [(name: String, value: TemplateExpression?)] {
        var parameters: [(name: String, value: TemplateExpression?)] = []
        try expect(sign: "(")
        while !current.isSign(")") {
            if !parameters.isEmpty { try expect(sign: ",") }
            if current.isSign(")") { break }
            let name = try expectName()
            let value = skip(sign: "=") ? try expression() : nil
            if value == nil, parameters.last?.value != nil {
                throw error("non-default argument follows default argument")
            }
            if value == nil, name.utf8.elementsEqual("caller".utf8) {
                throw error("the parameter 'caller' must be left out or have a default")
            }
            parameters.append((name, value))
        }
        try expect(sign: ")")
        return parameters
    }

    private mutating func call() throws(TemplateError) -> TemplateNode {
        let parameters = current.isSign("(") ? try parameters() : []
        let call = try expression()
        guard case .postfix(_, let steps) = call, case .call? = steps.last else { throw error("expected call") }
        try expectBlockEnd()
        let (body, reads) = try macroBody("endcall")
        return .call(
            call,
            TemplateNode.Macro(name: "caller", parameters: parameters, body: body, reads: reads, isCaller: true))
    }

    private mutating func with() throws(TemplateError) -> TemplateNode {
        var bindings: [(TemplateNode.Target, TemplateExpression)] = []
        while current.kind != .blockEnd {
            if !bindings.isEmpty { try expect(sign: ",") }
            let name = try expectName()
            try expect(sign: "=")
            bindings.append((.name(name), try expression()))
        }
        try expectBlockEnd()
        let body = try hardBody(until: ["endwith"]).nodes
        try expectBlockEnd()
        return .with(bindings, body)
    }
}
