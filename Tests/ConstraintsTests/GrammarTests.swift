import MartletConstraints
import MartletGeneration
import TestSupport
import Testing

/// The verdict on a text: one of the constraint's, whole or only begun, or none.
enum Verdict: Equatable { case whole, begun, none }

/// A vocabulary of single bytes.
private let bytes = ConstraintVocabulary(bytes: (0..<256).map { [UInt8($0)] } + [nil], count: 257)

private func masks(_ constraint: OutputConstraint) throws -> ConstraintMasks {
    try ConstraintMasks(constraint.compiled(), bytes, bytes: { $0 < 256 ? [UInt8($0)] : nil })
}

func verdict(_ constraint: OutputConstraint, _ text: String) throws -> Verdict {
    var state = GrammarConstraint(try masks(constraint), stopTokens: [256])
    for byte in text.utf8 {
        guard !state.isFinished, try state.mask()[Int32(byte)] else { return .none }
        state.append(Int32(byte))
    }
    return try state.isFinished || state.mask()[256] ? .whole : .begun
}

/// A text that is drawn byte by byte from what may come; it may end where it can.
func drawn(_ constraint: OutputConstraint, _ seed: UInt64, ending: Int = 20) throws -> [UInt8] {
    var random = SplitMix(state: seed)
    var state = GrammarConstraint(try masks(constraint), stopTokens: [256])
    var text: [UInt8] = []
    while text.count < 20_000 {
        if state.isFinished { return text }
        let mask = try state.mask()
        if mask[256], mask.count == 1 || Int.random(in: 0..<100, using: &random) < ending { return text }
        let allowed = (0..<Int32(256)).filter { mask[$0] }
        let byte = try #require(allowed.randomElement(using: &random))
        state.append(byte)
        text.append(UInt8(byte))
    }
    Issue.record("the text does not end")
    return text
}

extension GrammarConstraint {
    fileprivate func mask() throws -> TokenMask { try #require(try allowed()) }
}

@Suite struct GrammarTests {
    static let expressions: [(pattern: String, whole: [String], begun: [String], none: [String])] = [
        ("abc", ["abc"], ["ab"], ["abd", "abcd"]),
        ("a|bc", ["a", "bc"], ["b"], ["c", "ab"]),
        ("a*b+c?", ["b", "aabbc"], ["aa", ""], ["c", "ac"]),
        ("(ab){2,3}", ["abab", "ababab"], ["ab", "aba"], ["ababababab"]),
        ("x{2}", ["xx"], ["x"], ["xxx"]),
        ("x{2,}", ["xx", "xxxxx"], ["x"], ["y"]),
        ("[a-cx]", ["a", "c", "x"], [""], ["d", "-"]),
        ("[^a-c]", ["d", "é", "😀"], [""], ["a"]),
        ("\\d{4}-\\d\\d", ["2026-11"], ["2026"], ["x"]),
        ("\\w+\\s", ["ab_1 "], ["ab"], ["-"]),
        ("[é-ü]+", ["éü"], [""], ["a", "ý"]),
        (".", ["€"], [""], ["\n"]),
        ("(?:a|b)(?<n>c)", ["ac"], ["b"], ["c"]),
        ("\\u00e9\\x41\\u{1F600}", ["éA😀"], ["é"], ["e"]),
        ("^ab$", ["ab"], ["a"], ["^ab"]),
        ("a\\.b\\$", ["a.b$"], ["a."], ["axb"]),
        ("a+?b*?", ["a", "aab"], [""], ["b"]),
    ]

    @Test(arguments: expressions)
    func regularExpressions(_ pattern: String, _ whole: [String], _ begun: [String], _ none: [String]) throws {
        let constraint = OutputConstraint.regularExpression(pattern)
        for text in whole { #expect(try verdict(constraint, text) == .whole, "\(pattern) \(text)") }
        for text in begun { #expect(try verdict(constraint, text) == .begun, "\(pattern) \(text)") }
        for text in none { #expect(try verdict(constraint, text) == .none, "\(pattern) \(text)") }
    }

    @Test(arguments: [
        "(?=a)b", "(?<!a)b", "\\bword\\b", "(a)\\1", "a(b", "a)b", "[a", "a{3,2}", "*a", "a{99999}", "a**", "x\\",
    ])
    func whatIsNotSupportedIsNamed(_ pattern: String) {
        let error = #expect(throws: ConstraintError.self) { try OutputConstraint.regularExpression(pattern).compiled() }
        #expect(error?.place.contains("scalar") == true)
    }

    /// UTF-8 ranges against all scalars around the edges.
    @Test func scalarsAreWholeUTF8() throws {
        let edges: [UInt32] = [0, 0x7F, 0x80, 0x7FF, 0x800, 0xFFF, 0x1000, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF]
        for low in [0x41, 0x7F, 0x3B1, 0x7FF, 0xD7FF, 0xFFFE] as [UInt32] {
            let constraint = OutputConstraint.regularExpression("[\\u{\(String(low, radix: 16))}-\\u{103FF}]")
            let around: [UInt32] = edges.flatMap { [$0, $0 &+ 1, $0 &- 1] } + [low, low - 1, 0x103FF, 0x10400]
            for value in around {
                guard let scalar = Unicode.Scalar(value) else { continue }
                let expected = (low...0x103FF).contains(scalar.value)
                #expect(
                    try (verdict(constraint, String(String.UnicodeScalarView([scalar]))) == .whole) == expected,
                    "\(low) \(scalar.value)")
            }
        }
    }

    @Test func grammarsInGBNF() throws {
        let arithmetic = OutputConstraint.grammar(
            """
            # sums of products
            root ::= term ([-+] term)*
            term ::= factor
              | factor "*" term
            factor ::= [0-9]{1,3} | "(" root ")" # nested
            """)
        for text in ["1", "12+3*4", "(1+2)*3", "((7))"] { #expect(try verdict(arithmetic, text) == .whole, "\(text)") }
        for text in ["1+", "((1)", "2*("] { #expect(try verdict(arithmetic, text) == .begun, "\(text)") }
        for text in ["+1", "1234", "1)", "()"] { #expect(try verdict(arithmetic, text) == .none, "\(text)") }
        let escapes = OutputConstraint.grammar("root ::= \"\\\"\\n\\x41\" [^\\]\\-a]? .")
        #expect(try verdict(escapes, "\"\nAb€") == .whole && verdict(escapes, "\"\nA]") == .whole)
    }

    @Test(arguments: [
        "root ::= other", "root ::= root \"a\" | \"b\"", "root ::= a root\na ::= \"x\"?", "root = \"a\"",
        "root ::= \"a",
        "root ::= [a", "root ::= (\"a\"", "root ::= \"a\" )", "root ::= \"a\"\nroot ::= \"b\"", "a ::= \"b\"",
        "root ::= a{20000}\na ::= \"b\"", "root ::= \"\\q\"",
    ])
    func grammarsThatAreNone(_ text: String) {
        #expect(throws: ConstraintError.self) { try OutputConstraint.grammar(text).compiled() }
    }

    /// Compiling stays within bounds whatever is asked.
    @Test func hostileGrammars() {
        for pattern in [
            "((((a{100}){100}){100}){100})", "(a|b|[c-z]){9000}{1}", String(repeating: "(", count: 500) + "a",
        ] {
            #expect(throws: ConstraintError.self) { try OutputConstraint.regularExpression(pattern).compiled() }
        }
        // Nesting ends where calls may not be deeper, not in a trap.
        let nested = OutputConstraint.grammar("root ::= \"(\" root \")\" | \"x\"")
        #expect(throws: Never.self) { try verdict(nested, String(repeating: "(", count: 60)) == .begun }
        #expect(throws: Never.self) { try verdict(nested, String(repeating: "(", count: 200)) == .none }
    }

    @Test func aConstraintThatNoTextFitsIsRefused() {
        for constraint: OutputConstraint in [
            .schema("false"), .schema(#"{"enum": []}"#), .regularExpression(#"[^\u{0}-\u{10FFFF}]"#),
        ] {
            #expect(throws: ConstraintError.self, "\(constraint)") { try masks(constraint) }
        }
    }

    /// Exponentially many derivations are few states.
    @Test func ambiguityIsNoHarm() throws {
        let constraint = OutputConstraint.regularExpression("(a|a)*(a|aa)*(a*)*b")
        #expect(try verdict(constraint, String(repeating: "a", count: 3_000) + "b") == .whole)
    }

    @Test func masksOfTokensAreThoseOfTheirBytes() throws {
        let tokens =
            ["a", "ab", "abc", "b", "bc", "c", "ca", "", "é", "\u{C3}", "xyz", "ab"].map { Array($0.utf8) } + [
                [0xC3], [0xA9],
            ]
        let vocabulary = ConstraintVocabulary(bytes: tokens + [nil], count: 20)
        for pattern in ["(ab|bc)*c?", "é+", "a.*"] {
            let grammar = try OutputConstraint.regularExpression(pattern).compiled()
            let shared = try ConstraintMasks(
                grammar, vocabulary, bytes: { Int($0) < tokens.count ? tokens[Int($0)] : nil })
            for begun: [Int32] in [[], [0], [1], [1, 4]] {
                var state = GrammarConstraint(shared, stopTokens: [14])
                for token in begun { state.append(token) }
                guard let mask = try? state.mask() else { continue }
                for token in tokens.indices {
                    var next = state
                    next.append(Int32(token))
                    let continues = (next.isFinished || (try? next.mask()) != nil) && !tokens[token].isEmpty
                    #expect(mask[Int32(token)] == continues, "\(pattern) \(begun) \(token)")
                }
                #expect(!mask[15] && !mask[19])
            }
        }
    }

    @Test func forcedRunsAreJumpedOver() throws {
        let tokens: [[UInt8]] = ["{", "\"na", "me", "\":", "name", "\"", "1", "2", "}", " "].map { Array($0.utf8) }
        let vocabulary = ConstraintVocabulary(bytes: tokens, count: 11)
        let grammar = try OutputConstraint.regularExpression("\\{\"name\":[12]\\}").compiled()
        let shared = try ConstraintMasks(
            grammar, vocabulary, bytes: { Int($0) < tokens.count ? tokens[Int($0)] : nil },
            encode: { _ in [0, 1, 2, 3] })
        var state = GrammarConstraint(shared, stopTokens: [10])
        #expect(try state.forcedTokens() == [0, 1, 2])
        for token: Int32 in [0, 1, 2, 3] { state.append(token) }
        #expect(try state.forcedTokens() == [])
        #expect(try state.mask().count == 2)
        for token: Int32 in [6, 8] { state.append(token) }
        #expect(try state.isFinished && state.mask()[10])
    }
}
