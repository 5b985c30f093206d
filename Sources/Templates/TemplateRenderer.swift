/// Walks a template's tree and writes its text. Every node and every value looked at costs a step, text made or
/// compared costs by its length, and both are charged before memory is taken, so that no template runs, grows or nests
/// without end.
final class TemplateRenderer {
    /// The maximum depth of evaluations: macros that call themselves end at 150, where Python's would at some 300. A
    /// debug build takes 9 KB of stack for each, so all of them fit into half of what a thread has.
    static let maximumDepth = 300

    let now: (String) -> String
    private let blocks: [String: TemplateNode.Block]
    /// True while what is written is escaped for HTML (`{% autoescape true %}`).
    private(set) var escapes = false
    private var stepsLeft: Int
    private var outputLeft: Int
    private var depth = 0
    private var holders: [any TemplateHolder] = []
    /// The scope of the template's top level, which blocks see.
    private var top = TemplateScope(nil)
    /// The ranges of text in `{% generation %}`, in bytes of the whole text; nil where one stands in a text that is
    /// made aside (a macro's, a `{% set %}` block's), whose place in the whole is not known.
    private(set) var generations: [Range<Int>]? = []
    /// The number of texts that are being made aside, one in another.
    private var textsAside = 0

    private enum Flow {
        case next
        case `break`
        case `continue`
    }

    init(_ blocks: [String: TemplateNode.Block], limits: ChatTemplate.Limits, now: @escaping (String) -> String) {
        (self.blocks, stepsLeft, outputLeft, self.now) = (blocks, limits.steps, limits.outputBytes, now)
    }

    func render(_ nodes: [TemplateNode], _ variables: TemplateDictionary) throws(TemplateError) -> String {
        let scope = TemplateScope(nil)
        for (key, value) in variables.entries {
            if let name = key.text { scope.set(name, value) }
        }
        top = TemplateScope(scope)
        hold(top)
        defer {
            for holder in holders { holder.empty() }
            holders = []
        }
        var output = ""
        _ = try run(nodes, top, &output)
        return output
    }

    func charge(_ steps: Int) throws(TemplateError) {
        stepsLeft -= 1 + max(0, min(steps, stepsLeft))
        guard stepsLeft >= 0 else { throw TemplateError(.limit, "the template takes more steps than allowed") }
    }

    /// Charges for text of `bytes` bytes that is made or looked through.
    func charge(bytes: Int) throws(TemplateError) { try charge(bytes / 16) }

    /// Charges for a text of `parts` times `bytes` bytes, before it is made.
    func charge(_ parts: Int, times bytes: Int) throws(TemplateError) {
        let (total, overflow) = max(0, parts).multipliedReportingOverflow(by: max(0, bytes))
        guard !overflow, total <= TemplateArithmetic.largestResult else {
            throw TemplateError(.limit, "a text that is too long")
        }
        try charge(bytes: total)
    }

    /// Keeps what may come to hold itself, to be emptied in the end.
    func hold(_ holder: any TemplateHolder) { holders.append(holder) }

    private func capture(_ scope: TemplateScope) -> TemplateScope {
        if !scope.isHeld {
            scope.isHeld = true
            hold(scope)
        }
        return scope
    }

    /// Runs `body` one level deeper.
    func nested<Value>(_ body: () throws(TemplateError) -> Value) throws(TemplateError) -> Value {
        guard depth < TemplateRenderer.maximumDepth else {
            throw TemplateError(
                .limit, "the template nests evaluations more than \(TemplateRenderer.maximumDepth) deep")
        }
        depth += 1
        defer { depth -= 1 }
        return try body()
    }

    private func write(_ text: String, to output: inout String) throws(TemplateError) {
        outputLeft -= text.utf8.count
        guard outputLeft >= 0 else { throw TemplateError(.limit, "the template writes more text than allowed") }
        output += text
    }

    private func write(_ value: TemplateValue, to output: inout String) throws(TemplateError) {
        if case .unsafe = value { return }
        try write(escapes ? try Markup.escape(value, self) : try PythonText.string(value, self), to: &output)
    }

    private func run(_ nodes: [TemplateNode], _ scope: TemplateScope, _ output: inout String) throws(TemplateError)
        -> Flow
    {
        for node in nodes {
            try charge(0)
            let flow = try run(node, scope, &output)
            if flow != .next { return flow }
        }
        return .next
    }

    /// The text of a body on its own.
    private func text(of nodes: [TemplateNode], _ scope: TemplateScope) throws(TemplateError) -> TemplateValue {
        var text = ""
        textsAside += 1
        defer { textsAside -= 1 }
        try nested { () throws(TemplateError) in _ = try run(nodes, scope, &text) }
        return escapes ? .markup(text) : .string(text)
    }

    private func run(_ node: TemplateNode, _ scope: TemplateScope, _ output: inout String) throws(TemplateError) -> Flow
    {
        switch node {
        case .text(let text): try write(text, to: &output)
        case .output(let expression): try write(try evaluate(expression, scope), to: &output)
        case .conditional(let branches):
            for (condition, body) in branches {
                guard let condition else { return try run(body, scope, &output) }
                if try evaluate(condition, scope).isTrue { return try run(body, scope, &output) }
            }
        case .loop(let loop): try self.loop(loop, try evaluate(loop.elements, scope), scope, 0, &output)
        case .set(let target, let value): try assign(try evaluate(value, scope), to: target, scope)
        case .setBlock(let target, let filters, let body):
            let text = try text(of: body, TemplateScope(scope))
            try assign(try apply(filters, to: text, scope), to: target, scope)
        case .macro(let macro):
            scope.set(macro.name, .macro(TemplateMacro(macro, capture(scope), escapes: escapes)))
        case .call(let expression, let caller):
            let macro = TemplateMacro(caller, capture(scope), escapes: escapes)
            try write(try evaluate(expression, scope, caller: macro), to: &output)
        case .filterBlock(let filters, let body):
            let text = try text(of: body, TemplateScope(scope))
            try write(try apply(filters, to: text, scope), to: &output)
        case .with(let bindings, let body):
            let inner = TemplateScope(scope)
            for (target, value) in bindings { try assign(try evaluate(value, scope), to: target, inner) }
            return try run(body, inner, &output)
        case .break: return .break
        case .continue: return .continue
        case .group(let body): return try generation(body, scope, &output)
        case .escaping(let expression, let body):
            return try escaping(try evaluate(expression, scope).isTrue) { () throws(TemplateError) in
                try run(body, TemplateScope(scope), &output)
            }
        case .block(let name, let isScoped):
            let body = try self.body(ofBlock: name)
            try nested { () throws(TemplateError) in
                _ = try run(body, TemplateScope(isScoped ? scope : top), &output)
            }
        case .loading: throw TemplateError(.type, "no loader for this environment specified")
        }
        return .next
    }

    /// Runs a body whose output is the model's own, and remembers where that is; nowhere in a text that is made aside.
    private func generation(
        _ body: [TemplateNode], _ scope: TemplateScope, _ output: inout String
    ) throws(TemplateError) -> Flow {
        let start = output.utf8.count
        let flow = try run(body, TemplateScope(scope), &output)
        if textsAside > 0 { generations = nil } else { generations?.append(start..<output.utf8.count) }
        return flow
    }

    /// Runs `body` while what is written is escaped, or is not.
    private func escaping<Value>(_ escapes: Bool, _ body: () throws(TemplateError) -> Value) throws(TemplateError)
        -> Value
    {
        let before = self.escapes
        self.escapes = escapes
        defer { self.escapes = before }
        return try body()
    }

    private func body(ofBlock name: String) throws(TemplateError) -> [TemplateNode] {
        guard let block = blocks[name] else {
            throw TemplateError(.undefined, "'TemplateReference object' has no attribute '\(name)'")
        }
        guard !block.isRequired else { throw TemplateError(.runtime, "Required block '\(name)' not found") }
        return block.body
    }

    func hasBlock(_ name: String) -> Bool { blocks[name] != nil }

    /// The text of a block, called by its name.
    func text(ofBlock name: String) throws(TemplateError) -> TemplateValue {
        try text(of: try body(ofBlock: name), TemplateScope(top))
    }

    private func apply(
        _ filters: [TemplateExpression.Call], to value: TemplateValue, _ scope: TemplateScope
    ) throws(TemplateError) -> TemplateValue {
        var value = value
        for filter in filters { value = try self.filter(value, filter, scope) }
        return value
    }

    private func assign(
        _ value: TemplateValue, to target: TemplateNode.Target, _ scope: TemplateScope
    ) throws(TemplateError) {
        switch target {
        case .name(let name): scope.set(name, value)
        case .attribute(let name, let attribute):
            guard case .namespace(let namespace)? = scope.find(name) else {
                throw TemplateError(.runtime, "cannot assign attribute on non-namespace object")
            }
            namespace.attributes.set(attribute, value)
        case .tuple(let targets):
            let elements = try iterate(value)
            guard elements.count == targets.count else {
                throw TemplateError(
                    .value,
                    elements.count < targets.count
                        ? "not enough values to unpack (expected \(targets.count), got \(elements.count))"
                        : "too many values to unpack (expected \(targets.count))")
            }
            for (target, element) in zip(targets, elements) { try assign(element, to: target, scope) }
        }
    }

    private func loop(
        _ loop: TemplateNode.Loop, _ value: TemplateValue, _ scope: TemplateScope, _ level: Int, _ output: inout String
    ) throws(TemplateError) {
        var elements = try iterate(value)
        if let filter = loop.filter {
            var kept: [TemplateValue] = []
            for element in elements {
                let inner = TemplateScope(scope)
                try assign(element, to: loop.target, inner)
                if try evaluate(filter, inner).isTrue { kept.append(element) }
            }
            elements = kept
        }
        var hasCompleted = false
        let memory = TemplateLoopMemory(loop, elements, scope)
        hold(memory)
        for index in elements.indices {
            try charge(0)
            let inner = TemplateScope(scope)
            inner.set("loop", .loop(TemplateLoop(index: index, depth: level, memory: memory)))
            try assign(elements[index], to: loop.target, inner)
            let flow = try run(loop.body, inner, &output)
            if flow == .break { break }
            if flow == .next { hasCompleted = true }
        }
        // As compiled Jinja2 does it: also when each round was left by break or continue.
        if !hasCompleted { _ = try run(loop.otherwise, TemplateScope(scope), &output) }
    }

    /// The text of a recursive loop over other elements.
    func again(_ loop: TemplateLoop, _ arguments: TemplateArguments) throws(TemplateError) -> TemplateValue {
        let definition = loop.memory.definition
        guard definition.isRecursive, let scope = loop.memory.scope else {
            throw TemplateError(.type, "The loop must have the 'recursive' marker to be called recursively.")
        }
        var text = ""
        let elements = arguments.value(0, "iterable") ?? TemplateValue([])
        try nested { () throws(TemplateError) in
            try self.loop(definition, elements, scope, loop.depth + 1, &text)
        }
        return escapes ? .markup(text) : .string(text)
    }

    /// The text of a macro called with `arguments`.
    func call(
        _ macro: TemplateMacro, _ arguments: TemplateArguments, caller: TemplateMacro?
    ) throws(TemplateError) -> TemplateValue {
        let scope = TemplateScope(macro.scope)
        let definition = macro.definition
        var positional = arguments.positional[...]
        var named = arguments.named
        if let caller { named.append(("caller", .macro(caller))) }
        for (name, value) in definition.parameters {
            if let argument = positional.popFirst() {
                scope.set(name, argument)
            } else if let index = named.firstIndex(where: { $0.name.utf8.elementsEqual(name.utf8) }) {
                scope.set(name, named.remove(at: index).value)
            } else if let value {
                scope.set(name, try evaluate(value, scope))
            } else {
                scope.set(name, .undefined("parameter '\(name)' was not provided"))
            }
        }
        try giveRest(positional, named, to: definition, scope)
        let escapesResult = escapes
        let result = try escaping(macro.escapes) { () throws(TemplateError) -> TemplateValue in
            try text(of: definition.body, scope)
        }
        return escapesResult ? .markup(result.text ?? "") : .string(result.text ?? "")
    }

    /// Gives a macro the arguments that no parameter took, if it reads them.
    private func giveRest(
        _ positional: ArraySlice<TemplateValue>, _ named: [(name: String, value: TemplateValue)],
        to macro: TemplateNode.Macro, _ scope: TemplateScope
    ) throws(TemplateError) {
        var named = named
        if macro.reads.contains("caller"), !macro.takesCaller {
            let place = named.lastIndex { $0.name.utf8.elementsEqual("caller".utf8) }
            scope.set("caller", place.map { named.remove(at: $0).value } ?? .undefined("No caller defined"))
        }
        if !macro.reads.contains("kwargs"), let (name, _) = named.first {
            throw TemplateError(.type, "macro '\(macro.name)' takes no keyword argument '\(name)'")
        }
        if !macro.reads.contains("varargs"), !positional.isEmpty {
            throw TemplateError(
                .type, "macro '\(macro.name)' takes not more than \(macro.parameters.count) argument(s)")
        }
        scope.set("varargs", .tuple(TemplateArray(Array(positional))))
        var rest = TemplateDictionary()
        for (name, value) in named { rest.set(name, value) }
        scope.set("kwargs", .dictionary(rest))
    }
}

extension TemplateNode.Macro {
    /// True where `caller` is a parameter of its own.
    var takesCaller: Bool { parameters.contains { $0.name.utf8.elementsEqual("caller".utf8) } }
}

/// The arguments of a call, evaluated.
struct TemplateArguments {
    var positional: [TemplateValue] = []
    var named: [(name: String, value: TemplateValue)] = []

    /// The argument at `index` or of the name `name`.
    func value(_ index: Int, _ name: String) -> TemplateValue? {
        if index >= 0, index < positional.count { return positional[index] }
        return named.first { $0.name.utf8.elementsEqual(name.utf8) }?.value
    }

    func flag(_ index: Int, _ name: String, default value: Bool = false) -> Bool {
        self.value(index, name)?.isTrue ?? value
    }

    func text(_ index: Int, _ name: String) throws(TemplateError) -> String? {
        guard let value = value(index, name) else { return nil }
        if case .none = value { return nil }
        guard let text = value.text else { throw TemplateError(.type, "\(name) must be str, not \(value.kind)") }
        return text
    }

    /// A whole number; one beyond 64 bits is as large as they allow.
    func whole(_ index: Int, _ name: String) throws(TemplateError) -> Int? {
        guard let value = value(index, name) else { return nil }
        if case .none = value { return nil }
        guard let whole = value.integer else {
            throw TemplateError(.type, "'\(value.kind)' object cannot be interpreted as an integer")
        }
        return Int(clamping: whole)
    }
}
