import Foundation
import MartletJSON
import MartletTokenizers
import Testing

/// The options of a vocabulary that is learnt.
struct TrainerOptionTests {
    private static let lines = ["one two three, \"one\" two", "Ärger über Öl, one two three"]

    private func trained(_ kind: TokenizerTrainer.Kind, _ size: Int, _ set: (inout TokenizerTrainer) -> Void = { _ in })
        throws -> TokenizerTrainer.Result
    {
        var trainer = TokenizerTrainer(kind, vocabularySize: size)
        trainer.threads = 1
        set(&trainer)
        return try trainer.train(texts: TrainerOptionTests.lines)
    }

    private func vocabulary(_ result: TokenizerTrainer.Result) -> [String] {
        (0..<result.tokenizer.vocabularySize).compactMap { result.tokenizer.token(Int32($0)) }
    }

    /// The unknown token is the one that is called so, wherever it stands: T5's order begins with padding.
    @Test(arguments: [TokenizerTrainer.Kind.bytePair, .unigram])
    func theUnknownTokenIsNotTheFirst(_ kind: TokenizerTrainer.Kind) throws {
        let result = try trained(kind, 60) { $0.specialTokens = ["<pad>", "</s>", "<unk>"] }
        let ids = try result.tokenizer.encode("ж")
        #expect(ids.contains(2) && !ids.contains(0), "\(ids)")
        let chosen = try trained(kind, 60) {
            ($0.specialTokens, $0.unknownToken) = (["<pad>", "<what>"], "<what>")
        }
        #expect(try chosen.tokenizer.encode("ж").contains(1))
        #expect(throws: TrainingError.self) { try trained(kind, 60) { $0.unknownToken = "<none>" } }
    }

    /// One piece, one id.
    @Test(arguments: [TokenizerTrainer.Kind.bytePair, .unigram, .wordPiece])
    func specialTokensStandOnce(_ kind: TokenizerTrainer.Kind) throws {
        let unknown = kind == .wordPiece ? "[UNK]" : "<unk>"
        let result = try trained(kind, 70) { $0.specialTokens = [unknown, "\"", unknown, "\"", "<x>"] }
        let all = vocabulary(result)
        #expect(Set(all).count == all.count && Array(all.prefix(3)) == [unknown, "\"", "<x>"], "\(all)")
        #expect(try result.tokenizer.encode("\"").filter { $0 == 1 }.count == 1)
    }

    /// A vocabulary that does not hold the letters is refused, in every kind.
    @Test(arguments: TokenizerTrainer.Kind.allCases)
    func vocabulariesBelowTheAlphabetAreRefused(_ kind: TokenizerTrainer.Kind) throws {
        let error = #expect(throws: TrainingError.self) { try trained(kind, 12) }
        #expect(error?.description.contains("too small") == true, "\(String(describing: error))")
    }

    @Test(arguments: [TokenizerTrainer.Kind.bytePair, .unigram])
    func alphabetsAreLimited(_ kind: TokenizerTrainer.Kind) throws {
        let limited = vocabulary(try trained(kind, 60) { $0.alphabetLimit = 5 })
        #expect(limited.filter { $0.unicodeScalars.count == 1 }.count == 5)
        let covered = vocabulary(try trained(kind, 60) { $0.characterCoverage = 0.9 })
        #expect(!covered.contains("Ä") && covered.contains("e"))
        let seeded = vocabulary(
            try trained(kind, 60) { ($0.alphabetLimit, $0.seedAlphabet) = (5, "жÄ") })
        #expect(kind == .unigram || seeded.contains("ж") && seeded.contains("Ä"))
    }

    @Test(arguments: [TokenizerTrainer.Kind.bytePair, .unigram])
    func lettersFallBackToBytes(_ kind: TokenizerTrainer.Kind) throws {
        let result = try trained(kind, 320) { $0.fallsBackToBytes = true }
        let text = "one ж 🦜 two"
        #expect(try result.tokenizer.decode(result.tokenizer.encode(text)) == text)
        #expect(result.tokenizer.token(3) == "<0x00>" && result.tokenizer.token(258) == "<0xFF>")
        #expect(throws: TrainingError.self) { try trained(.wordPiece, 300) { $0.fallsBackToBytes = true } }
    }

    @Test(arguments: [TokenizerTrainer.Kind.bytePair, .unigram, .wordPiece])
    func tokensAreNoLongerThanAsked(_ kind: TokenizerTrainer.Kind) throws {
        let result = try trained(kind, 90) { ($0.longestToken, $0.minimumFrequency) = (3, 1) }
        let lengths = vocabulary(result).filter { !$0.hasPrefix("<") && !$0.hasPrefix("[") }.map {
            ($0.hasPrefix("##") ? $0.unicodeScalars.dropFirst(2).count : $0.unicodeScalars.count)
        }
        #expect(lengths.max() == 3)
    }

    @Test func textIsRewrittenFirst() throws {
        let result = try trained(.bytePair, 60) { $0.normalization = [.lowercase, .nfd] }
        #expect(!vocabulary(result).contains { $0.contains("Ä") || $0.contains("O") })
        let again = try Tokenizer(json: result.tokenizer.json())
        #expect(try again.encode("ÖL") == result.tokenizer.encode("öl"))
    }

    @Test func malformedTextIsCounted() throws {
        var trainer = TokenizerTrainer(.byteLevelBytePair, vocabularySize: 300)
        trainer.threads = 1
        #expect(try trainer.train(texts: ["one two \u{FFFD}"]).malformed == 0)
    }

    /// A file without lines is no text, however long it goes on; lines of the length allowed are.
    @Test func linesHaveALength() throws {
        var settings = TokenizerTrainer(.byteLevelBytePair, vocabularySize: 260)
        (settings.threads, settings.longestLine) = (1, 1 << 16)
        let trainer = settings
        let line = String(repeating: "one two three ", count: 4_000)
        #expect(try trainer.train(files: [file(line + "\n" + line)]).words > 0)
        let error = #expect(throws: TrainingError.self) { try trainer.train(files: [file(line + line)]) }
        #expect(error?.description.contains("longer than 65536 bytes") == true, "\(String(describing: error))")
        #expect(throws: TrainingError.self) { try trainer.train(files: ["/dev/zero"]) }
    }

    private func file(_ text: String) throws -> String {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-\(UUID().uuidString).txt")
        try Data(text.utf8).write(to: path)
        return path.path
    }

    /// A word without an end costs time by its length alone.
    @Test(arguments: [TokenizerTrainer.Kind.wordPiece, .bytePair])
    func longWordsAreLearntInParts(_ kind: TokenizerTrainer.Kind) throws {
        var random = SeededRandom(seed: 3)
        let letters = Array("abcdefghijklmnop".unicodeScalars)
        var word = String.UnicodeScalarView()
        for _ in 0..<60_000 { word.append(letters[random.below(letters.count)]) }
        var trainer = TokenizerTrainer(kind, vocabularySize: 400)
        trainer.threads = 1
        #expect(try trainer.train(texts: [String(word)]).tokenizer.vocabularySize == 400)
    }
}
