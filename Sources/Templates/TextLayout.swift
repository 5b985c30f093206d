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
        var wrapped = WrappedLines(width: width)
        for chunk in chunks(line) {
            var rest = chunk[...]
            while !rest.isEmpty, !wrapped.take(rest) {
                if rest.count > width {
                    if breaksWords {
                        let length = fitting(rest, in: wrapped.space)
                        wrapped.append(rest.prefix(length))
                        rest = rest.dropFirst(length)
                    } else if wrapped.isAtStart {
                        wrapped.append(rest)
                        rest = []
                    }
                }
                wrapped.endLine()
            }
        }
        wrapped.endLine()
        return wrapped.lines
    }

    /// The beginning of a long word that goes into `space` columns: up to a hyphen where that is allowed.
    private func fitting(_ word: ArraySlice<Unicode.Scalar>, in space: Int) -> Int {
        guard breaksHyphens, word.count > space, let hyphen = word.prefix(space).lastIndex(of: "-"),
            hyphen > word.startIndex, word.prefix(upTo: hyphen).contains(where: { $0 != "-" })
        else { return space }
        return hyphen - word.startIndex + 1
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

/// The lines of a paragraph, and the one that is being filled.
private struct WrappedLines {
    let width: Int
    private(set) var lines: [String] = []
    private var current: [ArraySlice<Unicode.Scalar>] = []
    private var length = 0

    init(width: Int) { self.width = width }

    var isAtStart: Bool { current.isEmpty }
    /// The columns that are left in the line.
    var space: Int { width - length }

    /// Takes a word, or a run of blanks, which no line but the first begins with; false where it does not fit.
    mutating func take(_ chunk: ArraySlice<Unicode.Scalar>) -> Bool {
        if current.isEmpty, !lines.isEmpty, chunk.allSatisfy(PythonText.isSpace) { return true }
        guard chunk.count <= space else { return false }
        append(chunk)
        return true
    }

    mutating func append(_ chunk: ArraySlice<Unicode.Scalar>) {
        current.append(chunk)
        length += chunk.count
    }

    mutating func endLine() {
        if let last = current.last, last.allSatisfy(PythonText.isSpace) { current.removeLast() }
        if !current.isEmpty { lines.append(String(String.UnicodeScalarView(current.joined()))) }
        (current, length) = ([], 0)
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
