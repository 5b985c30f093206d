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

    @Test func whatGGUFHasNoNameForIsRefused() throws {
        let file = try RealData.json("weights/all-MiniLM-L6-v2/tokenizer.json")
        #expect(throws: TokenizerError.self) { try GGUFVocabulary(tokenizerJSON: file, count: 30_522) }
    }
}
