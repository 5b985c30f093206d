/// The pre-tokenizers that GGUF files name, each as the list of patterns that llama.cpp applies one after the other.
struct GGUFPreTokenizer: Sendable {
    let patterns: [String]
    var matchesWholeWords = false
    var addsBeginning = false

    /// A split for each pattern.
    func splits() throws(TokenizerError) -> [any PreTokenizer] {
        var splits: [any PreTokenizer] = []
        for pattern in patterns {
            splits.append(SplitPreTokenizer(pattern: try FilePattern(regex: pattern), behavior: .isolated, inverted: false))
        }
        return splits
    }
}

enum GGUFPreTokenizers {
    static let gpt2 = #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
    private static let llama3 =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    private static let qwen2 =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    private static let deepSeekLetters =
        #"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+"#

    private static let table: [(names: [String], tokenizer: GGUFPreTokenizer)] = [
        (["default", "gpt-2", "gpt2", "phi-2", "roberta-bpe", "jina-es", "jina-de", "mpt", "olmo", "gigachat", "exaone4"],
            GGUFPreTokenizer(patterns: [gpt2])),
        (["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"],
            GGUFPreTokenizer(patterns: [llama3], matchesWholeWords: true, addsBeginning: true)),
        (["dbrx", "smaug-bpe"], GGUFPreTokenizer(patterns: [llama3])),
        (["qwen2", "deepseek-r1-qwen", "kormo", "stablelm2", "hunyuan"], GGUFPreTokenizer(patterns: [qwen2])),
        (["deepseek-llm"],
            GGUFPreTokenizer(patterns: [
                #"[\r\n]"#, deepSeekLetters, #"\s?[!-/:-~！-／：-～‘-‟　-。]+"#, #"\s+$"#, #"[一-龥ࠀ-一가-퟿]+"#, #"\p{N}+"#,
            ])),
        (["deepseek-coder"],
            GGUFPreTokenizer(patterns: [#"[\r\n]"#, #"\s?\p{L}+"#, #"\s?\p{P}+"#, #"[一-龥ࠀ-一가-퟿]+"#, #"\p{N}"#])),
        (["starcoder", "refact", "command-r", "smollm", "codeshell"], GGUFPreTokenizer(patterns: [#"\p{N}"#, gpt2])),
        (["falcon"],
            GGUFPreTokenizer(patterns: [#"[\p{P}\$\+<=>\^~\|`]+"#, gpt2, #"[0-9][0-9][0-9]"#])),
    ]

    static var names: [String] { table.flatMap(\.names) }

    /// The name of what splits by these patterns.
    static func name(_ patterns: [String], matchesWholeWords: Bool) -> String? {
        let known = table.first { entry in
            entry.tokenizer.matchesWholeWords == matchesWholeWords && entry.tokenizer.patterns.count == patterns.count
                && zip(entry.tokenizer.patterns, patterns).allSatisfy { $0.utf8.elementsEqual($1.utf8) }
        }
        // "default" is what readers take for a file that says nothing.
        return known?.names.first { $0 != "default" }
    }

    static func find(_ name: String) -> GGUFPreTokenizer? {
        table.first { $0.names.contains { $0.utf8.elementsEqual(name.utf8) } }?.tokenizer
    }
}
