import MartletFormats
import MartletLayers
import MartletPlatform
import MartletTensors
import MartletTokenizers
import MartletTraining
import Testing

/// Byte-level tokens without merges: a token per byte.
func byteTokenizer() throws -> Tokenizer {
    var trainer = TokenizerTrainer(.byteLevelBytePair, vocabularySize: 256)
    trainer.threads = 1
    return try trainer.train(texts: ["abc"]).tokenizer
}

@Suite struct TokenCacheTests {
    private let folder = FolderForTests()

    private func builder(_ tokenizer: Tokenizer, threads: Int = 2) -> TokenCacheBuilder {
        TokenCacheBuilder(
            tokenizer, key: Fingerprint(), beginning: [1], end: [2], folder: folder.path + "/cache",
            on: Device(threads: threads))
    }

    @Test func tokensOfDocuments() throws {
        let tokenizer = try byteTokenizer()
        let path = folder.write("one\ntwo\n\nthree\n", to: "text")
        let cache = try builder(tokenizer).caches(TextFiles([path], .text(.line)))[0]
        #expect(cache.documents == 3)
        let expected = try ["one", "two", "three"].map { [1] + (try tokenizer.encode($0)) + [2] }
        #expect((0..<3).map { cache[cache.start(of: $0)..<cache.start(of: $0 + 1)] } == expected)
        #expect(cache.count == expected.joined().count)
    }

    @Test func threadsChangeNothingAndLongTextsAreWhole() throws {
        let text = (0..<30_000).map { "line \($0 &* 7919)" }.joined(separator: "\n") + "\n"
        let path = folder.write(text, to: "long")
        var trainer = TokenizerTrainer(.byteLevelBytePair, vocabularySize: 400)
        trainer.threads = 1
        let tokenizer = try trainer.train(texts: [String(text.prefix(20_000))]).tokenizer
        let cache = try builder(tokenizer, threads: 3).caches(TextFiles([path], .text(.file)))[0]
        #expect(cache.documents == 1)
        #expect(cache[0..<cache.count] == [1] + (try tokenizer.encode(text)) + [2])
    }

    @Test func knownCachesAreUsedAgainAndDamagedOnesMadeAnew() throws {
        let tokenizer = try byteTokenizer()
        let path = folder.write("abc\n", to: "text")
        let first = try builder(tokenizer).caches(TextFiles([path], .text(.line)))[0]
        _ = folder.write("nothing", to: "cache/" + (first.path.split(separator: "/").last.map(String.init) ?? ""))
        #expect(throws: DataError.self) { try TokenCache(first.path) }
        let again = try builder(tokenizer).caches(TextFiles([path], .text(.line)))[0]
        #expect(again.path == first.path && again.documents == 1)
        _ = folder.write("abd\n", to: "text")
        #expect(try builder(tokenizer).caches(TextFiles([path], .text(.line)))[0].path != first.path)
        #expect(try builder(tokenizer).caches(TextFiles([path], .text(.file)))[0].path != first.path)
    }

    @Test func epochsOfSubwordsDifferAndComeAgain() throws {
        let text = (0..<500).map { "line \($0 &* 7919) of a text that is cut in other words\n" }.joined()
        let path = folder.write(text, to: "subwords")
        var trainer = TokenizerTrainer(.byteLevelBytePair, vocabularySize: 400)
        trainer.threads = 1
        let tokenizer = try trainer.train(texts: [text]).tokenizer
        func tokens(_ epoch: Int, threads: Int = 2) throws -> [Int32] {
            let sampling = TokenCacheBuilder.Sampling(share: 0.2, seed: 3, epoch: epoch)
            let cache = try builder(tokenizer, threads: threads).caches(TextFiles([path], .text(.file)), sampling)[0]
            return Array(cache[1..<cache.count - 1])
        }
        let first = try tokens(0)
        #expect(first.count > (try tokenizer.encode(text)).count)
        #expect(try tokenizer.decode(first) == text)
        let second = try tokens(1)
        #expect(try tokenizer.decode(second) == text && second != first)
        // The first epoch's cache is gone and made again.
        #expect(Folder.names(in: folder.path + "/cache").count == 1)
        #expect(try tokens(0, threads: 3) == first)
    }

    @Test func splitsCutDocuments() throws {
        let tokenizer = try byteTokenizer()
        let path = folder.write("abcdefgh\nijklmnop\n", to: "text")
        let cache = TokenCacheBuilder(
            tokenizer, key: Fingerprint(), folder: folder.path + "/cache", on: Device(threads: 1))
        let view = TokenView(try cache.caches(TextFiles([path], .text(.line))))
        #expect(view.count == 16 && view.documents == 2)
        let (before, after) = view.split(last: 0.25)
        #expect(before.count == 12 && before.documents == 2 && after.count == 4 && after.documents == 1)
        let text = try tokenizer.encode("abcdefghijklmnop")
        #expect(before.tokens(of: 0, 0..<8) + before.tokens(of: 1, 0..<4) == Array(text[..<12]))
        #expect(after.tokens(of: 0, 0..<4) == Array(text[12...]))
        #expect(after.tokens(of: 0, 2..<9) == Array(text[14...]))
        let (half, rest) = view.split(last: 0.5)
        #expect(half.documents == 1 && rest.documents == 1 && rest.tokens(of: 0, 0..<8) == Array(text[8...]))
    }
}
