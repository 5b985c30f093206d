import Synchronization

/// Any other regular expression, run by the standard library's engine on Unicode scalars.
///
/// That engine backtracks and cannot be interrupted, so an expression that repeats a group which itself repeats without bound
/// (`(a+)+`) is refused: on hostile text it would never end.
final class GeneralPattern: Pattern {
    private let regex: Mutex<Regex<AnyRegexOutput>>

    init(_ spelling: String) throws(TokenizerError) {
        guard spelling.utf8.count <= 10_000 else {
            throw .unsupported(
                source: "regular expression", feature: "an expression of \(spelling.utf8.count) bytes",
                remedy: "the limit is 10,000")
        }
        guard !GeneralPattern.repeatsRepetition(spelling) else {
            throw .unsupported(
                source: "regular expression", feature: "the nested repetition in \(spelling)",
                remedy: "rewrite it without a repeated group that repeats inside")
        }
        do {
            let regex = try Regex(GeneralPattern.withWordsOfReference(spelling)).matchingSemantics(.unicodeScalar)
                .wordBoundaryKind(.simple)
            self.regex = Mutex(regex)
        } catch {
            throw .unsupported(
                source: "regular expression", feature: "the expression \(spelling)",
                remedy: "the engine says: \(error)")
        }
    }

    func matches(in text: Span<UInt8>, into found: inout [Piece]) {
        let string = unsafe text.withUnsafeBufferPointer { unsafe String(decoding: $0, as: UTF8.self) }
        let utf8 = string.utf8
        regex.withLock { regex in
            var last: String.Index?
            for match in string.matches(of: regex) {
                // The reference's engine finds nothing empty right behind a match.
                if match.range.isEmpty, match.range.lowerBound == last { continue }
                last = match.range.upperBound
                found.append(
                    Piece(
                        utf8.distance(from: utf8.startIndex, to: match.range.lowerBound),
                        utf8.distance(from: utf8.startIndex, to: match.range.upperBound)))
            }
        }
    }

    /// The expression with `\w` and `\W` spelled out: the reference's engine does not count joiners among them.
    private static func withWordsOfReference(_ spelling: String) -> String {
        let items = #"\p{Alphabetic}\p{M}\p{Nd}\p{Pc}²³¹¼½¾"#
        var (result, escaped, inBrackets) = ("", false, 0)
        for scalar in spelling.unicodeScalars {
            if escaped {
                escaped = false
                switch scalar {
                case "w": result += inBrackets > 0 ? items : "[\(items)]"
                case "W": result += "[^\(items)]"
                default: result += "\\\(scalar)"
                }
                continue
            }
            if scalar == "\\" {
                escaped = true
                continue
            }
            if scalar == "[" { inBrackets += 1 }
            if scalar == "]" { inBrackets = max(0, inBrackets - 1) }
            result.unicodeScalars.append(scalar)
        }
        return escaped ? result + "\\" : result
    }

    /// Whether a group followed by `*`, `+` or `{n,}` holds one of them outside of brackets.
    private static func repeatsRepetition(_ spelling: String) -> Bool {
        let bytes = Array(spelling.utf8)
        var open: [Bool] = []
        var (index, inBrackets) = (0, 0)
        func isUnbounded(_ at: Int) -> Bool {
            guard at < bytes.count else { return false }
            switch bytes[at] {
            case UInt8(ascii: "*"), UInt8(ascii: "+"): return true
            case UInt8(ascii: "{"):
                guard let close = bytes[at...].firstIndex(of: UInt8(ascii: "}")) else { return false }
                return bytes[close - 1] == UInt8(ascii: ",")
            default: return false
            }
        }
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "\\"): index += 1
            case UInt8(ascii: "["): inBrackets += 1
            case UInt8(ascii: "]"): inBrackets = max(0, inBrackets - 1)
            case UInt8(ascii: "(") where inBrackets == 0: open.append(false)
            case UInt8(ascii: ")") where inBrackets == 0:
                let held = open.popLast() ?? false
                if held && isUnbounded(index + 1) { return true }
                if held, !open.isEmpty { open[open.count - 1] = true }
            default:
                if inBrackets == 0, isUnbounded(index), !open.isEmpty { open[open.count - 1] = true }
            }
            index += 1
        }
        return false
    }
}
