import Foundation
import MartletTokenizers
import Testing

/// The vocabularies, texts and ids that llama.cpp tests itself with.
@Suite(.enabled(if: RealData.isPresent, "needs the real data"))
struct GGUFGoldenTests {
    @Test(arguments: ["gpt-2", "llama-bpe", "qwen2", "deepseek-llm", "llama-spm", "phi-3", "bert-bge"])
    func idsAreLlamaCpps(_ name: String) throws {
        let path = "tokenizers/llama.cpp-vocab/ggml-vocab-\(name).gguf"
        let tokenizer = try Tokenizer(gguf: RealData.gguf(path))
        let texts = try RealData.text(path + ".inp").components(separatedBy: "\n__ggml_vocab_test__\n")
        let lines = try RealData.text(path + ".out").split(separator: "\n", omittingEmptySubsequences: false)
        #expect(texts.count > 30)
        for (text, line) in zip(texts, lines) {
            let expected = line.split(separator: " ").compactMap { Int32($0) }
            let ids = try tokenizer.encode(text, addSpecialTokens: false)
            #expect(ids == expected, "\(name): \(text.debugDescription)")
        }
    }
}
