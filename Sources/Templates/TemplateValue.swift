/// A value inside a template, with Python's kinds. Lists and dictionaries never change once made, as Jinja2's immutable
/// sandbox demands; only a namespace does.
enum TemplateValue: Sendable {
    /// A missing name or attribute; the text says how to name it in an error.
    case undefined(String)
    case none
    case bool(Bool)
    case integer(Int)
    /// An integer beyond 64 bits. Python's have no end; these end at 127 bits.
    indirect case wide(Int128)
    case float(Double)
    case string(String)
    /// `markupsafe.Markup`: text that counts as HTML, so that what joins it is escaped.
    case markup(String)
    case list(TemplateArray)
    case tuple(TemplateArray)
    case dictionary(TemplateDictionary)
    case sequence(TemplateSequence)
    case counter(TemplateCounter)
    case namespace(TemplateNamespace)
    case macro(TemplateMacro)
    /// A function of the environment, by name.
    case function(String)
    /// A block of the template, by name; nil: the object `self`, which has them all.
    case block(String?)
    /// A method of a value, not called yet.
    indirect case method(TemplateValue, String)
    /// A method that would change its value: calling it is an error.
    case unsafe(kind: String, attribute: String)
    case loop(TemplateLoop)
}

extension TemplateValue {
    /// The deepest that values may lie in one another. What is built deeper is an error where it is built, so that
    /// whoever walks a value, its release among them, needs bounded stack.
    static let maximumDepth = 256

    /// The depth of the values that lie in this one; 0 for what holds none. A namespace's attributes are no part of it:
    /// they can change.
    var depth: Int {
        switch self {
        case .list(let elements), .tuple(let elements): elements.depth
        case .dictionary(let dictionary): dictionary.depth
        case .sequence(let sequence): sequence.depth
        case .counter(let counter): counter.depth
        case .method(let value, _): value.depth + 1
        default: 0
        }
    }

    /// An integer of either size.
    init(_ value: Int128) { self = Int(exactly: value).map { .integer($0) } ?? .wide(value) }

    init(_ elements: [TemplateValue]) { self = .list(TemplateArray(elements)) }

    /// Python's truth.
    var isTrue: Bool {
        switch self {
        case .undefined, .none: false
        case .bool(let value): value
        case .integer(let value): value != 0
        case .wide: true
        case .float(let value): value != 0
        case .string(let text), .markup(let text): !text.utf8.isEmpty
        case .list(let elements), .tuple(let elements): !elements.isEmpty
        case .dictionary(let dictionary): dictionary.count > 0
        case .unsafe: false
        case .sequence(let sequence): sequence.isOnce || !sequence.elements.isEmpty
        case .namespace, .macro, .function, .block, .method, .loop, .counter: true
        }
    }

    var isUndefined: Bool {
        switch self {
        case .undefined, .unsafe: true
        default: false
        }
    }

    var isMarkup: Bool { if case .markup = self { true } else { false } }

    var text: String? {
        switch self {
        case .string(let text), .markup(let text): text
        default: nil
        }
    }

    /// A number, truth values among them, as Python has it.
    var number: Double? {
        switch self {
        case .float(let value): value
        default: integer.map { Double($0) }
        }
    }

    var whole: Int? {
        switch self {
        case .integer(let value): value
        case .bool(let value): value ? 1 : 0
        default: nil
        }
    }

    /// An integer of either size, or a truth value.
    var integer: Int128? {
        if case .wide(let value) = self { return value }
        return whole.map { Int128($0) }
    }

    /// Python's name of the kind.
    var kind: String {
        switch self {
        case .undefined, .unsafe: "Undefined"
        case .none: "NoneType"
        case .bool: "bool"
        case .integer, .wide: "int"
        case .float: "float"
        case .string: "str"
        case .markup: "Markup"
        case .list: "list"
        case .tuple: "tuple"
        case .dictionary: "dict"
        case .sequence(let sequence): sequence.kind.rawValue
        case .counter(let counter): counter.values.isEmpty ? "Joiner" : "Cycler"
        case .namespace: "Namespace"
        case .macro: "Macro"
        case .block(nil): "TemplateReference"
        case .block: "BlockReference"
        case .function, .method: "function"
        case .loop: "LoopContext"
        }
    }

    /// Python's `==`. Every value looked at is charged: a shared list is walked as often as it occurs.
    func equals(_ other: TemplateValue, _ renderer: TemplateRenderer) throws(TemplateError) -> Bool {
        try renderer.charge(0)
        switch (self, other) {
        case (.none, .none), (.undefined, .undefined): return true
        case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
            guard a.count == b.count else { return false }
            for (x, y) in zip(a, b) where !(try x.equals(y, renderer)) { return false }
            return true
        case (.dictionary(let a), .dictionary(let b)):
            guard a.count == b.count else { return false }
            for (key, value) in a.entries {
                guard let match = try b.find(key, renderer), try match.equals(value, renderer) else { return false }
            }
            return true
        case (.sequence(let a), .sequence(let b)): return try a.equals(b, renderer)
        case (.counter(let a), .counter(let b)): return a === b
        case (.namespace(let a), .namespace(let b)): return a === b
        case (.macro(let a), .macro(let b)): return a === b
        case (.function(let a), .function(let b)): return a.utf8.elementsEqual(b.utf8)
        default:
            if let a = text, let b = other.text {
                guard a.utf8.count == b.utf8.count else { return false }
                try renderer.charge(bytes: a.utf8.count)
                return a.utf8.elementsEqual(b.utf8)
            }
            if let a = integer, let b = other.integer { return a == b }
            if let a = number, let b = other.number { return a == b }
            return false
        }
    }
}

/// The elements of a list or a tuple, which know how deep values lie in them.
struct TemplateArray: Sendable, RandomAccessCollection {
    let elements: [TemplateValue]
    let depth: Int
    /// True for an element of what `groupby` gives: a tuple whose parts are also called `grouper` and `list`.
    var isGroup = false

    init(_ elements: [TemplateValue]) {
        self.elements = elements
        depth = TemplateArray.depth(of: elements)
    }

    /// The depth of a value that holds `elements`.
    static func depth(of elements: some Sequence<TemplateValue>) -> Int {
        var deepest = 0
        for element in elements where element.depth > deepest { deepest = element.depth }
        return deepest + 1
    }

    var startIndex: Int { 0 }
    var endIndex: Int { elements.count }
    subscript(index: Int) -> TemplateValue { elements[index] }
}

/// Python's `dict`: in order of insertion, keys of any kind that can be compared.
struct TemplateDictionary: Sendable {
    private(set) var entries: [(key: TemplateValue, value: TemplateValue)] = []
    private(set) var depth = 1
    private var places: [[UInt8]: Int] = [:]

    var count: Int { entries.count }
    var items: [TemplateValue] { entries.map { .tuple(TemplateArray([$0.key, $0.value])) } }

    /// The value under a text, as the context's names are.
    subscript(name: String) -> TemplateValue? {
        places[TemplateDictionary.key(of: name)].map { entries[$0].value }
    }

    func find(_ key: TemplateValue, _ renderer: TemplateRenderer) throws(TemplateError) -> TemplateValue? {
        guard let name = try TemplateDictionary.key(of: key, renderer) else { return nil }
        return places[name].map { entries[$0].value }
    }

    /// - Returns: false for a key that Python cannot hash.
    @discardableResult
    mutating func set(_ key: TemplateValue, _ value: TemplateValue, _ renderer: TemplateRenderer)
        throws(TemplateError) -> Bool
    {
        guard let name = try TemplateDictionary.key(of: key, renderer) else { return false }
        set(name, key, value)
        return true
    }

    mutating func set(_ name: String, _ value: TemplateValue) {
        set(TemplateDictionary.key(of: name), .string(name), value)
    }

    private mutating func set(_ name: [UInt8], _ key: TemplateValue, _ value: TemplateValue) {
        depth = max(depth, max(key.depth, value.depth) + 1)
        if let place = places[name] {
            entries[place].value = value
        } else {
            places[name] = entries.count
            entries.append((key, value))
        }
    }

    private static func key(of text: String) -> [UInt8] { Array("s".utf8) + text.utf8 }

    /// Bytes that are equal just when two keys are equal to Python; nil for what Python cannot hash.
    private static func key(of key: TemplateValue, _ renderer: TemplateRenderer) throws(TemplateError) -> [UInt8]? {
        try renderer.charge(0)
        if let value = key.integer { return Array("n\(value)".utf8) }
        if let text = key.text {
            try renderer.charge(bytes: text.utf8.count)
            return self.key(of: text)
        }
        switch key {
        case .float(let value):
            if let whole = Int128(exactly: value) { return Array("n\(whole)".utf8) }
            return Array("f\(value)".utf8)
        case .none: return Array("N".utf8)
        case .tuple(let elements):
            var bytes = Array("t\(elements.count)".utf8)
            for element in elements {
                guard let part = try self.key(of: element, renderer) else { return nil }
                try renderer.charge(bytes: part.count)
                bytes += Array(":\(part.count):".utf8) + part
            }
            return bytes
        default: return nil
        }
    }
}

/// The object of `namespace()`: attributes that a template may set from inner scopes.
///
/// Reached by one rendering only, which runs in one thread, and which empties it in the end: it may hold itself.
final class TemplateNamespace: @unchecked Sendable, TemplateHolder {
    var attributes = TemplateDictionary()

    func empty() { attributes = TemplateDictionary() }
}

/// A macro, with the scope that it was defined in.
final class TemplateMacro: @unchecked Sendable {
    let definition: TemplateNode.Macro
    let scope: TemplateScope
    /// True where what its body writes is escaped.
    let escapes: Bool

    init(_ definition: TemplateNode.Macro, _ scope: TemplateScope, escapes: Bool) {
        (self.definition, self.scope, self.escapes) = (definition, scope, escapes)
    }
}

/// The object `loop` of one iteration.
final class TemplateLoop: Sendable {
    let index: Int
    let depth: Int
    let memory: TemplateLoopMemory

    init(index: Int, depth: Int, memory: TemplateLoopMemory) {
        (self.index, self.depth, self.memory) = (index, depth, memory)
    }
}

/// A value that can come to hold itself, or a chain without end of its like. The rendering keeps a list of them and
/// empties each when it is done, so that nothing is left over and no release runs deep.
protocol TemplateHolder: AnyObject {
    func empty()
}

/// Names and their values, one scope within another.
final class TemplateScope: @unchecked Sendable, TemplateHolder {
    private var names: [[UInt8]: TemplateValue] = [:]
    private let parent: TemplateScope?
    /// True where the rendering has it in its list.
    var isHeld = false

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

    func empty() { names = [:] }
}
