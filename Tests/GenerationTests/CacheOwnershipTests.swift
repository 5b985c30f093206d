import MartletGeneration
import MartletLayers
import MartletModels
import MartletTensors
import TestSupport
import Testing

/// A KV cache is a value: copies and forks continue by themselves, sequences come and go, and blocks come back.
@Suite struct CacheOwnershipTests {
    /// Full attention, a sliding window, and both by turns.
    static let variants: [Architecture] = [
        TinyArchitectures.decoder(), TinyArchitectures.decoder(reach: .window(20)), alternating,
    ]

    static let alternating: Architecture = {
        var architecture = TinyArchitectures.decoder(layers: 4)
        guard case .decoder(var stack) = architecture.body else { return architecture }
        for index in [0, 2] { stack.layers[index].attention.reach = .window(70) }
        architecture.body = .decoder(stack)
        return architecture
    }()

    /// Tokens of one text, fed one at a time after what `cache` holds; the logits after each.
    private static func continued(
        _ engine: StepEngine, _ cache: inout KeyValueCache, by tokens: [Int32], _ id: SequenceID = 0
    ) -> [[Float]] {
        tokens.map { token in
            let row = StepRow(token: token, position: cache.length(of: id), sequence: id)
            return engine.logits([row], &cache)?.values ?? []
        }
    }

    private static func read(
        _ engine: StepEngine, _ cache: inout KeyValueCache, _ tokens: [Int32], as id: SequenceID = 0
    ) {
        let start = cache.length(of: id)
        let rows = tokens.enumerated().map {
            StepRow(token: $1, position: start + $0, sequence: id, isWanted: false)
        }
        _ = engine.logits(rows, &cache)
    }

    private static func tail(_ shift: Int32) -> [Int32] { (0..<80).map { ($0 * 7 + shift) % 61 } }

    /// The logits of a text that was read and continued in a cache of its own.
    private static func alone(_ architecture: Architecture, _ start: [Int32], _ tail: [Int32]) throws -> [[Float]] {
        let (decoder, device) = try EquivalenceTests.decoder(architecture, threads: 1)
        let engine = try StepEngine(decoder, on: device)
        var cache = engine.cache(sequences: 1)
        read(engine, &cache, start)
        return continued(engine, &cache, by: tail)
    }

    /// The last block of 64 is in part both copies' own: whoever writes into it must not write into the other's.
    @Test(arguments: variants) func copiesContinueByThemselves(architecture: Architecture) throws {
        let (decoder, device) = try EquivalenceTests.decoder(architecture, threads: 2)
        let engine = try StepEngine(decoder, on: device)
        for length in [40, 64, 100] {
            let start = EquivalenceTests.tokens(length)
            var first = engine.cache(sequences: 1)
            Self.read(engine, &first, start)
            var second = first
            var (one, two): ([[Float]], [[Float]]) = ([], [])
            for (left, right) in zip(Self.tail(1), Self.tail(5)) {
                one += Self.continued(engine, &first, by: [left])
                two += Self.continued(engine, &second, by: [right])
            }
            #expect(one == (try Self.alone(architecture, start, Self.tail(1))))
            #expect(two == (try Self.alone(architecture, start, Self.tail(5))))
        }
    }

    /// Copies of a cache continued by two tasks at once: nothing that one writes is read by the other.
    @Test func copiesContinueOnTwoThreads() async throws {
        let architecture = TinyArchitectures.decoder()
        let (decoder, device) = try EquivalenceTests.decoder(architecture, threads: 1)
        let start = EquivalenceTests.tokens(100)
        var cache = try StepEngine(decoder, on: device).cache(sequences: 1)
        Self.read(try StepEngine(decoder, on: device), &cache, start)
        let copy = cache
        let found = try await withThrowingTaskGroup(of: (Int32, [[Float]]).self) { group in
            for shift in [Int32(1), 5, 9] {
                group.addTask {
                    var own = copy
                    let engine = try StepEngine(decoder, on: Device(threads: 1))
                    return (shift, Self.continued(engine, &own, by: Self.tail(shift)))
                }
            }
            return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        for shift in [Int32(1), 5, 9] {
            #expect(found[shift] == (try Self.alone(architecture, start, Self.tail(shift))))
        }
    }

    /// Sequences join, fork and leave between the steps of others.
    @Test(arguments: variants) func sequencesComeAndGo(architecture: Architecture) throws {
        let (decoder, device) = try EquivalenceTests.decoder(architecture, threads: 2)
        let engine = try StepEngine(decoder, on: device)
        var cache = engine.cache()
        let (long, short) = (EquivalenceTests.tokens(90), EquivalenceTests.tokens(10))
        cache.add(7)
        Self.read(engine, &cache, long, as: 7)
        cache.fork(7, as: 3)
        cache.add(1)
        Self.read(engine, &cache, short, as: 1)
        var found: [SequenceID: [[Float]]] = [:]
        for step in 0..<80 {
            // Sequence 1 is not wanted in every other step, 3 leaves in the middle.
            var rows = [
                StepRow(
                    token: Self.tail(9)[step], position: cache.length(of: 1), sequence: 1, isWanted: step % 2 == 0),
                StepRow(token: Self.tail(1)[step], position: cache.length(of: 7), sequence: 7),
            ]
            if step < 40 { rows.append(.init(token: Self.tail(5)[step], position: 90 + step, sequence: 3)) }
            if step == 40 { cache.remove(3) }
            let logits = engine.logits(rows, &cache)
            for (index, row) in rows.filter(\.isWanted).enumerated() {
                found[row.sequence, default: []].append(logits?.rows(index..<index + 1).values ?? [])
            }
        }
        #expect(found[7] == (try Self.alone(architecture, long, Self.tail(1))))
        #expect(found[3] == Array(try Self.alone(architecture, long, Self.tail(5)).prefix(40)))
        let wanted = try Self.alone(architecture, short, Self.tail(9)).enumerated().filter { $0.offset % 2 == 0 }
        #expect(found[1] == wanted.map(\.element))
    }

    /// A window's blocks go back as it passes; those of full attention stay.
    @Test func windowsGiveBlocksBack() throws {
        let (decoder, device) = try EquivalenceTests.decoder(Self.alternating, threads: 1)
        let engine = try StepEngine(decoder, on: device)
        let pool = BlockPool()
        var cache = engine.cache(sequences: 1, pool: pool)
        let (windowed, full) = (engine.layout.tables[0].bytes, engine.layout.tables[1].bytes)
        #expect(engine.layout.tables.map(\.window) == [70, nil])
        Self.read(engine, &cache, EquivalenceTests.tokens(500))
        _ = Self.continued(engine, &cache, by: Self.tail(1))
        // 580 positions are ten blocks; a window of 70 needs at most ⌈70 / 64⌉ + 1, and keeps one more for a short
        // retreat.
        #expect(pool.usedBytes <= 10 * full + 4 * windowed && pool.usedBytes >= 10 * full + 2 * windowed)
        #expect(cache.truncate(0, to: 560) == 560)
        #expect(cache.truncate(0, to: 300) == 0 && cache.length() == 0)
        #expect(pool.usedBytes == 0)
    }

    @Test func blocksComeBackAndTheLimitHolds() throws {
        let (decoder, device) = try EquivalenceTests.decoder(TinyArchitectures.decoder(), threads: 1)
        let engine = try StepEngine(decoder, on: device)
        let bytes = engine.layout.tables[0].bytes
        let pool = BlockPool(limit: 4 * bytes)
        var cache = engine.cache(sequences: 2, pool: pool)
        Self.read(engine, &cache, EquivalenceTests.tokens(100), as: 0)
        #expect(pool.usedBytes == 2 * bytes)
        #expect(cache.bytesNeeded(1, for: 128) == 2 * bytes && cache.bytesNeeded(1, for: 129) == 3 * bytes)
        #expect(cache.bytesNeeded(0, for: 28) == 0 && cache.bytesNeeded(0, for: 29) == bytes)
        // A fork shares both blocks and needs one of its own to write on.
        cache.fork(0, as: 2)
        #expect(pool.usedBytes == 2 * bytes && cache.bytesNeeded(2, for: 1) == bytes)
        cache.remove(0)
        #expect(pool.usedBytes == 2 * bytes && cache.bytesNeeded(2, for: 1) == 0)
        cache.remove(2)
        #expect(pool.usedBytes == 0 && pool.heldBytes == 2 * bytes)
        var table = BlockTable(engine.layout.tables[0], pool: pool)
        #expect(table.extend(by: 5 * 64, on: device) == false && table.length == 0 && pool.usedBytes == 0)
        #expect(table.extend(by: 4 * 64, on: device) && pool.heldBytes == 4 * bytes)
        var copy = table
        #expect(copy.extend(by: 1, on: device) == false && copy.length == 256)
    }
}
