import MartletJSON
import MartletTokenizers
import Testing

/// Regular expressions of tokenizer.json: what they match, and that no text makes them slow.
struct ExpressionTests {
    /// The words of a text that is split at what `regex` matches.
    private func words(_ regex: String, _ text: String, behavior: String = "Isolated") throws -> [String] {
        let root: JSON = [
            "model": ["type": "WordLevel", "vocab": ["<unk>": 0], "unk_token": "<unk>"],
            "pre_tokenizer": [
                "type": "Split", "pattern": ["Regex": .string(regex)], "behavior": .string(behavior), "invert": false,
            ],
        ]
        let bytes = Array(text.utf8)
        return try Tokenizer(json: root).encoding(of: text).offsets.map {
            String(decoding: bytes[$0.start..<$0.end], as: UTF8.self)
        }
    }

    /// Expected words are those of tokenizers 0.23 (Oniguruma).
    @Test(arguments: [
        ("(a|aa)+$", "baaab", ["baaab"]), ("(a|b|ab)*c", "ababcx", ["ababc", "x"]), ("a|ab", "ab", ["a", "b"]),
        ("a+?b", "aab", ["aab"]), ("a{2,3}", "aaaaa", ["aaa", "aa"]), ("(?>a|ab)c", "abcac", ["abc", "ac"]),
        ("a*+a", "aaa", ["aaa"]), (#"(?<=a)b"#, "abb", ["a", "b", "b"]), (#"(?<!a)b"#, "abb", ["ab", "b"]),
        (#"(?i:straSSe)"#, "xSTRAsse", ["x", "STRAsse"]), (#"(?i)k"#, "\u{212A}x", ["\u{212A}", "x"]),
        (#"\bcat\b"#, "a cat, cats", ["a ", "cat", ", cats"]), (#"[^\S\n]+"#, "a \t\nb", ["a", " \t", "\nb"]),
        (#"[a-z&&[^aeiou]]+"#, "tree", ["tr", "ee"]), (#"\p{Han}+"#, "a東京b", ["a", "東京", "b"]),
        (#"\p{Lu}\p{^L}"#, "aB1", ["a", "B1"]), (#"(?:a*)*b"#, "aab", ["aab"]),
        (#"(?=.*x)a"#, "aaxa", ["a", "a", "xa"]),
        (#"^a"#, "a\na", ["a", "\n", "a"]), (#"a$"#, "a\nba", ["a", "\nb", "a"]), (#"x{0}y"#, "xy", ["x", "y"]),
        (#"\x{1F99C}|[[:digit:]]+"#, "🦜12a", ["🦜", "12", "a"]), (#"(?<n>a)b"#, "abab", ["ab", "ab"]),
    ])
    func wordsAreThoseOfTheReference(_ regex: String, _ text: String, _ expected: [String]) throws {
        #expect(try words(regex, text) == expected, "\(regex)")
    }

    /// Each would take longer than the age of the universe, or the square of the length, by going back alone.
    @Test(arguments: [
        ("(a|aa)+$", "a", "b"), ("(a|b|ab)*c", "ab", "d"), ("(a+)+$", "a", "b"), ("((ab*)c)*d", "abc", "e"),
        (#"\s+$"#, " ", "x"),
        ("a+b", "a", "c"), ("(a*)*b", "a", "c"), ("(?=.*x)a", "a", "y"), ("(?!.*x)b", "a", "y"),
        ("(?>(a|aa)+)c", "a", "d"),
        ("(a?){50}b", "a", "c"), ("(.*)(.*)(.*)(.*)x", "a", "y"), ("(?i)(?:a|A)*b", "aA", "c"),
    ])
    func timeGrowsWithTheTextAlone(_ regex: String, _ part: String, _ end: String) throws {
        let text = String(repeating: part, count: 4_000) + end
        #expect(try words(regex, text).joined() == text)
    }
}
