import MartletTokenizers
import Testing

/// Detokenizing what goes on within a text.
@Suite struct ContinuedTextTests {
    /// SentencePiece's way: blanks are letters of the words that follow them, and a text's first one is dropped.
    private func tokenizer() throws -> Tokenizer {
        let json = #"""
            {"version": "1.0", "added_tokens": [
              {"id": 0, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
               "special": true}],
             "normalizer": null, "pre_tokenizer": null, "post_processor": null,
             "decoder": {"type": "Sequence", "decoders": [
               {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
               {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
             "model": {"type": "BPE", "vocab": {"<s>": 0, "▁a": 1, "▁time": 2, "<0xC3>": 3, "<0xA9>": 4, "b": 5},
               "merges": [], "byte_fallback": true}}
            """#
        return try Tokenizer(json: Array(json.utf8))
    }

    private func text(_ ids: [Int32], after prompt: [Int32]) throws -> String {
        let tokenizer = try tokenizer()
        var text = ContinuedText(tokenizer, after: prompt)
        let written = try ids.reduce(into: "") { $0 += try text.append($1) }
        return written + text.finish()
    }

    @Test func keepsTheFirstBlankWithinAText() throws {
        #expect(try text([2, 1], after: [1]) == " time a")
        #expect(try text([2, 1], after: [0, 5]) == " time a")
        // A text of its own, also where special tokens stand before it.
        #expect(try text([2, 1], after: []) == "time a")
        #expect(try text([2, 1], after: [0]) == "time a")
    }

    @Test func whatThePromptHeldBackIsNotWritten() throws {
        // Bytes of a character wait for the token that ends their run.
        #expect(try text([2], after: [5, 3, 4]) == " time")
        #expect(try text([3, 4, 5], after: [1]) == "éb")
    }
}
