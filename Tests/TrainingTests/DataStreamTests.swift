import MartletFormats
import MartletLayers
import MartletPlatform
import MartletTensors
import MartletTokenizers
import MartletTraining
import Testing

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
