import MartletFormats
import MartletLayers
import MartletPlatform
import MartletTensors
import MartletTokenizers
import MartletTraining
import Testing

@Suite struct PermutationTests {
    @Test(arguments: [0, 1, 2, 3, 7, 64, 100, 1_000, 4_097])
    func everyPlaceOnce(count: Int) {
        let order = Permutation(count: count, seed: 7)
        #expect((0..<count).map { order[$0] }.sorted() == Array(0..<count))
    }

    @Test func seedsDiffer() {
        let (a, b) = (Permutation(count: 1_000, seed: 1), Permutation(count: 1_000, seed: 2))
        #expect((0..<1_000).filter { a[$0] == b[$0] }.count < 20)
        #expect((0..<1_000).filter { a[$0] == $0 }.count < 20)
    }
}

@Suite struct DocumentReaderTests {
    private let folder = FolderForTests()

    private func texts(_ text: String, _ format: TextFormat) throws -> [[String]] {
        var reader = try DocumentReader(folder.write(text, to: "text"), format)
        var documents: [[String]] = []
        while let parts = try reader.next() {
            documents.append(parts.map { String(decoding: $0.bytes, as: UTF8.self) + ($0.endsDocument ? "" : "…") })
        }
        return documents
    }

    @Test func boundaries() throws {
        let text = "a\nb\r\n\n \nc\n--\nd"
        #expect(try texts(text, .text(.file)) == [["a\nb\n\n \nc\n--\nd\n"]])
        #expect(try texts(text, .text(.line)) == [["a"], ["b"], [" "], ["c"], ["--"], ["d"]])
        #expect(try texts(text, .text(.paragraph)) == [["a\nb\n"], ["c\n--\nd\n"]])
        #expect(try texts(text, .text(.marker("--"))) == [["a\nb\n\n \nc\n"], ["d\n"]])
        #expect(try texts("", .text(.file)) == [])
    }

    @Test func records() throws {
        let lines = #"{"a": "x\ny", "b": "z"}"# + "\n\n" + #"{"a": "1", "b": "2", "c": 3}"# + "\n"
        #expect(try texts(lines, .jsonLines(fields: ["b", "a"])) == [["z", "x\ny"], ["2", "1"]])
        #expect(try texts("a\tb\tc\n\td\t\n", .tabSeparated(columns: [1, 0])) == [["b", "a"], ["d", ""]])
    }

    @Test func offences() {
        func message(_ text: String, _ format: TextFormat) -> String {
            do { return "\(try texts(text, format))" } catch { return "\(error)" }
        }
        #expect(
            message("{\"a\": \"b\"}\n{\"a\": 1}", .jsonLines(fields: ["a"])).hasSuffix(
                "line 2: there is no text under \"a\""))
        #expect(message("a\tb\na", .tabSeparated(columns: [1])).contains("line 2: there is no column 1, only 1"))
        #expect(message("{", .jsonLines(fields: ["a"])).contains("line 1: "))
    }

    @Test func longTextsComeInParts() throws {
        let lines = (0..<20_000).map { $0 % 7 == 0 ? "  indented \($0)" : "line \($0)" }
        let text = lines.joined(separator: "\n")
        var reader = try DocumentReader(folder.write(text, to: "long"), .text(.file))
        var whole: [UInt8] = []
        var parts: [Bool] = []
        while let next = try reader.next() {
            for part in next {
                #expect(whole.isEmpty || part.bytes.first != 32)
                whole += part.bytes
                parts.append(part.endsDocument)
            }
        }
        #expect(whole == Array((text + "\n").utf8))
        #expect(parts.count > 3 && parts.last == true && !parts.dropLast().contains(true))
    }

    @Test func pairs() throws {
        let (left, right) = (folder.write("a\n\nc\n", to: "left"), folder.write("A\nB\nC\n", to: "right"))
        var reader = try DocumentReader(left, parallelTo: right)
        var seen: [String] = []
        while let parts = try reader.next() {
            seen.append(parts.map { "\($0.side)" + String(decoding: $0.bytes, as: UTF8.self) }.joined())
        }
        #expect(seen == ["0a1A", "0c1C"])
        var uneven = try DocumentReader(left, parallelTo: folder.write("A\n", to: "short"))
        _ = try uneven.next()
        #expect(throws: DataError.self) { while try uneven.next() != nil {} }
    }
}

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

@Suite struct DataStreamTests {
    private let folder = FolderForTests()

    private func view(_ text: String, _ boundary: TextFormat.Boundary = .line) throws -> TokenView {
        let path = folder.write(text, to: "text\(text.utf8.count)")
        let builder = TokenCacheBuilder(
            try byteTokenizer(), key: Fingerprint(), folder: folder.path + "/cache", on: Device(threads: 1))
        return TokenView(try builder.caches(TextFiles([path], .text(boundary))))
    }

    @Test(arguments: [0, 1, 3, 7])
    func piecesCoverEveryTarget(phase: Int) throws {
        let view = try view("a\nab\nabcdefgh\nabcdefghi\nabcdefghijklmnopqrstuvwxyz0123456789\n")
        let pieces = Pieces(view, length: 8, overlap: 1, least: 2, phase: phase, isWhole: false)
        for document in 0..<view.documents {
            let mine = (0..<pieces.count).map { pieces[$0] }.filter { $0.document == document }
            let length = view.length(of: document)
            // The targets are the tokens from the second on, each exactly once.
            #expect(mine.flatMap { Array($0.tokens.dropFirst()) } == (length < 2 ? [] : Array(1..<length)))
            #expect(mine.allSatisfy { $0.tokens.count <= 9 && $0.tokens.count >= 2 })
        }
    }

    private func stream(_ seed: UInt64 = 3, from cursor: DataCursor? = nil) throws -> DataStream {
        let text = (0..<60).map { "document number \($0) of many\n" }.joined()
        return try DataStream(
            [.init(view(text), weight: 3), .init(view("some other text\nin another place\n"), weight: 1)],
            CausalLanguageModelling(), .init(length: 16, rows: 40, seed: seed), vocabulary: 256, from: cursor)
    }

    @Test func batchesAreFullAndSequencesApart() throws {
        var stream = try stream()
        for _ in 0..<50 {
            let batch = try stream.next()
            #expect(batch.rows.count <= 40 && batch.rows.count > 24)
            #expect(batch.targets.count == batch.rows.count && batch.targetCount == batch.rows.count)
            #expect(batch.rows.sequences.count == batch.examples)
            #expect(batch.rows.sequences.allSatisfy { $0.start == 0 && $0.rows.count <= 16 })
        }
    }

    @Test func anyCursorResumesExactly() throws {
        var whole = try stream()
        for _ in 0..<120 {
            var resumed = try stream(from: whole.cursor)
            let (a, b) = (try whole.next(), try resumed.next())
            #expect(a.rows.tokens == b.rows.tokens && a.targets == b.targets && whole.cursor == resumed.cursor)
        }
        #expect(whole.cursor.places.allSatisfy { $0.epoch >= 1 })
    }

    @Test func prefetchingChangesNothing() throws {
        var plain = try stream()
        let ahead = Prefetcher(try stream())
        for _ in 0..<60 {
            let (batch, item) = (try plain.next(), try ahead.next())
            #expect(batch.rows.tokens == item.batch.rows.tokens && plain.cursor == item.cursor)
        }
    }

    @Test func anEpochTakesEveryPieceOnce() throws {
        let view = try view((0..<64).map { "\(10 + $0)\n" }.joined())
        var stream = try DataStream(
            [.init(view, weight: 1)], CausalLanguageModelling(), .init(length: 4, rows: 8, seed: 1), vocabulary: 256,
            from: nil)
        func epoch() throws -> [[Int32]] {
            try (0..<8).flatMap { _ -> [[Int32]] in
                let batch = try stream.next()
                return batch.rows.sequences.map { sequence in
                    sequence.rows.map { batch.rows.tokens[$0] } + [batch.targets[sequence.rows.upperBound - 1]]
                }
            }
        }
        let (first, second) = (try epoch(), try epoch())
        #expect(first.count == 64 && Set(first).count == 64 && Set(first) == Set(second) && first != second)
    }

    @Test func weightsAreKept() throws {
        var stream = try stream()
        for _ in 0..<400 { _ = try stream.next() }
        let second = stream.cursor.places[1]
        // Two pieces an epoch.
        let share = Double(second.epoch * 2 + second.piece) / Double(stream.cursor.examples)
        #expect(abs(share - 0.25) < 0.04)
        #expect(DataStream.weights(tokens: [1, 16], temperature: 2) == [1, 4])
    }

    @Test func offences() throws {
        let view = try view("abc\n")
        func message(_ vocabulary: Int, _ objective: any Objective) -> String {
            do {
                var stream = try DataStream(
                    [.init(view, weight: 1)], objective, .init(length: 4, rows: 8, seed: 1), vocabulary: vocabulary,
                    from: nil)
                _ = try stream.next()
                return "none"
            } catch { return "\(error)" }
        }
        #expect(message(10, CausalLanguageModelling()).contains("but the model has 10 tokens"))
        #expect(
            message(256, SequenceToSequence(start: 0, longest: 4)).contains("has 1 sides, but the objective reads 2"))
    }
}
