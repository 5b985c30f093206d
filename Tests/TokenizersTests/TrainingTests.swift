import Foundation
import MartletJSON
import MartletTokenizers
import Testing

struct TrainingTests {
    private static let lines = [
        "the quick brown fox jumps over the lazy dog, the end.", "they're there then; this is theirs, 12 times 345!",
        "Zażółć gęślą jaźń — Straße, 今日は世界 🦙🦙 the the the",
    ]

    private func train(_ kind: TokenizerTrainer.Kind, _ size: Int, threads: Int) throws -> Tokenizer {
        var trainer = TokenizerTrainer(kind, vocabularySize: size)
        trainer.threads = threads
        return try trainer.train(texts: TrainingTests.lines).tokenizer
    }

    @Test(arguments: TokenizerTrainer.Kind.allCases)
    func textsComeBack(_ kind: TokenizerTrainer.Kind) throws {
        let tokenizer = try train(kind, 320, threads: 1)
        #expect(tokenizer.vocabularySize <= 320)
        for line in TrainingTests.lines {
            let text = try tokenizer.decode(tokenizer.encode(line))
            guard kind != .wordPiece else { continue }
            #expect(text.utf8.elementsEqual(line.utf8), "\(kind)")
        }
    }

    /// Merges by Hugging Face's trainer over the same lines (vocabulary 300, frequency 2, alphabet of bytes).
    @Test func mergesAreTheReferences() throws {
        let tokenizer = try train(.byteLevelBytePair, 300, threads: 1)
        let merges = try #require(tokenizer.json()["model"]?["merges"]?.arrayValue).map {
            $0.strings.joined(separator: " ")
        }
        #expect(merges == TrainingTests.expected)
    }

    private static let expected = [
        "t h", "th e", "Ġ the", "a Å", "i s", "r e", "¦ Ļ", "ð Ł", "Ġ j", "ðŁ ¦Ļ",
    ]

    @Test func vocabulariesDoNotDependOnThreads() throws {
        let text = String(repeating: TrainingTests.lines.joined(separator: "\n") + "\n", count: 1000)
        for kind in TokenizerTrainer.Kind.allCases {
            var trainer = TokenizerTrainer(kind, vocabularySize: 330)
            trainer.threads = 1
            let one = try trainer.train(texts: [text]).tokenizer.json()
            trainer.threads = 3
            #expect(try trainer.train(texts: [text]).tokenizer.json() == one, "\(kind)")
        }
    }

    /// Under a limit far below the need, counts and the learner's tables lie in temporary files: the vocabulary is the
    /// same.
    @Test(arguments: TokenizerTrainer.Kind.allCases)
    func memoryLimitsChangeNothing(_ kind: TokenizerTrainer.Kind) throws {
        var random = SeededRandom(seed: 8)
        let letters = Array("etaoinshrdlu".unicodeScalars)
        var text = ""
        for word in 0..<40_000 {
            for _ in 0...random.below(7) { text.unicodeScalars.append(letters[random.below(letters.count)]) }
            text += word % 12 == 11 ? "\n" : " "
        }
        var trainer = TokenizerTrainer(kind, vocabularySize: 400)
        trainer.threads = 2
        let whole = try trainer.train(texts: [text])
        trainer.memoryLimit = 1 << 20
        let limited = try trainer.train(texts: [text])
        #expect(try limited.tokenizer.json() == whole.tokenizer.json())
        #expect(limited.words == whole.words && limited.differentWords == whole.differentWords)
        #expect(whole.words >= 40_000)
    }

    @Test func settingsAreChecked() {
        #expect(throws: TrainingError.self) { try train(.byteLevelBytePair, 10, threads: 1) }
        #expect(throws: TrainingError.noText) { try TokenizerTrainer(.unigram, vocabularySize: 100).train(texts: [""]) }
        #expect(throws: TrainingError.self) {
            try TokenizerTrainer(.unigram, vocabularySize: 100).train(files: ["/nowhere"])
        }
    }
}
