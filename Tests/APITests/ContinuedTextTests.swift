import MartletAPI
import MartletJSON
import MartletTokenizers
import Testing

/// Answers that go on within a text.
@Suite struct ContinuedTextTests {
    /// SentencePiece's decoder, as Llama 2 has it: ▁ is a blank, bytes are tokens, the first blank is dropped.
    private func tokenizer() throws -> Tokenizer {
        let words =
            ["<unk>", "<s>", "</s>"] + (0..<256).map { "<0x" + hexadecimal($0) + ">" } + ["▁Once", "▁a", "▁", "time"]
        var vocabulary = JSONObject()
        for (id, word) in words.enumerated() { vocabulary[word] = .integer(id) }
        let file: JSON = [
            "model": [
                "type": "BPE", "vocab": .object(vocabulary), "merges": [], "byte_fallback": true, "unk_token": "<unk>",
            ],
            "decoder": [
                "type": "Sequence",
                "decoders": [
                    ["type": "Replace", "pattern": ["String": "▁"], "content": " "], ["type": "ByteFallback"],
                    ["type": "Fuse"], ["type": "Strip", "content": " ", "start": 1, "stop": 0],
                ],
            ],
            "added_tokens": [
                [
                    "id": 1, "content": "<s>", "special": true, "normalized": false, "single_word": false,
                    "lstrip": false, "rstrip": false,
                ]
            ],
        ]
        return try Tokenizer(json: file.serialized())
    }

    private func hexadecimal(_ byte: Int) -> String {
        let text = String(byte, radix: 16, uppercase: true)
        return text.utf8.count < 2 ? "0" + text : text
    }

    private let once: Int32 = 259
    private let a: Int32 = 260
    private let blank: Int32 = 261
    private let time: Int32 = 262

    private func bytes(_ text: String) -> [Int32] { text.utf8.map { Int32($0) + 3 } }

    private func text(_ answer: [Int32], after prompt: [Int32]) throws -> String {
        var stream = ContinuedText(try tokenizer(), after: prompt)
        return try answer.reduce("") { $0 + (try stream.append($1)) } + stream.finish()
    }

    @Test func theFirstBlankIsTheAnswers() throws {
        #expect(try text([a, blank, time], after: [1, once]) == " a time")
        #expect(try text([a], after: []) == "a")
        // Behind what is no text, the answer begins it.
        #expect(try text([a], after: [1]) == "a")
    }

    /// The end of a prompt that the decoder has not decided on yet is no part of the answer.
    @Test func thePromptsEndIsNotTheAnswers() throws {
        #expect(try text([a], after: [once] + bytes("🐦")) == " a")
        #expect(try text(bytes("é") + [a], after: [once] + bytes("🐦")) == "é a")
        #expect(try text([a], after: [once] + bytes("🐦🐦")) == " a")
    }

    /// A character that the prompt began and the answer ends is whole in the answer.
    @Test func charactersThatThePromptBeganAreWhole() throws {
        let bird = bytes("🐦")
        #expect(try text(Array(bird[2...]) + [a], after: [once] + bird[..<2]) == "🐦 a")
    }
}
