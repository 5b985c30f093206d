/// A sequence that Python does not copy: a range, a view of a dictionary, a generator. What is left of a generator is
/// seen once, and it is true even when it is empty.
///
/// Reached by one rendering only, which runs in one thread.
final class TemplateSequence: @unchecked Sendable {
    /// The kind of a sequence, which says how Python writes it.
    enum Kind: String, Sendable {
        case range
        case generator
        case reversed = "list_reverseiterator"
        case keys = "dict_keys"
        case values = "dict_values"
        case items = "dict_items"
    }

    let kind: Kind
    let elements: [TemplateValue]
    let depth: Int
    /// The first number of a range, the one that it stops before, and its step.
    private let bounds: (start: Int, stop: Int, step: Int)
    private var place = 0

    init(_ kind: Kind, _ elements: [TemplateValue]) {
        (self.kind, self.elements) = (kind, elements)
        depth = TemplateArray.depth(of: elements)
        bounds = (0, 0, 1)
    }

    init(range start: Int, _ stop: Int, _ step: Int) {
        kind = .range
        elements = stride(from: start, to: stop, by: step).map { .integer($0) }
        depth = 1
        bounds = (start, stop, step)
    }

    /// True where it can be gone through once only.
    var isOnce: Bool { kind == .generator || kind == .reversed }

    /// The elements that are left; those of a generator are then gone.
    func rest() -> [TemplateValue] {
        guard isOnce else { return elements }
        defer { place = elements.count }
        return place == 0 ? elements : Array(elements[place...])
    }

    /// The first element that is left.
    func first() -> TemplateValue? {
        guard place < elements.count else { return nil }
        defer { if isOnce { place += 1 } }
        return elements[place]
    }

    /// The elements of a range at some of its places, as a range.
    func slice(_ places: StrideTo<Int>, from start: Int, to stop: Int, by step: Int) -> TemplateSequence {
        let (first, firstOverflow) = start.multipliedReportingOverflow(by: bounds.step)
        let (last, lastOverflow) = stop.multipliedReportingOverflow(by: bounds.step)
        let (width, widthOverflow) = step.multipliedReportingOverflow(by: bounds.step)
        guard !firstOverflow, !lastOverflow, !widthOverflow else {
            return TemplateSequence(.range, places.map { elements[$0] })
        }
        return TemplateSequence(range: bounds.start &+ first, bounds.start &+ last, width)
    }

    func equals(_ other: TemplateSequence, _ renderer: TemplateRenderer) throws(TemplateError) -> Bool {
        if self === other { return true }
        guard kind == other.kind, !isOnce, kind != .values, elements.count == other.elements.count else { return false }
        if kind == .range {
            for (a, b) in zip(elements, other.elements) where !(try a.equals(b, renderer)) { return false }
            return true
        }
        search: for element in elements {
            for candidate in other.elements where try element.equals(candidate, renderer) { continue search }
            return false
        }
        return true
    }

    /// `repr`, with the elements as `spelled` has them.
    func representation(_ spelled: ([TemplateValue]) throws(TemplateError) -> String) throws(TemplateError) -> String {
        switch kind {
        case .range: "range(\(bounds.start), \(bounds.stop)" + (bounds.step == 1 ? ")" : ", \(bounds.step))")
        case .generator, .reversed: "<\(kind.rawValue) object>"
        default: "\(kind.rawValue)([" + (try spelled(elements)) + "])"
        }
    }
}

/// `joiner()`, which gives its text but the first time, or `cycler()`, which gives its values in turn.
///
/// Reached by one rendering only, which runs in one thread.
final class TemplateCounter: @unchecked Sendable {
    /// A cycler's values; none: it is a joiner.
    let values: [TemplateValue]
    let separator: String
    let depth: Int
    private var calls = 0

    init(separator: String) { (self.separator, values, depth) = (separator, [], 0) }

    init(values: [TemplateValue]) {
        (separator, self.values) = ("", values)
        depth = TemplateArray.depth(of: values)
    }

    var current: TemplateValue { values[calls % values.count] }

    func next() -> TemplateValue {
        defer { calls += 1 }
        return values.isEmpty ? .string(calls == 0 ? "" : separator) : current
    }

    func reset() { calls = 0 }
}

/// The memory that the rounds of one loop share: the loop itself, for it may call itself, its elements, and the values
/// that `changed` saw last.
///
/// Reached by one rendering only, which runs in one thread, and which empties it in the end.
final class TemplateLoopMemory: @unchecked Sendable, TemplateHolder {
    let definition: TemplateNode.Loop
    private(set) var elements: [TemplateValue]
    private(set) var scope: TemplateScope?
    private var seen: TemplateValue?

    init(_ definition: TemplateNode.Loop, _ elements: [TemplateValue], _ scope: TemplateScope) {
        (self.definition, self.elements, self.scope) = (definition, elements, scope)
    }

    /// Returns whether the values are others than the last ones asked about.
    func hasChanged(_ values: [TemplateValue], _ renderer: TemplateRenderer) throws(TemplateError) -> Bool {
        let values = TemplateValue.tuple(TemplateArray(values))
        defer { seen = values }
        guard let seen else { return true }
        return !(try seen.equals(values, renderer))
    }

    func empty() { (elements, scope, seen) = ([], nil, nil) }
}
