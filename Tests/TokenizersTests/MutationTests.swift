import MartletJSON
import MartletTemplates
import MartletTokenizers
import Testing

/// Ten thousand seeded mutations of each kind of file: a typed error, or a tokenizer that works.
struct MutationTests {
    private static let count = 10_000
    private static let line = "The foxes, it's 12 Straße\u{301} 日本 🦙 <s> [MASK]\n"

    /// One or several changes: bytes flipped, removed, repeated, moved; words that files stumble over put in.
    private static func mutated(_ file: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
        var bytes = file
        for _ in 0...random.below(3) {
            guard !bytes.isEmpty else { return bytes }
            let start = random.below(bytes.count)
            let end = min(bytes.count, start + 1 + random.below(12))
            switch random.below(7) {
            case 0: bytes[start] ^= 1 << UInt8(random.below(8))
            case 1: bytes[start] = UInt8(random.below(256))
            case 2: bytes.removeSubrange(start..<end)
            case 3: bytes.insert(contentsOf: Array(bytes[start..<end]), at: random.below(bytes.count))
            case 4: bytes.removeSubrange(start...)
            case 5: bytes.replaceSubrange(start..<end, with: Array(stumbles[random.below(stumbles.count)].utf8))
            default: bytes.insert(contentsOf: Array(stumbles[random.below(stumbles.count)].utf8), at: start)
            }
        }
        return bytes
    }

    private static let stumbles = [
        "-1", "4294967296", "9223372036854775807", "1e999", "null", "\"\"", "{}", "[]", "true", "\u{0}", "\u{FFFD}",
        "NaN",
        "[[[[", "]", "}", ",", ":", "\\u0000", "\\ud800", "<0xFF>", "##", "▁", "{{", "}}", "{%", "%}", "-%}", "|", "(",
        "loop.",
    ]

    /// Loads each mutation, and where it loads encodes a line and decodes what came of it.
    private static func run(_ file: [UInt8], seed: UInt64, _ load: ([UInt8]) throws -> Tokenizer) throws {
        var random = SeededRandom(seed: seed)
        var loaded = 0
        for _ in 0..<count {
            do {
                let tokenizer = try load(mutated(file, &random))
                loaded += 1
                let ids = try tokenizer.encode(line)
                _ = try tokenizer.decode(ids)
                _ = try tokenizer.encoding(of: line, pair: "a")
            } catch is TokenizerError {
            }
        }
        // Neither all the same nor nothing left of the file.
        #expect(loaded > 10 && loaded < count)
    }

    private static func json(_ stages: String, _ model: String) -> [UInt8] {
        let added =
            #"[{"id":0,"content":"<s>","single_word":false,"lstrip":true,"rstrip":false,"normalized":false,"special":true}]"#
        return Array(#"{"version":"1.0","added_tokens":\#(added),\#(stages),"model":\#(model)}"#.utf8)
    }

    private static let files: [[UInt8]] = [
        json(
            #""normalizer":{"type":"Sequence","normalizers":[{"type":"NFKC"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},"pre_tokenizer":{"type":"Split","pattern":{"Regex":"\\p{L}+|\\d"},"behavior":"Isolated","invert":false},"decoder":{"type":"Sequence","decoders":[{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}"#,
            #"{"type":"BPE","unk_token":"<u>","fuse_unk":true,"byte_fallback":true,"vocab":{"<s>":0,"<u>":1,"a":2,"b":3,"ab":4,"e":5,"<0xC3>":6,"▁":7,"ae":8},"merges":[["a","b"],"a e"]}"#
        ),
        json(
            #""pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true},"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}],"special_tokens":{"<s>":{"id":"<s>","ids":[0],"tokens":["<s>"]}}}"#,
            #"{"type":"Unigram","unk_id":1,"byte_fallback":false,"vocab":[["<s>",0.0],["<u>",0.0],["▁",-2.5],["e",-3.25],["▁the",-1.5]]}"#
        ),
        json(
            ###""normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true},"pre_tokenizer":{"type":"BertPreTokenizer"},"post_processor":{"type":"BertProcessing","sep":["e",4],"cls":["<s>",0]},"decoder":{"type":"WordPiece","prefix":"##","cleanup":true},"truncation":null,"padding":{"strategy":{"Fixed":8},"direction":"Right","pad_id":0,"pad_type_id":0,"pad_token":"<s>","pad_to_multiple_of":null}"###,
            ###"{"type":"WordPiece","unk_token":"<u>","continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":{"<s>":0,"<u>":1,"the":2,"fox":3,"e":4,"##es":5}}"###
        ),
    ]

    @Test(arguments: [0, 1, 2]) func tokenizerJSON(_ index: Int) throws {
        try Self.run(Self.files[index], seed: UInt64(index + 1)) { try Tokenizer(json: $0) }
    }

    /// A message of the file: its number, its length, its bytes.
    private static func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] {
        [number << 3 | 2, UInt8(bytes.count & 0x7F) | 0x80, UInt8(bytes.count >> 7)] + bytes
    }

    private static func sentencePiece(_ kind: UInt8) -> [UInt8] {
        let pieces: [(String, Float, UInt8)] = [
            ("<unk>", 0, 2), ("<s>", 0, 3), ("▁", -3, 1), ("a", -2, 1), ("▁a", -1, 1), ("th", -4, 1), ("e", -5, 1),
            ("h", -6, 1),
            ("t", -7, 1), ("the", -8, 4), ("<0x0A>", 0, 6),
        ]
        var file: [UInt8] = []
        for (piece, score, type) in pieces {
            let bits = score.bitPattern
            let bytes = (0..<4).map { UInt8(truncatingIfNeeded: bits >> (8 * UInt32($0))) }
            file += field(1, field(1, Array(piece.utf8)) + [0x15] + bytes + [0x18, type])
        }
        // The charsmap: a trie of four units, then a text.
        let charsmap: [UInt8] = [16, 0, 0, 0] + [UInt8](repeating: 0x41, count: 16) + Array("x\u{0}".utf8)
        return file + field(2, [0x18, kind, 0x98, 0x02, 1])
            + field(3, field(2, charsmap) + [0x18, 1, 0x20, 1, 0x28, 1])
    }

    @Test(arguments: [1, 2, 3, 4]) func sentencePieceModels(_ kind: UInt8) throws {
        try Self.run(Self.sentencePiece(kind), seed: UInt64(kind) + 10) { try Tokenizer(sentencePiece: $0) }
    }

    @Test func tiktokenRanks() throws {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var file = ""
        for byte in 0..<256 { file += "\(digits[byte >> 2])\(digits[(byte & 3) << 4])== \(byte)\n" }
        for (index, token) in ["dGg=", "ZXM=", "dGhl", "Zm8="].enumerated() { file += "\(token) \(256 + index)\n" }
        try Self.run(Array(file.utf8), seed: 21) { try Tokenizer(tiktoken: $0, encoding: .cl100k) }
    }

    @Test func vocabularyText() throws {
        let file = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\nfox\n##es\n1\n##2\n日\n"
        try Self.run(Array(file.utf8), seed: 22) { try Tokenizer(vocabularyText: $0) }
    }

    @Test func mergesText() throws {
        let vocabulary = Array(#"{"t":0,"h":1,"e":2,"th":3,"the":4,"Ġ":5,"Ġthe":6}"#.utf8)
        let merges = Array("#version: 0.2\nt h\nth e\nĠ the\n".utf8)
        try Self.run(merges, seed: 23) { try Tokenizer(vocabulary: vocabulary, merges: $0) }
        try Self.run(vocabulary, seed: 24) { try Tokenizer(vocabulary: $0, merges: merges) }
    }

    @Test func chatTemplates() throws {
        let template = Array(
            """
            {%- macro line(m, end='\\n') -%}<|{{ m.role }}|>{{ m['content'] | trim }}{{ end }}{%- endmacro -%}
            {%- set ns = namespace(n=0) -%}{% for m in messages if m.role != 'tool' %}{% set ns.n = ns.n + 1 %}{{ line(m, end=' ') }}
            {%- if loop.last and not m.content[1:3] %}{{ m | tojson(indent=2) }}{% elif loop.index0 % 2 == 1 %}{{ "%02d" % ns.n }}
            {%- else %}{{ messages[:-1] | map(attribute='role') | join(',') }}{% endif %}{% endfor %}{{ raise_exception('x') if ns.n > 9 }}
            """.utf8)
        let messages: JSON = [["role": "user", "content": " a b "], ["role": "assistant", "content": "c"]]
        var random = SeededRandom(seed: 25)
        var limits = ChatTemplate.Limits()
        limits.steps = 20_000
        limits.outputBytes = 1 << 16
        var rendered = 0
        for _ in 0..<Self.count {
            let source = String(decoding: Self.mutated(template, &random), as: UTF8.self)
            do throws(TemplateError) {
                let text = try ChatTemplate(source).render(messages: messages, limits: limits)
                #expect(text.utf8.count <= limits.outputBytes)
                rendered += 1
            } catch {
                #expect(!error.description.isEmpty)
            }
        }
        #expect(rendered > Self.count / 100 && rendered < Self.count)
    }
}
