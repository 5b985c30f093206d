import Foundation
import MartletJSON
import MartletTokenizers
import Testing

/// Ids and texts by Hugging Face tokenizers, sentencepiece and tiktoken over 62 texts, and digests over whole corpora.
@Suite(.enabled(if: RealData.isPresent, "needs the real data"))
struct ReferenceGoldenTests {
    private func check(
        _ name: String, _ tokenizer: Tokenizer, addSpecialTokens: Bool, parseSpecialTokens: Bool = true
    ) throws {
        let goldens = try RealData.json("goldens/tokenizer-encodings.json")
        let encoder = try #require(goldens["encoders"]?[name])
        let texts = try #require(goldens["texts"]?.strings)
        let ids = try #require(encoder["ids"]?.arrayValue)
        let decoded = encoder["decoded"]?.strings ?? []
        #expect(texts.count == 62)
        for (index, text) in texts.enumerated() {
            let expected = ids[index].ids
            #expect(
                try tokenizer.encode(
                    text, addSpecialTokens: addSpecialTokens, parseSpecialTokens: parseSpecialTokens) == expected,
                "\(name): \(text.debugDescription)")
            if index < decoded.count {
                let text = try tokenizer.decode(expected, skipSpecialTokens: false)
                #expect(
                    text.utf8.elementsEqual(decoded[index].utf8),
                    "\(name): \(text.debugDescription) for \(decoded[index].debugDescription)")
            }
        }
    }

    @Test func roberta() throws {
        let tokenizer = try Tokenizer(json: RealData.bytes("tokenizers/hf/roberta-base/tokenizer.json"))
        try check("hf/roberta-base", tokenizer, addSpecialTokens: true)
    }

    @Test func t5() throws {
        let tokenizer = try Tokenizer(json: RealData.bytes("tokenizers/hf/t5-small/tokenizer.json"))
        try check("hf/t5-small", tokenizer, addSpecialTokens: true)
    }

    @Test func miniLM() throws {
        let tokenizer = try Tokenizer(json: RealData.bytes("weights/all-MiniLM-L6-v2/tokenizer.json"))
        try check("weights/all-MiniLM-L6-v2", tokenizer, addSpecialTokens: true)
    }

    @Test(arguments: ["albert-spiece", "llama2-tokenizer", "test_model"])
    func sentencePiece(_ name: String) throws {
        let tokenizer = try Tokenizer(sentencePiece: RealData.bytes("tokenizers/sentencepiece/\(name).model"))
        try check("sentencepiece/\(name).model", tokenizer, addSpecialTokens: false)
    }

    @Test(arguments: [TiktokenEncoding.r50k, .cl100k])
    func tiktoken(_ encoding: TiktokenEncoding) throws {
        let bytes = try RealData.bytes("tokenizers/tiktoken/\(encoding.rawValue).tiktoken")
        let tokenizer = try Tokenizer(tiktoken: bytes, encoding: encoding)
        try check("tiktoken/\(encoding.rawValue)", tokenizer, addSpecialTokens: false, parseSpecialTokens: false)
    }

    @Test func stories() throws {
        let tokenizer = try Tokenizer(json: RealData.bytes("weights/stories260K/tokenizer.json"))
        let encodings = try #require(RealData.json("goldens/stories260K/numerics.json")["encodings"]?.arrayValue)
        #expect(!encodings.isEmpty)
        for encoding in encodings {
            let text = try #require(encoding["text"]?.stringValue)
            #expect(try tokenizer.encode(text) == encoding["ids"]?.ids, "\(text.debugDescription)")
        }
    }
}
