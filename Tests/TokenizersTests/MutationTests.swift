import MartletJSON
import MartletTemplates
import MartletTokenizers
import TestSupport
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

    @Test(arguments: [0, 1, 2]) func tokenizerJSON(_ index: Int) throws {
        try Self.run(TokenizerSeeds.json[index], seed: UInt64(index + 1)) { try Tokenizer(json: $0) }
    }

    @Test(arguments: [1, 2, 3, 4]) func sentencePieceModels(_ kind: UInt8) throws {
        try Self.run(TokenizerSeeds.sentencePiece(kind), seed: UInt64(kind) + 10) { try Tokenizer(sentencePiece: $0) }
    }

    @Test func tiktokenRanks() throws {
        try Self.run(TokenizerSeeds.tiktoken, seed: 21) { try Tokenizer(tiktoken: $0, encoding: .cl100k) }
    }

    @Test func vocabularyText() throws {
        try Self.run(TokenizerSeeds.vocabulary, seed: 22) { try Tokenizer(vocabularyText: $0) }
    }

    @Test func mergesText() throws {
        let (vocabulary, merges) = (TokenizerSeeds.pairs, TokenizerSeeds.merges)
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
