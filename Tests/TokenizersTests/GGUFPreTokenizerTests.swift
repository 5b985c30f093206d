import Foundation
import MartletJSON
import MartletTokenizers
import Testing

/// Pieces of texts by the pre-tokenizers that GGUF files name: by the regex module with the published patterns
/// (`Tools/cross-check/tokenizers/pretokenizers.py --fixture`).
struct GGUFPreTokenizerTests {
    private static let fixture: JSON? = {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        return try? JSON(contentsOf: folder.appendingPathComponent("Fixtures/tokenizers/pretokenizers.json").path)
    }()

    static let names = (fixture?["starts"]?.objectValue?.members ?? []).map { $0.0 }

    @Test func fixtureIsThere() { #expect(Self.names.count == 22) }

    @Test(arguments: names)
    func words(_ name: String) throws {
        let texts = try #require(Self.fixture?["texts"]?.strings)
        let expected = try #require(Self.fixture?["starts"]?[name]?.arrayValue)
        let tokenizer = try Tokenizer(gguf: GGUFVocabulary(model: "gpt2", pre: name, tokens: Self.byteNames))
        for (text, starts) in zip(texts, expected) {
            let encoding = try tokenizer.encoding(of: text, addSpecialTokens: false)
            var found: [JSON] = []
            for index in encoding.ids.indices where index == 0 || encoding.words[index] != encoding.words[index - 1] {
                found.append(.integer(encoding.offsets[index].start))
            }
            #expect(JSON.array(found) == starts, "\(name): \(text.debugDescription)")
        }
    }

    /// A run of digits is cut in one pass: a lookahead that counts them would take the square of its length.
    @Test(arguments: ["superbpe", "tiny_aya", "afmoe", "jais-2"])
    func longRuns(_ name: String) throws {
        let tokenizer = try Tokenizer(gguf: GGUFVocabulary(model: "gpt2", pre: name, tokens: Self.byteNames))
        let text = String(repeating: "7", count: 100_001) + String(repeating: " ", count: 100_000)
        #expect(try tokenizer.encode(text, addSpecialTokens: false).count == 200_001)
    }

    /// Tokens that spell text: a sign for spaces, bytes for what is no token, and newlines that are a token without any
    /// merge.
    @Test func textTokens() throws {
        var file = GGUFVocabulary(
            model: "gemma4",
            tokens: ByteStrings(["a", "b", "ab", "▁", "▁ab", "\n", "\n\n", "<0xC3>", "<0xA9>"].map { Array($0.utf8) }))
        file.merges = ByteStrings(["a b", "▁ ab"].map { Array($0.utf8) })
        let tokenizer = try Tokenizer(gguf: file)
        let ids: [Int32] = [4, 4, 5, 7, 8, 6, 2]
        #expect(try tokenizer.encode(" ab ab\né\n\nab") == ids)
        #expect(try tokenizer.decode(ids) == " ab ab\né\n\nab")
        (file.model, file.pre) = ("gpt2", "whitespace")
        #expect(try Tokenizer(gguf: file).encode("ab b\né") == [2, 1, 5, 7, 8])
    }

    /// Merges make the first of the tokens that are spelled alike, also where the next id is another one of them.
    @Test func firstOfEqualTokens() throws {
        var file = GGUFVocabulary(model: "gpt2", tokens: Self.byteNames)
        for token in ["ab", "bc", "ab", "abc", "cb"] { file.tokens.append(Array(token.utf8)) }
        file.merges = ByteStrings(["b c", "a b", "ab c", "c b"].map { Array($0.utf8) })
        let tokenizer = try Tokenizer(gguf: file)
        #expect(try tokenizer.encode("ab") == [256])
        #expect(try tokenizer.encode("bcb") == [257, 98])
        #expect(try tokenizer.encode("abc") == [97, 257])
        #expect(try tokenizer.encode("cb") == [260])
    }

    /// Readers with both ends put a separator between two texts, as RoBERTa and XLM-R; writers begin anew.
    @Test func pairs() throws {
        var file = GGUFVocabulary(
            model: "gpt2", pre: "roberta-bpe", tokens: ByteStrings(["<s>", "</s>", "a", "b"].map { Array($0.utf8) }))
        file.merges = ByteStrings([])
        (file.beginningID, file.endID, file.separatorID) = (0, 1, 1)
        (file.addsBeginning, file.addsEnd) = (true, true)
        #expect(try Tokenizer(gguf: file).encoding(of: "a", pair: "b").ids == [0, 2, 1, 1, 3, 1])
        (file.separatorID, file.addsEnd) = (nil, false)
        #expect(try Tokenizer(gguf: file).encoding(of: "a", pair: "b").ids == [0, 2, 0, 3])
    }

    /// GPT-2's names of the 256 bytes.
    private static let byteNames: ByteStrings = {
        let shown = Set(33...126).union(161...172).union(174...255)
        var next: UInt32 = 256
        return ByteStrings(
            (0..<256).map { byte in
                let value = shown.contains(byte) ? UInt32(byte) : next
                if !shown.contains(byte) { next += 1 }
                return Array(Unicode.Scalar(value).map { String($0) }?.utf8 ?? "".utf8)
            })
    }()
}
