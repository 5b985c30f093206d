/// The patterns of published vocabularies, by their spelling.
enum KnownPatterns {
    static func pattern(_ regex: String) -> (any Pattern)? { table[Array(regex.utf8)] }

    private static let table: [[UInt8]: any Pattern] = {
        var table: [[UInt8]: any Pattern] = [:]
        func add(_ spelling: String, _ pattern: any Pattern) { table[Array(spelling.utf8)] = pattern }

        add(#"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#, GPT2Pattern())
        add(#"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"#, GPT2Pattern())
        add(#"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#, GPT2Pattern())
        add(#"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"#, GPT2Pattern())

        let contractions = ["(?i:'s|'t|'re|'ve|'m|'ll|'d)", "'(?i:[sdmt]|ll|ve|re)"]
        for (digits, spelling) in [(3, #"\p{N}{1,3}"#), (1, #"\p{N}"#), (Int.max, #"\p{N}+"#), (2, #"\p{N}{1,2}"#)] {
            for contraction in contractions {
                add(
                    contraction + #"|[^\r\n\p{L}\p{N}]?\p{L}+|"# + spelling
                        + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#, CL100KPattern(digits: digits))
                add(
                    contraction + #"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|"# + spelling
                        + #"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
                    CL100KPattern(digits: digits, wordsHoldMarks: true))
            }
        }
        add(
            #"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"#,
            CL100KPattern(digits: 3, keepsTrailingBlanks: true))
        add(
            #"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"#,
            CL100KPattern(digits: 3))
        add(
            #"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"#,
            CL100KPattern(digits: 1))
        add(
            #"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
            CL100KPattern(digits: 1, keepsContractions: false))
        add(SeedCoderPattern.spelling, SeedCoderPattern())
        add(Jais2Pattern.spelling, Jais2Pattern())
        add(SpacedWordsPattern.spelling, SpacedWordsPattern())
        add(NewlineRunsPattern.spelling, NewlineRunsPattern())
        for (spelling, rule) in DigitGroupsPattern.spellings { add(spelling, DigitGroupsPattern(rule: rule)) }
        add(O200KPattern.spelling, O200KPattern())
        add(O200KPattern.tekkenSpelling, O200KPattern(keepsContractions: false, digits: 1))
        add(O200KPattern.youtuSpelling, O200KPattern(digits: 1))
        add(O200KPattern.kimiSpelling, O200KPattern(partsHan: true))
        add(DeepSeek3Pattern.spelling, DeepSeek3Pattern())
        add(DeepSeek3Pattern.sparkSpelling, DeepSeek3Pattern(partsNewlines: true))
        return table
    }()
}
