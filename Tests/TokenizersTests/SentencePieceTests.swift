import MartletFormats
import MartletTokenizers
import TestSupport
import Testing

/// A small model of each kind, with a piece of the user's and without fallback; ids and texts by sentencepiece 0.2.3.
struct SentencePieceTests {
    /// A message of the file: its number, its length, its bytes.
    private static func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] {
        [number << 3 | 2, UInt8(bytes.count & 0x7F) | 0x80, UInt8(bytes.count >> 7)] + bytes
    }

    private static func piece(_ text: String, _ score: Float, _ type: UInt8) -> [UInt8] {
        let bytes = (0..<4).map { UInt8(truncatingIfNeeded: score.bitPattern >> (8 * UInt32($0))) }
        return field(1, field(1, Array(text.utf8)) + [0x15] + bytes + [0x18, type])
    }

    private static func tokenizer(kind: UInt8, blankIsSuffix: UInt8 = 0, fallback: UInt8 = 0) throws -> Tokenizer {
        let pieces: [(String, Float, UInt8)] = [
            ("<unk>", 0, 2), ("<s>", 0, 3), ("▁", -3, 1), ("a", -2, 1), ("▁a", -1, 1), ("th", -4, 1), ("e", -5, 1),
            ("h", -6, 1),
            ("t", -7, 1), ("the", 0, 4), ("▁the", -8, 1), ("ab", -9, 1), ("b", -10, 1),
        ]
        var file = pieces.flatMap { piece($0.0, $0.1, $0.2) }
        if fallback == 1 {
            let digits = Array("0123456789ABCDEF")
            for byte in 0..<256 { file += piece("<0x\(digits[byte >> 4])\(digits[byte & 15])>", 0, 6) }
        }
        file += field(2, [0x18, kind, 0xC0, 1, blankIsSuffix, 0x98, 2, fallback])
        return try Tokenizer(sentencePiece: file + field(3, [0x18, 1, 0x20, 1, 0x28, 1]))
    }

    private static let texts = ["the thea  xya ab", "a xx yy", "xthex", "tthe <s> a", "the", "▁▁a", " "]

    private static let expected: [UInt8: ([[Int32]], [String])] = [
        1: (
            [
                [2, 9, 2, 9, 3, 2, 0, 3, 4, 12], [4, 2, 0, 2, 0], [2, 0, 9, 0], [2, 8, 9, 2, 0, 4], [2, 9], [2, 2, 4],
                [],
            ], ["the thea  ⁇ a ab", "a  ⁇   ⁇ ", " ⁇ the ⁇ ", "tthe  ⁇  a", "the", "a", ""]
        ),
        3: (
            [[10, 0], [4, 0], [0], [0, 4], [10], [2, 2, 4], []],
            ["the ⁇ ", "a ⁇ ", " ⁇ ", " ⁇  a", "the", "a", ""]
        ),
        4: (
            [
                [2, 9, 2, 9, 3, 2, 0, 3, 2, 3, 12], [2, 3, 2, 0, 2, 0], [2, 0, 9, 0], [2, 8, 9, 2, 0, 2, 3], [2, 9],
                [2, 2, 2, 3], [],
            ], ["the thea  ⁇ a ab", "a  ⁇   ⁇ ", " ⁇ the ⁇ ", "tthe  ⁇  a", "the", "a", ""]
        ),
    ]

    @Test(arguments: [UInt8(1), 2, 3, 4]) func idsAndTexts(_ kind: UInt8) throws {
        let tokenizer = try Self.tokenizer(kind: kind)
        // BPE gives the same here as Unigram.
        let (ids, decoded) = try #require(Self.expected[kind == 2 ? 1 : kind])
        for (index, text) in Self.texts.enumerated() {
            #expect(try tokenizer.encode(text) == ids[index], "\(text)")
            #expect(try tokenizer.encoding(of: text).ids == ids[index], "\(text)")
            #expect(try tokenizer.decode(ids[index]) == decoded[index], "\(text)")
        }
    }

    /// Text that spells a control or unknown piece is unknown.
    @Test func controlPiecesAreNotFoundInText() throws {
        let tokenizer = try Self.tokenizer(kind: 3, blankIsSuffix: 1)
        for (text, ids) in [("<s> a", [0, 4, 2]), ("<unk> a", [0, 4, 2]), ("the <s>", [9, 0, 2])] as [(String, [Int32])]
        {
            #expect(try tokenizer.encode(text) == ids, "\(text)")
        }
    }

    /// A piece of the user's counts 0.1 for each byte but the first, whatever its score and the others'.
    @Test(arguments: [(Float(-0.7), [1, 2, 6]), (-0.5, [1, 5, 4])] as [(Float, [Int32])])
    func scoreOfUserDefinedPieces(_ score: Float, _ ids: [Int32]) throws {
        let pieces: [(String, Float, UInt8)] = [
            ("<unk>", 0, 2), ("▁", -1, 1), ("c", -1, 1), ("a", -1, 1), ("b", score, 1), ("ca", -0.3, 1), ("ab", -9, 4),
        ]
        let file = pieces.flatMap { Self.piece($0.0, $0.1, $0.2) } + Self.field(2, [0x18, 1])
        let normalizer = Self.field(3, [0x18, 1, 0x20, 1, 0x28, 1])
        #expect(try Tokenizer(sentencePiece: file + normalizer).encode("cab") == ids)
    }

    @Test(arguments: [UInt8(1), 2]) func blanksAsSuffixes(_ kind: UInt8) throws {
        let tokenizer = try Self.tokenizer(kind: kind, blankIsSuffix: 1)
        let ids: [Int32] = [9, 2, 9, 3, 2, 0, 3, 4, 12, 2]
        #expect(try tokenizer.encode(Self.texts[0]) == ids)
        #expect(try tokenizer.decode(ids) == "the thea  ⁇ a ab ")
        #expect(try tokenizer.decode([2, 2, 4]) == "a")
    }

    @Test func bytesStandForWhatIsUnknown() throws {
        let tokenizer = try Self.tokenizer(kind: 2, fallback: 1)
        #expect(try tokenizer.encode("a xx yy") == [4, 2, 133, 133, 2, 134, 134])
        #expect(try tokenizer.encode("xthex") == [2, 133, 9, 133])
    }

    /// Words that are cut at joints and remembered give what the whole text gives, as ``Tokenizer/encoding(of:)`` finds
    /// it.
    @Test(arguments: [UInt8(1), 2]) func jointsChangeNothing(_ kind: UInt8) throws {
        let tokenizer = try Self.tokenizer(kind: kind)
        var random = SeededRandom(seed: 3)
        let parts = ["a", "b", "t", "h", "e", "the", " ", "  ", "x", "▁", "é", "日", "ab"]
        for _ in 0..<2_000 {
            let text = (0..<(1 + random.below(40))).map { _ in parts[random.below(parts.count)] }.joined()
            #expect(try tokenizer.encode(text) == tokenizer.encoding(of: text).ids, "\(text)")
        }
    }

    /// Runs `body` with the tokenizer of a folder that holds a model of byte pairs with these pieces of the user's.
    private static func inFolder(
        _ own: [String], settings: String = "{}", type: UInt8 = 4, _ body: (String) throws -> Void
    ) throws {
        let pieces: [(String, Float, UInt8)] = [("<unk>", 0, 2), ("<s>", 0, 3), ("▁", -1, 1), ("a", -1, 1)]
        let file = (pieces + own.map { ($0, 0, type) }).flatMap { piece($0.0, $0.1, $0.2) }
        try TemporaryFolder.use { folder in
            let model = file + field(2, [0x18, 2]) + field(3, [0x18, 1, 0x20, 1, 0x28, 1])
            try writeFile(model, to: folder + "/tokenizer.model")
            try writeFile(Array(settings.utf8), to: folder + "/tokenizer_config.json")
            try body(folder)
        }
    }

    /// More pieces of the user's than an expression may have branches.
    @Test func manyUserDefinedPieces() throws {
        try Self.inFolder((0..<3_000).map { "*u\($0)" }) { folder in
            let text = "a *u12 *u2999a"
            let ids: [Int32] = [2, 3, 2, 16, 2, 3_003, 3]
            for path in [folder, folder + "/tokenizer.model"] {
                let tokenizer = try Tokenizer(path: path)
                #expect(try tokenizer.encode(text) == ids, "\(path)")
            }
        }
    }

    /// The unknown piece is known by its type, though an added token of its number renames it.
    @Test func renamedUnknownPiece() throws {
        let settings = #"{"added_tokens_decoder": {"0": {"content": "<oov>", "special": true}}}"#
        try Self.inFolder([], settings: settings) { folder in
            let tokenizer = try Tokenizer(path: folder)
            #expect(try tokenizer.encode("x") == [2, 0])
        }
    }

    /// A piece whose merges would be looked for at too many cuts.
    @Test func longPiecesAreRefused() throws {
        for (length, isRefused) in [(1_024, false), (1_025, true)] {
            try Self.inFolder([String(repeating: "a", count: length)], type: 1) { folder in
                if isRefused {
                    #expect(throws: TokenizerError.self) { try Tokenizer(path: folder) }
                } else {
                    #expect(throws: Never.self) { try Tokenizer(path: folder) }
                }
            }
        }
    }
}
