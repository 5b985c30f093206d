/// The functions of the environment.
enum TemplateFunctions {
    private static let names = [
        "range", "dict", "namespace", "raise_exception", "strftime_now", "joiner", "cycler",
    ]

    /// Jinja2's sandbox makes no longer ranges.
    private static let longestRange = 100_000

    static func isKnown(_ name: String) -> Bool { names.contains { $0.utf8.elementsEqual(name.utf8) } }

    static func call(
        _ name: String, _ arguments: TemplateArguments, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue {
        switch name {
        case "range": return try range(arguments, renderer)
        case "dict": return .dictionary(try dictionary(arguments, renderer))
        case "namespace":
            let namespace = TemplateNamespace()
            renderer.hold(namespace)
            namespace.attributes = try dictionary(arguments, renderer)
            return .namespace(namespace)
        case "joiner": return .counter(TemplateCounter(separator: try arguments.text(0, "sep") ?? ", "))
        case "cycler":
            guard !arguments.positional.isEmpty else {
                throw TemplateError(.runtime, "at least one item has to be provided")
            }
            return .counter(TemplateCounter(values: arguments.positional))
        case "raise_exception":
            throw TemplateError(
                .raised, try PythonText.string(arguments.value(0, "message") ?? .string(""), renderer))
        default: return .string(renderer.now(try arguments.text(0, "format") ?? "%c"))
        }
    }

    private static func dictionary(_ arguments: TemplateArguments, _ renderer: TemplateRenderer) throws(TemplateError)
        -> TemplateDictionary
    {
        var result = TemplateDictionary()
        for argument in arguments.positional {
            if case .dictionary(let dictionary) = argument {
                for (key, value) in dictionary.entries { try result.set(key, value, renderer) }
                continue
            }
            for element in try renderer.iterate(argument) {
                let pair = try renderer.iterate(element)
                guard pair.count == 2 else {
                    throw TemplateError(
                        .value, "dictionary update sequence element has length \(pair.count); 2 is required")
                }
                guard try result.set(pair[0], pair[1], renderer) else {
                    throw TemplateError(.type, "unhashable type: '\(pair[0].kind)'")
                }
            }
        }
        for (name, value) in arguments.named { result.set(name, value) }
        return result
    }

    private static func range(_ arguments: TemplateArguments, _ renderer: TemplateRenderer) throws(TemplateError)
        -> TemplateValue
    {
        var bounds: [Int] = []
        for index in arguments.positional.indices { bounds.append(try arguments.whole(index, "range") ?? 0) }
        guard (1...3).contains(bounds.count) else {
            throw TemplateError(.type, "range expected 1 to 3 arguments, got \(bounds.count)")
        }
        let (start, stop) = bounds.count == 1 ? (0, bounds[0]) : (bounds[0], bounds[1])
        let step = bounds.count == 3 ? bounds[2] : 1
        guard step != 0 else { throw TemplateError(.value, "range() arg 3 must not be zero") }
        let distance = Double(stop) - Double(start)
        // As many as Jinja2 allows, and as the steps pay for.
        guard distance / Double(step) <= Double(longestRange) else {
            throw TemplateError(
                .overflow, "Range too big. The sandbox blocks ranges larger than MAX_RANGE (\(longestRange)).")
        }
        try renderer.charge(Int(max(0, distance / Double(step))))
        return .sequence(TemplateSequence(range: start, stop, step))
    }
}
