/// A value inside a template, with Python's kinds. Lists and dictionaries never change once made, as Jinja2's immutable sandbox
/// demands; only a namespace does.
indirect enum TemplateValue: Sendable {
    /// What a missing name or attribute is; the text says how to name it in an error.
    case undefined(String)
    case none
    case bool(Bool)
    case integer(Int)
    case float(Double)
    case string(String)
    case list([TemplateValue])
    case tuple([TemplateValue])
    case dictionary(TemplateDictionary)
    case sequence(TemplateSequence)
    case counter(TemplateCounter)
    case namespace(TemplateNamespace)
    case macro(TemplateMacro)
    /// A function of the environment, by name.
    case function(String)
    /// A method of a value, not called yet.
    case method(TemplateValue, String)
    /// A method that would change its value: calling it is an error.
    case unsafe(kind: String, attribute: String)
    case loop(TemplateLoop)
}

/// Python's `dict`: in order of insertion, keys of any kind that can be compared.
struct TemplateDictionary: Sendable {
    private(set) var entries: [(key: TemplateValue, value: TemplateValue)] = []
    private var places: [[UInt8]: Int] = [:]

    var count: Int { entries.count }
    var items: [TemplateValue] { entries.map { .tuple([$0.key, $0.value]) } }

    subscript(key: TemplateValue) -> TemplateValue? {
        guard let name = TemplateDictionary.name(key) else { return nil }
        return places[name].map { entries[$0].value }
    }

    /// - Returns: false for a key that Python cannot hash.
    @discardableResult
    mutating func set(_ key: TemplateValue, _ value: TemplateValue) -> Bool {
        guard let name = TemplateDictionary.name(key) else { return false }
        if let place = places[name] {
            entries[place].value = value
        } else {
            places[name] = entries.count
            entries.append((key, value))
        }
        return true
    }

    /// Bytes that are equal just when two keys are equal to Python.
    private static func name(_ key: TemplateValue) -> [UInt8]? {
        switch key {
        case .string(let text): return Array("s".utf8) + text.utf8
        case .integer(let value): return Array("n\(value)".utf8)
        case .bool(let value): return Array("n\(value ? 1 : 0)".utf8)
        case .float(let value):
            if let whole = Int(exactly: value) { return Array("n\(whole)".utf8) }
            return Array("f\(value)".utf8)
        case .none: return Array("N".utf8)
        case .tuple(let elements):
            var bytes = Array("t\(elements.count)".utf8)
            for element in elements {
                guard let part = name(element) else { return nil }
                bytes += Array(":\(part.count):".utf8) + part
            }
            return bytes
        default: return nil
        }
    }
}

/// The object of `namespace()`: attributes that a template may set from inner scopes.
///
/// Reached by one rendering only, which runs in one thread.
final class TemplateNamespace: @unchecked Sendable {
    var attributes = TemplateDictionary()
}

/// A macro, with the scope that it was defined in.
final class TemplateMacro: @unchecked Sendable {
    let definition: TemplateNode.Macro
    let scope: TemplateScope

    init(_ definition: TemplateNode.Macro, _ scope: TemplateScope) {
        (self.definition, self.scope) = (definition, scope)
    }
}

/// The object `loop` of one iteration.
struct TemplateLoop: Sendable {
    let index: Int
    let elements: [TemplateValue]
    let depth: Int
    let memory: TemplateLoopMemory
}

/// Names and their values, one scope within another.
final class TemplateScope: @unchecked Sendable {
    private var names: [[UInt8]: TemplateValue] = [:]
    private let parent: TemplateScope?

    init(_ parent: TemplateScope?) { self.parent = parent }

    func find(_ name: String) -> TemplateValue? {
        let key = Array(name.utf8)
        var scope: TemplateScope? = self
        while let current = scope {
            if let value = current.names[key] { return value }
            scope = current.parent
        }
        return nil
    }

    func set(_ name: String, _ value: TemplateValue) { names[Array(name.utf8)] = value }
}

extension TemplateValue {
    /// Python's truth.
    var isTrue: Bool {
        switch self {
        case .undefined, .none: false
        case .bool(let value): value
        case .integer(let value): value != 0
        case .float(let value): value != 0
        case .string(let text): !text.utf8.isEmpty
        case .list(let elements), .tuple(let elements): !elements.isEmpty
        case .dictionary(let dictionary): dictionary.count > 0
        case .unsafe: false
        case .sequence(let sequence): sequence.isOnce || !sequence.elements.isEmpty
        case .namespace, .macro, .function, .method, .loop, .counter: true
        }
    }

    var isUndefined: Bool {
        switch self {
        case .undefined, .unsafe: true
        default: false
        }
    }

    var text: String? { if case .string(let text) = self { text } else { nil } }

    /// A number, truth values among them, as Python has it.
    var number: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .float(let value): value
        case .bool(let value): value ? 1 : 0
        default: nil
        }
    }

    var whole: Int? {
        switch self {
        case .integer(let value): value
        case .bool(let value): value ? 1 : 0
        default: nil
        }
    }

    /// Python's name of the kind.
    var kind: String {
        switch self {
        case .undefined, .unsafe: "Undefined"
        case .none: "NoneType"
        case .bool: "bool"
        case .integer: "int"
        case .float: "float"
        case .string: "str"
        case .list: "list"
        case .tuple: "tuple"
        case .dictionary: "dict"
        case .sequence(let sequence): sequence.kind.rawValue
        case .counter(let counter): counter.values.isEmpty ? "Joiner" : "Cycler"
        case .namespace: "Namespace"
        case .macro: "Macro"
        case .function, .method: "function"
        case .loop: "LoopContext"
        }
    }

    /// Python's `==`.
    func equals(_ other: TemplateValue, depth: Int = 0) -> Bool {
        guard depth < 64 else { return false }
        switch (self, other) {
        case (.string(let a), .string(let b)): return a.utf8.elementsEqual(b.utf8)
        case (.none, .none), (.undefined, .undefined): return true
        case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
            return a.count == b.count && zip(a, b).allSatisfy { $0.equals($1, depth: depth + 1) }
        case (.dictionary(let a), .dictionary(let b)):
            return a.count == b.count && a.entries.allSatisfy { b[$0.key]?.equals($0.value, depth: depth + 1) ?? false }
        case (.sequence(let a), .sequence(let b)): return a.equals(b, depth: depth + 1)
        case (.counter(let a), .counter(let b)): return a === b
        case (.namespace(let a), .namespace(let b)): return a === b
        case (.macro(let a), .macro(let b)): return a === b
        case (.function(let a), .function(let b)): return a.utf8.elementsEqual(b.utf8)
        default:
            if let a = whole, let b = other.whole { return a == b }
            if let a = number, let b = other.number { return a == b }
            return false
        }
    }
}
