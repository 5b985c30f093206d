/// A tokenizer that cuts a text into words before n-grams are counted, as in sacreBLEU 2 (Post, arXiv:1804.08771).
///
/// Works on Unicode scalars. The international one asks for general categories, which the standard library knows.
package enum BLEUTokenizer: String, Sendable, CaseIterable {
    /// mteval-v13a's: the usual one.
    case thirteenA = "13a"
    /// mteval-v14's international one.
    case international = "intl"
    /// Each scalar is a word.
    case characters = "char"
    /// The text is tokenized already.
    case none

    /// The words of a line.
    package func words(_ line: String) -> [[UInt8]] {
        let scalars = Array(line.unicodeScalars)
        return switch self {
        case .thirteenA: BLEUTokenizer.split(BLEUTokenizer.thirteenA(scalars))
        case .international: BLEUTokenizer.split(BLEUTokenizer.international(scalars))
        case .characters: BLEUTokenizer.split(BLEUTokenizer.spaced(scalars))
        case .none: BLEUTokenizer.split(scalars)
        }
    }

    private static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        // Python's str.split also takes the separators 0x1C … 0x1F.
        scalar.properties.isWhitespace || (0x1C...0x1F).contains(scalar.value)
    }

    private static func split(_ scalars: [Unicode.Scalar]) -> [[UInt8]] {
        scalars.split(whereSeparator: isSpace).map { word in word.flatMap { Array(UTF8.encode($0) ?? .init()) } }
    }

    private static func spaced(_ scalars: [Unicode.Scalar]) -> [Unicode.Scalar] { scalars.flatMap { [$0, " "] } }

    // MARK: - 13a

    private static func thirteenA(_ line: [Unicode.Scalar]) -> [Unicode.Scalar] {
        var text = replacing(line, "<skipped>", with: "")
        text = replacing(text, "-\n", with: "")
        text = replacing(text, "\n", with: " ")
        if text.contains("&") {
            text = replacing(text, "&quot;", with: "\"")
            text = replacing(text, "&amp;", with: "&")
            text = replacing(text, "&lt;", with: "<")
            text = replacing(text, "&gt;", with: ">")
        }
        text = [" "] + text + [" "]
        text = text.flatMap { isSeparated($0) ? [" ", $0, " "] : [$0] }
        text = pairs(text, { !isDigit($0) }, isPointOrComma) { [$0, " ", $1, " "] }
        text = pairs(text, isPointOrComma, { !isDigit($0) }) { [" ", $0, " ", $1] }
        return pairs(text, isDigit, { $0 == "-" }) { [$0, " ", $1, " "] }
    }

    /// The class [\{-\~\[-\` -\&\(-\+\:-\@\/].
    private static func isSeparated(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "{"..."~", "["..."`", " "..."&", "("..."+", ":"..."@", "/": true
        default: false
        }
    }

    private static func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }
    private static func isPointOrComma(_ scalar: Unicode.Scalar) -> Bool { scalar == "." || scalar == "," }

    /// Replaces two neighbours that fit, from left to right and without overlap, as a regular expression would.
    private static func pairs(
        _ text: [Unicode.Scalar], _ first: (Unicode.Scalar) -> Bool, _ second: (Unicode.Scalar) -> Bool,
        _ replacement: (Unicode.Scalar, Unicode.Scalar) -> [Unicode.Scalar]
    ) -> [Unicode.Scalar] {
        var result: [Unicode.Scalar] = []
        result.reserveCapacity(text.count + 16)
        var index = 0
        while index < text.count {
            if index + 1 < text.count, first(text[index]), second(text[index + 1]) {
                result += replacement(text[index], text[index + 1])
                index += 2
            } else {
                result.append(text[index])
                index += 1
            }
        }
        return result
    }

    private static func replacing(_ text: [Unicode.Scalar], _ old: String, with new: String) -> [Unicode.Scalar] {
        let (old, new) = (Array(old.unicodeScalars), Array(new.unicodeScalars))
        var result: [Unicode.Scalar] = []
        var index = 0
        while index < text.count {
            if text[index] == old[0], text[index...].starts(with: old) {
                result += new
                index += old.count
            } else {
                result.append(text[index])
                index += 1
            }
        }
        return result
    }

    // MARK: - International

    private static func international(_ line: [Unicode.Scalar]) -> [Unicode.Scalar] {
        var text = pairs(line, { !isNumber($0) }, isPunctuation) { [$0, " ", $1, " "] }
        text = pairs(text, isPunctuation, { !isNumber($0) }) { [" ", $0, " ", $1] }
        return text.flatMap { isSymbol($0) ? [" ", $0, " "] : [$0] }
    }

    private static func isNumber(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .decimalNumber, .letterNumber, .otherNumber: true
        default: false
        }
    }

    private static func isPunctuation(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
            .finalPunctuation, .otherPunctuation:
            true
        default: false
        }
    }

    private static func isSymbol(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .mathSymbol, .currencySymbol, .modifierSymbol, .otherSymbol: true
        default: false
        }
    }
}
