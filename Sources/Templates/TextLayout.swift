/// `wordwrap`: Python's `textwrap.wrap` of every line.
struct WordWrapper {
    private let width: Int
    private let breaksWords: Bool
    private let separator: String
    private let breaksHyphens: Bool

    init(_ arguments: TemplateArguments) throws(TemplateError) {
        width = try arguments.whole(0, "width") ?? 79
        guard width > 0 else { throw TemplateError(.value, "invalid width \(width) (must be > 0)") }
        breaksWords = arguments.flag(1, "break_long_words", default: true)
        separator = try arguments.text(2, "wrapstring") ?? "\n"
        breaksHyphens = arguments.flag(3, "break_on_hyphens", default: true)
    }

    func text(_ text: String, _ renderer: TemplateRenderer) throws(TemplateError) -> String {
        var lines: [String] = []
        for line in PythonStrings.lines(text, keepsEnds: false) {
            let wrapped = wrap(line)
            try renderer.charge(wrapped.count + line.utf8.count / 4)
            lines.append(wrapped.joined(separator: separator))
        }
        try renderer.charge(lines.count, times: separator.utf8.count)
        return lines.joined(separator: separator)
    }

    private func wrap(_ line: String) -> [String] {
        var lines: [String] = []
        var current: [[Unicode.Scalar]] = []
        var length = 0
        func isBlank(_ chunk: [Unicode.Scalar]) -> Bool { chunk.allSatisfy(PythonText.isSpace) }
        func finish() {
            if let last = current.last, isBlank(last) { current.removeLast() }
            if !current.isEmpty { lines.append(String(String.UnicodeScalarView(current.joined()))) }
            (current, length) = ([], 0)
        }
        for chunk in chunks(line) {
            var chunk = chunk[...]
            while !chunk.isEmpty {
                if current.isEmpty, !lines.isEmpty, isBlank(Array(chunk)) { break }
                if length + chunk.count <= width {
                    current.append(Array(chunk))
                    length += chunk.count
                    break
                }
                guard chunk.count > width else {
                    finish()
                    continue
                }
                if breaksWords {
                    var space = width - length
                    if breaksHyphens, chunk.count > space,
                        let hyphen = chunk.prefix(space).lastIndex(of: "-"), hyphen > chunk.startIndex,
                        chunk.prefix(upTo: hyphen).contains(where: { $0 != "-" })
                    {
                        space = hyphen - chunk.startIndex + 1
                    }
                    current.append(Array(chunk.prefix(space)))
                    chunk = chunk.dropFirst(space)
                } else if current.isEmpty {
                    current.append(Array(chunk))
                    chunk = []
                }
                finish()
            }
        }
        finish()
        return lines
    }

    /// Words and runs of blanks; words end behind a hyphen between letters where that is allowed.
    private func chunks(_ line: String) -> [[Unicode.Scalar]] {
        var chunks: [[Unicode.Scalar]] = []
        let scalars = Array(line.unicodeScalars)
        for (index, scalar) in scalars.enumerated() {
            let isBlank = PythonText.isSpace(scalar)
            guard let last = chunks.last?.last, PythonText.isSpace(last) == isBlank else {
                chunks.append([scalar])
                continue
            }
            let endsPart =
                breaksHyphens && last == "-" && index >= 3 && PythonText.isLetter(scalars[index - 2])
                && PythonText.isLetter(scalars[index - 3]) && PythonText.isLetter(scalar)
                && index + 1 < scalars.count && PythonText.isLetter(scalars[index + 1])
            if endsPart { chunks.append([scalar]) } else { chunks[chunks.count - 1].append(scalar) }
        }
        return chunks
    }
}

/// `pprint`: Python's `pformat`, which breaks lists and dictionaries of more than 80 columns. Texts are not broken.
struct PrettyPrinter {
    private static let width = 80
    let renderer: TemplateRenderer

    func text(_ value: TemplateValue) throws(TemplateError) -> String { try text(value, indent: 0, allowance: 0) }

    private func text(_ value: TemplateValue, indent: Int, allowance: Int) throws(TemplateError) -> String {
        let short = try PythonText.representation(sorted(value), renderer)
        try renderer.charge(bytes: short.utf8.count)
        guard short.unicodeScalars.count > PrettyPrinter.width - indent - allowance else { return short }
        var lines: [String] = []
        let (open, close): (String, String)
        switch value {
        case .list(let elements), .tuple(let elements):
            (open, close) = value.kind == "list" ? ("[", "]") : ("(", elements.count == 1 ? ",)" : ")")
            for (index, element) in elements.enumerated() {
                let isLast = index == elements.count - 1
                lines.append(try text(element, indent: indent + 1, allowance: isLast ? allowance + 1 : 1))
            }
        case .dictionary(let dictionary):
            (open, close) = ("{", "}")
            for (index, (key, value)) in try entries(dictionary).enumerated() {
                let name = try PythonText.representation(key, renderer)
                let isLast = index == dictionary.count - 1
                let inner = indent + name.unicodeScalars.count + 3
                lines.append(name + ": " + (try text(value, indent: inner, allowance: isLast ? allowance + 1 : 1)))
            }
        default: return short
        }
        try renderer.charge(lines.count, times: indent + 3)
        return open + lines.joined(separator: ",\n" + String(repeating: " ", count: indent + 1)) + close
    }

    /// The entries by their keys, where those can be compared.
    private func entries(_ dictionary: TemplateDictionary) throws(TemplateError)
        -> [(key: TemplateValue, value: TemplateValue)]
    {
        try renderer.charge(dictionary.count * 4)
        guard dictionary.entries.allSatisfy({ $0.key.text != nil }) else { return dictionary.entries }
        return dictionary.entries.sorted {
            ($0.key.text ?? "").utf8.lexicographicallyPrecedes(($1.key.text ?? "").utf8)
        }
    }

    private func sorted(_ value: TemplateValue) throws(TemplateError) -> TemplateValue {
        guard case .dictionary(let dictionary) = value else { return value }
        var result = TemplateDictionary()
        for (key, value) in try entries(dictionary) { try result.set(key, value, renderer) }
        return .dictionary(result)
    }
}
