import Foundation
import MartletJSON
import MartletTokenizers
import Testing

/// A GGUF's vocabulary as `tokenizer.json` and back: the same ids at every step.
@Suite(.enabled(if: RealData.isPresent, "needs the real data"))
struct GGUFVocabularyJSONTests {
    @Test(arguments: ["gpt-2", "llama-bpe", "qwen2", "deepseek-llm", "llama-spm", "phi-3"])
    func idsStayTheSame(_ name: String) throws {
        let path = "tokenizers/llama.cpp-vocab/ggml-vocab-\(name).gguf"
        let vocabulary = try RealData.gguf(path)
        let json = try vocabulary.tokenizerJSON()
        let again = try GGUFVocabulary(tokenizerJSON: json, count: vocabulary.tokens.count)
        #expect(again.model == vocabulary.model)
        if vocabulary.model == "gpt2" {
            #expect(again.tokens == vocabulary.tokens)
            #expect(again.merges == vocabulary.merges)
            #expect(again.addsBeginning == (vocabulary.addsBeginning ?? (name == "llama-bpe")))
        }
        let (fromJSON, fromAgain) = (try Tokenizer(json: json), try Tokenizer(gguf: again))
        let texts = try RealData.text(path + ".inp").components(separatedBy: "\n__ggml_vocab_test__\n")
        let lines = try RealData.text(path + ".out").split(separator: "\n", omittingEmptySubsequences: false)
        for (text, line) in zip(texts, lines) {
            let expected = line.split(separator: " ").compactMap { Int32($0) }
            #expect(try fromJSON.encode(text, addSpecialTokens: false) == expected, "\(name): \(text.debugDescription)")
            #expect(
                try fromAgain.encode(text, addSpecialTokens: false) == expected,
                "\(name), again: \(text.debugDescription)")
        }
    }

    /// BERT's WordPiece and T5's unigrams: the ids of the file, of its GGUF, and of what that says as JSON.
    @Test(arguments: [
        ("weights/all-MiniLM-L6-v2/tokenizer.json", 30_522, "bert"),
        ("tokenizers/hf/t5-small/tokenizer.json", 32_128, "t5"),
    ])
    func wordPieceAndUnigramsStayTheSame(_ path: String, _ count: Int, _ model: String) throws {
        let file = try RealData.json(path)
        let vocabulary = try GGUFVocabulary(tokenizerJSON: file, count: count)
        #expect(vocabulary.model == model && vocabulary.tokens.count == count)
        let (original, gguf) = (try Tokenizer(json: file), try Tokenizer(gguf: vocabulary))
        let again = try Tokenizer(json: vocabulary.tokenizerJSON())
        let texts = try RealData.text("corpora/tinyshakespeare/input.txt").split(separator: "\n").prefix(1_000)
        for text in texts.map(String.init) + Self.odd {
            let expected = try original.encode(text)
            #expect(try gguf.encode(text) == expected, "GGUF: \(text.debugDescription)")
            #expect(try again.encode(text) == expected, "again: \(text.debugDescription)")
            #expect(try gguf.decode(expected) == again.decode(expected))
        }
    }

    private static let odd = [
        "", " ", "  two  blanks ", "naïve café, ÀÉÎ", "日本語 text", "ﬁne ½ x² ™", "</s> and <extra_id_3>", "[MASK] it",
        "tab\tnew\nline", "🙂 done", "a\u{301}b", "1,234.5%", "don't", "\u{a0}nbsp",
    ]

    @Test func whatGGUFHasNoNameForIsRefused() throws {
        var file = try #require(RealData.json("weights/all-MiniLM-L6-v2/tokenizer.json").objectValue)
        file["normalizer"] = ["type": "BertNormalizer", "lowercase": false]
        #expect(throws: TokenizerError.self) { try GGUFVocabulary(tokenizerJSON: .object(file), count: 30_522) }
        file["model"] = ["type": "WordLevel", "vocab": ["a": 0]]
        #expect(throws: TokenizerError.self) { try GGUFVocabulary(tokenizerJSON: .object(file), count: 30_522) }
    }
}
