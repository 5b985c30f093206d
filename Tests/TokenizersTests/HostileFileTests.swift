import MartletJSON
import MartletTokenizers
import Testing

/// The published crashers of other libraries, and files that ask for too much.
struct HostileFileTests {
    private func bpe(_ vocabulary: JSON, _ merges: JSON, _ extra: [(String, JSON)] = []) -> [UInt8] {
        var model: JSONObject = JSONObject()
        model["type"] = "BPE"
        model["vocab"] = vocabulary
        model["merges"] = merges
        for (key, value) in extra { model[key] = value }
        var root = JSONObject()
        root["model"] = .object(model)
        return JSON.object(root).serialized()
    }

    /// tokenizers #2094, #2198: a merge longer than any token, or shorter than the prefix.
    @Test func mergesBeyondTheVocabularyAreRefused() {
        #expect(throws: TokenizerError.self) { try Tokenizer(json: bpe(["a": 0, "b": 1], [["a", "b"]])) }
        #expect(throws: TokenizerError.self) {
            try Tokenizer(json: bpe(["a": 0], [["aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"]]))
        }
        #expect(throws: TokenizerError.self) {
            try Tokenizer(json: bpe(["a": 0, "b": 1], [["a", "b"]], [("continuing_subword_prefix", "####")]))
        }
    }

    @Test func idsBeyondReasonAreRefused() {
        #expect(throws: TokenizerError.self) { try Tokenizer(json: bpe(["a": 2_000_000_000], [])) }
        #expect(throws: TokenizerError.self) { try Tokenizer(json: bpe(["a": -1], [])) }
        #expect(throws: TokenizerError.self) { try Tokenizer(json: bpe(["a": 0, "b": 0], [])) }
    }

    /// llama.cpp #27226: only two hexadecimal digits make a byte token.
    @Test func byteTokensAreReadStrictly() throws {
        let wrong = ["<0x-1>", "<0x+1>", "<0xG0>", "<0x1>", "<0x111>", "<0X11>", "<0x 1>"]
        var vocabulary = JSONObject()
        for (id, token) in (wrong + ["<0x41>", "<0x4a>"]).enumerated() { vocabulary[token] = .integer(id) }
        var root = try #require(JSON(parsing: bpe(.object(vocabulary), [])).objectValue)
        root["decoder"] = ["type": "ByteFallback"]
        let tokenizer = try Tokenizer(json: .object(root))
        for (id, token) in wrong.enumerated() { #expect(try tokenizer.decode([Int32(id)]) == token) }
        #expect(try tokenizer.decode([7, 8]) == "AJ")
    }

    private func withCharsmap(_ base64: String) throws -> Tokenizer {
        var root = try #require(JSON(parsing: bpe(["a": 0], [])).objectValue)
        root["normalizer"] = ["type": "Precompiled", "precompiled_charsmap": .string(base64)]
        return try Tokenizer(json: .object(root))
    }

    /// sentencepiece #1269: a trie that leads out of its bounds.
    @Test func charsmapsAreBounded() throws {
        for broken in ["", "/////wAAAAA=", "!!!!", "AAAA"] {
            #expect(throws: TokenizerError.self, "\(broken)") { try withCharsmap(broken) }
        }
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var random = SeededRandom(seed: 5)
        for _ in 0..<300 {
            // 48 bytes of trie behind their number, then the texts "ab\0c".
            let trie = String((0..<64).map { _ in digits[random.below(64)] })
            let tokenizer = try withCharsmap("MAAAAAAA" + trie.dropFirst(2).dropLast(2) + "YWIAYw==")
            _ = try tokenizer.encode("Hello, wörld \u{1F999}")
        }
    }

    /// sentencepiece #1263: a piece of 100 kB. Also long texts of one kind, in time that grows no faster than they do.
    @Test func longPiecesAndTexts() throws {
        let long = String(repeating: "ab", count: 50_000)
        var vocabulary = JSONObject()
        for (id, token) in ["a", "b", "ab", long].enumerated() { vocabulary[token] = .integer(id) }
        let tokenizer = try Tokenizer(json: bpe(.object(vocabulary), [["a", "b"]]))
        #expect(try tokenizer.encode(long).count == 50_000)
        #expect(try tokenizer.encode(String(repeating: "a", count: 1_000_000)).count == 1_000_000)
        #expect(try tokenizer.encode(String(repeating: "\u{300}", count: 200_000)).isEmpty)
    }

    @Test func deepSequencesAreRefused() {
        let deep =
            String(repeating: #"{"type":"Sequence","normalizers":["#, count: 200) + #"{"type":"NFC"}"#
            + String(repeating: "]}", count: 200)
        let file = #"{"normalizer":"# + deep + #","model":{"type":"BPE","vocab":{},"merges":[]}}"#
        #expect(throws: TokenizerError.self) { try Tokenizer(json: Array(file.utf8)) }
    }

    @Test(arguments: [
        #"(a)\1"#, "(?<=a+)b", "(", "a{2000}", "((((((((((a{9}){9}){9}){9}){9}){9}){9}){9}){9}){9})", "[a",
        #"(?#\"#, "(?<a)b",
    ])
    func expressionsThatCannotBeRunAreRefused(_ regex: String) throws {
        var root = try #require(JSON(parsing: bpe(["a": 0], [])).objectValue)
        root["pre_tokenizer"] = [
            "type": "Split", "pattern": ["Regex": .string(regex)], "behavior": "Isolated", "invert": false,
        ]
        #expect(throws: TokenizerError.self) { try Tokenizer(json: .object(root)) }
    }

    @Test func unknownPreTokenizersAreNamed() {
        let file = GGUFVocabulary(model: "gpt2", pre: "no-such", tokens: [[97]])
        let error = #expect(throws: TokenizerError.self) { try Tokenizer(gguf: file) }
        #expect(error?.description.contains("no-such") == true)
    }

    @Test func brokenSentencePieceFilesAreRefused() {
        var random = SeededRandom(seed: 9)
        for length in 0..<300 {
            let bytes = (0..<length).map { _ in UInt8(random.below(256)) }
            #expect(throws: TokenizerError.self) { try Tokenizer(sentencePiece: bytes) }
            #expect(throws: TokenizerError.self) { try Tokenizer(tiktoken: bytes, encoding: .cl100k) }
        }
    }

    /// Malformed text is replaced as Rust and Python replace it.
    @Test func malformedTextIsRepaired() throws {
        let tokenizer = try Tokenizer(json: bpe(["a": 0, "\u{FFFD}": 1], []))
        #expect(try tokenizer.encode(bytes: [0x61, 0xFF, 0x61]) == [0, 1, 0])
        #expect(try tokenizer.encode(bytes: [0xE2, 0x96, 0x61]) == [1, 0])
        #expect(try tokenizer.encode(bytes: [0xED, 0xA0, 0x80]) == [1, 1, 1])
    }

    @Test func textWithoutATokenIsAnError() throws {
        let file = #"{"model":{"type":"WordLevel","vocab":{"a":0},"unk_token":"<unk>"}}"#
        let tokenizer = try Tokenizer(json: Array(file.utf8))
        #expect(throws: TokenizerError.self) { try tokenizer.encode("b") }
        // Ids beyond the vocabulary decode to nothing, as in the reference.
        #expect(try tokenizer.decode([7]) == "")
    }
}
