import MartletTokenizers
import Testing

/// The tokens that end a text: those that a GGUF numbers, and those with the spelling of an end, as llama.cpp has them.
@Suite struct GGUFEndTests {
    private func ends(_ tokens: [(String, GGUFVocabulary.TokenType)], end: Int32? = nil) throws -> [Int32] {
        var vocabulary = GGUFVocabulary(model: "llama", tokens: ByteStrings(tokens.map { Array($0.0.utf8) }))
        vocabulary.scores = tokens.map { _ in 0 }
        vocabulary.types = tokens.map(\.1.rawValue)
        vocabulary.endID = end
        return try Tokenizer(gguf: vocabulary).specialTokens.ends
    }

    /// Gemma's files number `<eos>`, and its turns end by another token.
    @Test func turnsEndBySpelling() throws {
        #expect(
            try ends(
                [
                    ("<pad>", .control), ("<eos>", .control), ("<bos>", .control), ("<unk>", .unknown),
                    ("<start_of_turn>", .control), ("<end_of_turn>", .userDefined), ("<|end|>", .normal),
                ], end: 1) == [1, 5, 6])
    }

    @Test func textIsNoEnd() throws {
        #expect(try ends([("<unk>", .unknown), ("</s>", .normal), ("<eos>", .normal), ("end", .control)]) == [])
    }

    /// Models of code begin a file or a repository where the middle of a text is at its end.
    @Test func middlesEndBySpelling() throws {
        #expect(
            try ends(
                [
                    ("<unk>", .unknown), ("<|fim_pad|>", .control), ("<|fim_middle|>", .control),
                    ("<|repo_name|>", .control), ("<|file_sep|>", .control), ("<PAD>", .normal),
                ]) == [1, 3, 4])
    }

    /// Harmony's messages end by `<|end|>`, its turns by two others.
    @Test func partsOfTurnsAreNoEnds() throws {
        #expect(
            try ends(
                [
                    ("<unk>", .unknown), ("<|end|>", .control), ("<|return|>", .control), ("<|call|>", .control),
                ], end: 2) == [2, 3])
        #expect(
            try ends([("<unk>", .unknown), ("</s>", .control), ("<|tool_response>", .control), ("<turn|>", .control)])
                == [2, 3])
    }
}
