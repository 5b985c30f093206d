/// The pre-tokenizers that GGUF files name, each as the list of patterns that llama.cpp applies one after the other.
/// Where its spelling only approximates the published `tokenizer.json` (letters' case, possessive repetition), the
/// published one stands here.
struct GGUFPreTokenizer: Sendable {
    /// The alphabet that the tokens are spelled in.
    enum Tokens: Sendable {
        /// GPT-2's names of bytes.
        case bytes
        /// Text; what is no token is spelled by tokens of bytes, `<0x41>`.
        case text
        /// Text with U+2581 for spaces; what is no token is spelled by tokens of bytes, and a run of newlines that is a
        /// token is that token.
        case textWithSign
    }

    let patterns: [String]
    var tokens = Tokens.bytes
    var matchesWholeWords = false
    var addsBeginning = false
    var addsSeparator = false

    /// A split for each pattern.
    func splits() throws(TokenizerError) -> [any PreTokenizer] {
        var splits: [any PreTokenizer] = []
        for pattern in patterns {
            splits.append(
                SplitPreTokenizer(pattern: try FilePattern(regex: pattern), behavior: .isolated, inverted: false))
        }
        return splits
    }
}

extension GGUFVocabulary {
    /// The regular expression of a `tokenizer.ggml.pre` that splits by one alone, such as `llama-bpe`.
    package static func pattern(named name: String) -> String? {
        guard let found = GGUFPreTokenizers.find(name), found.patterns.count == 1 else { return nil }
        return found.patterns[0]
    }
}

/// The expressions of llama.cpp's pre-tokenizers, by the names that `tokenizer.ggml.pre` has.
enum GGUFPreTokenizers {
    static let gpt2 = #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
    private static let llama3 =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    private static let qwen2 =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    /// The letters with case, as Unicode 12 had them.
    private static let deepSeekLetters = #"""
        \s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\#
        \x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\#
        \x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\#
        \x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\#
        \x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\#
        \x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\#
        \x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\#
        \x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\#
        \x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\#
        \x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\#
        \x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\#
        \x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\#
        \x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\#
        \x{1E900}-\x{1E943}]+
        """#

    private static let deepSeek3 = DeepSeek3Pattern.spelling
    private static let ideographs = "[一-龥぀-ゟ゠-ヿ]+"
    private static let digits3 = #"\p{N}{1,3}"#

    private static let table: [(names: [String], tokenizer: GGUFPreTokenizer)] = [
        (["default"], GGUFPreTokenizer(patterns: [#"[\p{P}\$\+<=>\^~\|]+"#, gpt2, #"\p{N}+"#, "[0-9][0-9][0-9]"])),
        (
            [
                "gpt-2", "gpt2", "phi-2", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "gigachat", "a.x-4.0",
                "mellum",
                "exaone4", "mpt", "olmo", "jais", "trillion", "granite-docling", "modern-bert",
            ], GGUFPreTokenizer(patterns: [gpt2])
        ),
        (["roberta-bpe", "jina-v1-en", "jina-v2-code"], GGUFPreTokenizer(patterns: [gpt2], addsSeparator: true)),
        (
            ["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"],
            GGUFPreTokenizer(patterns: [llama3], matchesWholeWords: true, addsBeginning: true)
        ),
        (["dbrx", "smaug-bpe", "glm4", "chatglm-bpe"], GGUFPreTokenizer(patterns: [llama3])),
        (
            [
                "qwen2", "deepseek-r1-qwen", "kormo", "stablelm2", "hunyuan", "megrez", "grok-2", "f2llmv2",
                "solar-open",
            ],
            GGUFPreTokenizer(patterns: [qwen2])
        ),
        (
            ["deepseek-llm"],
            GGUFPreTokenizer(patterns: [
                #"[\r\n]"#, deepSeekLetters, #"\s?[!-/:-~！-／：-～‘-‟　-。]+"#, #"\s+$"#, #"[一-龥ࠀ-一가-퟿]+"#, #"\p{N}+"#,
            ])
        ),
        (
            ["deepseek-coder"],
            GGUFPreTokenizer(patterns: [#"[\r\n]"#, #"\s?\p{L}+"#, #"\s?\p{P}+"#, #"[一-龥ࠀ-一가-퟿]+"#, #"\p{N}"#])
        ),
        (
            ["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"],
            GGUFPreTokenizer(patterns: [digits3, ideographs, deepSeek3])
        ),
        (
            ["spark2_5"],
            GGUFPreTokenizer(patterns: [digits3, ideographs, DeepSeek3Pattern.sparkSpelling, #"\p{N}"#])
        ),
        (
            ["afmoe"],
            GGUFPreTokenizer(patterns: [
                #"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))"#,
                "[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+", deepSeek3,
            ])
        ),
        (
            ["youtu"],
            // One expression of four sets there; as they share no scalar, one after the other is the same.
            GGUFPreTokenizer(
                patterns: [
                    "[가-힣ㄱ-ㆎ]+", "[！…“”‘’—：；，、-〿︰-﹏]+", "[ㄅ-ㄯ]+", ideographs, O200KPattern.youtuSpelling,
                ], matchesWholeWords: true)
        ),
        (
            ["starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"],
            GGUFPreTokenizer(patterns: [#"\p{N}"#, gpt2])
        ),
        (["falcon"], GGUFPreTokenizer(patterns: [#"[\p{P}\$\+<=>\^~\|`]+"#, gpt2, "[0-9][0-9][0-9]"])),
        (["poro-chat", "bloom", "gpt3-finnish"], GGUFPreTokenizer(patterns: [#" ?[^(\s|.,!?…。，、।۔،)]+"#])),
        (["viking"], GGUFPreTokenizer(patterns: [#" ?[^(\s|.,!?…。，、।۔،)]+"#, #"\p{N}"#])),
        (
            ["tekken"],
            GGUFPreTokenizer(patterns: [O200KPattern.tekkenSpelling], matchesWholeWords: true, addsBeginning: true)
        ),
        (
            ["bailingmoe", "bailingmoe2", "llada-moe"],
            GGUFPreTokenizer(patterns: [
                #"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"#
            ])
        ),
        (["seed-coder"], GGUFPreTokenizer(patterns: [SeedCoderPattern.spelling])),
        (["gpt-4o", "llama4", "minimax-m2", "kanana2", "talkie"], GGUFPreTokenizer(patterns: [O200KPattern.spelling])),
        (["granite-embed-multi-97m"], GGUFPreTokenizer(patterns: [O200KPattern.spelling], matchesWholeWords: true)),
        (
            ["tiny_aya", "cohere2moe"],
            GGUFPreTokenizer(patterns: [#"\d{1,3}(?=(?:\d{3})*\b)"#, O200KPattern.spelling])
        ),
        (["kimi-k2"], GGUFPreTokenizer(patterns: [O200KPattern.kimiSpelling])),
        (["superbpe"], GGUFPreTokenizer(patterns: [#"\p{N}+"#, #"(?=(\d{3})+(?!\d))"#])),
        (
            ["chameleon"],
            GGUFPreTokenizer(
                patterns: [
                    "<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", #"([\t\n]|    |  )"#, #"\p{N}"#,
                    #"[\p{P}!-/:-@\[-`{-~]"#, gpt2,
                ], addsBeginning: true)
        ),
        (
            ["qwen35"],
            GGUFPreTokenizer(patterns: [
                #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
            ])
        ),
        (
            ["minicpm5"],
            GGUFPreTokenizer(
                patterns: [
                    digits3,
                    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
                ], matchesWholeWords: true)
        ),
        (
            ["ufakzeka"],
            GGUFPreTokenizer(patterns: [
                #"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
            ])
        ),
        (["jais-2"], GGUFPreTokenizer(patterns: [Jais2Pattern.spelling])),
        (["exaone-moe"], GGUFPreTokenizer(patterns: [SpacedWordsPattern.spelling])),
        (["laguna"], GGUFPreTokenizer(patterns: [NewlineRunsPattern.spelling, qwen2])),
        (
            ["gemma4", "granite-embed-multi-311m", "sarvam-moe"],
            GGUFPreTokenizer(patterns: [NewlineRunsPattern.spelling], tokens: .textWithSign)
        ),
        (["whitespace"], GGUFPreTokenizer(patterns: [#"\s+"#], tokens: .text)),
    ]

    static var names: [String] { table.flatMap(\.names) }

    /// The name of what splits by these patterns.
    static func name(_ patterns: [String], matchesWholeWords: Bool) -> String? {
        let known = table.first { entry in
            entry.tokenizer.matchesWholeWords == matchesWholeWords && entry.tokenizer.tokens == .bytes
                && entry.tokenizer.patterns.count == patterns.count
                && zip(entry.tokenizer.patterns, patterns).allSatisfy { $0.utf8.elementsEqual($1.utf8) }
        }
        // "default" is what readers take for a file that says nothing: the last name to give.
        return known?.names.first { $0 != "default" } ?? known?.names.first
    }

    static func find(_ name: String) -> GGUFPreTokenizer? {
        table.first { $0.names.contains { $0.utf8.elementsEqual(name.utf8) } }?.tokenizer
    }
}
