/// The filters that make or read HTML.
enum MarkupFilters {
    /// - Returns: nil for a filter that is none of these.
    static func apply(
        _ name: String, to value: TemplateValue, _ text: String, _ arguments: TemplateArguments,
        _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue? {
        switch name {
        case "safe": return .markup(text)
        case "escape", "e": return .markup(try Markup.escape(value, renderer))
        case "forceescape": return .markup(try Markup.escape(text, renderer))
        case "striptags": return .string(try Markup.withoutTags(text, renderer))
        case "xmlattr": return html(try attributes(value, arguments, renderer), renderer)
        case "urlize": return html(try URLFinder(arguments, renderer).text(value), renderer)
        case "replace": return try replace(value, text, arguments, renderer)
        default: return nil
        }
    }

    /// Markup where what is written is escaped.
    private static func html(_ text: String, _ renderer: TemplateRenderer) -> TemplateValue {
        renderer.escapes ? .markup(text) : .string(text)
    }

    /// Plain text unless what is written is escaped; then markup replaces in markup, and escapes the rest.
    private static func replace(
        _ value: TemplateValue, _ text: String, _ arguments: TemplateArguments, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> TemplateValue {
        let (old, new) = (arguments.value(0, "old"), arguments.value(1, "new"))
        var arguments = arguments
        for index in arguments.positional.indices.prefix(2) where arguments.positional[index].text == nil {
            arguments.positional[index] = .string(try PythonText.string(arguments.positional[index], renderer))
        }
        guard renderer.escapes, value.isMarkup || old?.isMarkup == true || new?.isMarkup == true else {
            let result = try TextMethods.call("replace", of: text, arguments, renderer)
            return renderer.escapes ? result : .string(result.text ?? "")
        }
        return try MarkupMethods.call("replace", of: try Markup.escape(value, renderer), arguments, renderer)
    }

    /// The items of a mapping as attributes of a tag.
    private static func attributes(
        _ value: TemplateValue, _ arguments: TemplateArguments, _ renderer: TemplateRenderer
    ) throws(TemplateError) -> String {
        guard case .dictionary(let dictionary) = value else {
            try TemplateRenderer.refuseUndefined(value)
            throw TemplateError(.type, "'\(value.kind)' object has no attribute 'items'")
        }
        var items: [String] = []
        for (key, value) in dictionary.entries {
            if case .none = value { continue }
            if value.isUndefined { continue }
            let name = try PythonText.string(key, renderer)
            if name.unicodeScalars.contains(where: { PythonText.isSpace($0) || "/>=".unicodeScalars.contains($0) }) {
                throw TemplateError(.value, "Invalid character in attribute name: \(PythonText.quoted(name))")
            }
            items.append("\(try Markup.escape(key, renderer))=\"\(try Markup.escape(value, renderer))\"")
        }
        try renderer.charge(bytes: items.reduce(0) { $0 + $1.utf8.count })
        let text = items.joined(separator: " ")
        return arguments.flag(0, "autospace", default: true) && !text.isEmpty ? " " + text : text
    }
}

/// `urlize`: addresses in a text become links.
struct URLFinder {
    private let limit: Int?
    private let attributes: String
    private let schemes: [String]
    private let renderer: TemplateRenderer

    init(_ arguments: TemplateArguments, _ renderer: TemplateRenderer) throws(TemplateError) {
        self.renderer = renderer
        limit = try arguments.whole(0, "trim_url_limit")
        var relations = Set(PythonStrings.splitAtBlanks(try arguments.text(3, "rel") ?? "")).union(["noopener"])
        if arguments.flag(1, "nofollow") { relations.insert("nofollow") }
        let relation = try Markup.escape(relations.sorted().joined(separator: " "), renderer)
        let target = try arguments.text(2, "target").map { text throws(TemplateError) in
            " target=\"\(try Markup.escape(text, renderer))\""
        }
        attributes = " rel=\"\(relation)\"" + (target ?? "")
        schemes = try renderer.iterate(arguments.value(4, "extra_schemes") ?? .undefined("")).compactMap(\.text)
    }

    func text(_ value: TemplateValue) throws(TemplateError) -> String {
        var result = ""
        var rest = Substring(try Markup.escape(value, renderer)).unicodeScalars
        while !rest.isEmpty {
            let word = rest.prefix { !PythonText.isSpace($0) }
            let blanks = rest[word.endIndex...].prefix { PythonText.isSpace($0) }
            let part = try linked(String(word))
            try renderer.charge(bytes: part.utf8.count)
            result += part + String(blanks)
            rest = rest[blanks.endIndex...]
        }
        return result
    }

    private func linked(_ word: String) throws(TemplateError) -> String {
        var (head, middle, tail) = ("", word, "")
        while let sign = ["(", "<", "&lt;"].first(where: { middle.hasPrefix($0) }) {
            head += sign
            middle = String(middle.dropFirst(sign.utf8.count))
        }
        while let sign = [")", ">", ".", ",", "&gt;"].first(where: { middle.hasSuffix($0) }) {
            tail = sign + tail
            middle = String(middle.dropLast(sign.utf8.count))
            try renderer.charge(bytes: middle.utf8.count)
        }
        // Brackets that a link opens, it also closes.
        for (open, close) in [("(", ")"), ("<", ">"), ("&lt;", "&gt;")] {
            let opened = PythonStrings.count(open, in: middle)
            guard opened > PythonStrings.count(close, in: middle) else { continue }
            for _ in 0..<min(opened, PythonStrings.count(close, in: tail)) {
                guard let place = PythonStrings.find(close, in: tail) else { break }
                let end = place + close.utf8.count
                try renderer.charge(bytes: tail.utf8.count)
                middle += String(decoding: tail.utf8.prefix(end), as: UTF8.self)
                tail = String(decoding: tail.utf8.dropFirst(end), as: UTF8.self)
            }
        }
        return head + link(middle) + tail
    }

    private func link(_ text: String) -> String {
        func anchor(_ address: String, _ shown: String, _ attributes: String = "") -> String {
            "<a href=\"\(address)\"\(attributes)>\(shown)</a>"
        }
        if WebAddress.isOne(text) {
            let hasScheme = text.hasPrefix("https://") || text.hasPrefix("http://")
            return anchor(hasScheme ? text : "https://" + text, shortened(text), attributes)
        }
        if text.hasPrefix("mailto:"), WebAddress.isMail(String(text.dropFirst(7))) {
            return anchor(text, String(text.dropFirst(7)))
        }
        let isBare = !text.hasPrefix("www.") && !text.hasPrefix("@") && !text.utf8.contains(UInt8(ascii: ":"))
        if isBare, WebAddress.isMail(text) { return anchor("mailto:" + text, text) }
        if schemes.contains(where: { text.utf8.count > $0.utf8.count && text.hasPrefix($0) }) {
            return anchor(text, text, attributes)
        }
        return text
    }

    private func shortened(_ text: String) -> String {
        guard let limit, text.unicodeScalars.count > limit else { return text }
        return String(String.UnicodeScalarView(text.unicodeScalars.prefix(max(0, limit)))) + "..."
    }
}

/// The rules for what counts as an address.
private enum WebAddress {
    private typealias Scalars = Substring.UnicodeScalarView

    /// A scheme or `www.` with a name, a name with a common ending, or a scheme with an IP address; perhaps a port and
    /// a path.
    static func isOne(_ text: String) -> Bool {
        let lower = PythonStrings.lower(text)
        let scheme = ["https://", "http://", "www."].first { lower.hasPrefix($0) } ?? ""
        let rest = Substring(lower).unicodeScalars.dropFirst(scheme.utf8.count)
        let host = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        if scheme.hasPrefix("http"), host.first == "[", let close = host.lastIndex(of: "]") {
            let address = host[..<close].dropFirst()
            return address.allSatisfy { $0 == ":" || $0.properties.isASCIIHexDigit }
                && address.count { $0 == ":" } >= 2 && isPort(host[close...].dropFirst())
        }
        let name = host.prefix { $0 != ":" }
        guard isPort(host[name.endIndex...]) else { return false }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard let last = parts.last, parts.allSatisfy({ !$0.isEmpty && $0.allSatisfy(isNamed) }) else { return false }
        if scheme.hasPrefix("http"), parts.count == 4, parts.allSatisfy({ $0.count <= 3 && $0.allSatisfy(isDigit) }) {
            return true
        }
        let isEnding = (2...63).contains(last.count)
        if !scheme.isEmpty {
            return isEnding
                && (last.allSatisfy { ("a"..."z").contains($0) } || last.starts(with: "xn--".unicodeScalars))
        }
        let common = ["com", "net", "int", "edu", "gov", "org", "info", "mil"]
        return parts.count > 1 && common.contains(String(last))
            && parts.dropLast().allSatisfy { (2...63).contains($0.count) }
    }

    private static func isDigit(_ sign: Unicode.Scalar) -> Bool { ("0"..."9").contains(sign) }

    private static func isNamed(_ sign: Unicode.Scalar) -> Bool {
        PythonText.isWord(sign) || sign == "%" || sign == "-"
    }

    private static func isPort(_ text: Scalars) -> Bool {
        guard text.first == ":" else { return text.isEmpty }
        return (2...6).contains(text.count) && text.dropFirst().allSatisfy(isDigit)
    }

    /// `name@domain.ending`.
    static func isMail(_ text: String) -> Bool {
        let scalars = Substring(text).unicodeScalars
        guard let at = scalars.lastIndex(of: "@"), at > scalars.startIndex else { return false }
        let domain = scalars[at...].dropFirst()
        let parts = domain.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count > 1, let last = parts.last, !last.isEmpty, let first = domain.first else { return false }
        return PythonText.isWord(first) && last.allSatisfy(PythonText.isWord)
            && domain.allSatisfy { PythonText.isWord($0) || $0 == "." || $0 == "-" }
    }
}
