import MartletGeneration
import MartletLayers
import MartletModels
import MartletTensors
import TestSupport
import Testing

/// Equalities that hold bit for bit, whatever the model: they need no reference.
@Suite struct EquivalenceTests {
    static let variants: [Architecture] = [
        TinyArchitectures.decoder(),
        TinyArchitectures.decoder(queryHeads: 6, keyHeads: 1, reach: .window(7)),
        TinyArchitectures.decoder(positions: .linearBias(.afterScaling), arrangement: .parallelShared),
        TinyArchitectures.decoder(positions: .linearBias(.beforeScaling), arrangement: .normedResidual),
        TinyArchitectures.decoder(arrangement: .both, feedForward: .plain(hidden: 33, .geluTanh, bias: .present)),
        TinyArchitectures.decoder(
            arrangement: .parallelSeparate,
            feedForward: .experts(.init(count: 5, active: 2, hidden: 20, activation: .silu, routing: .renormalised))),
        TinyArchitectures.decoder(
            positions: .rotary(.init(width: 4, base: 100, pairing: .neighbours)),
            feedForward: .experts(
                .init(
                    count: 7, active: 3, hidden: 9, activation: .geluTanh, routing: .asTheyAre,
                    shared: .init(hidden: 13)))),
        factorised(),
    ]

    /// Narrow token vectors, projected before positions are added; norms without weights.
    static func factorised() -> Architecture {
        var architecture = TinyArchitectures.decoder(positions: Architecture.ScorePositions.none, arrangement: .after)
        architecture.embedding.factorised = .init(width: 20, bias: .absent, order: .projectionThenPositions)
        guard case .decoder(var stack) = architecture.body else { return architecture }
        stack.positions = .learned(1_200, offset: 2)
        stack.outputNorm = nil
        for index in stack.layers.indices { stack.layers[index].norm = .unweighted(epsilon: 1e-5) }
        architecture.body = .decoder(stack)
        return architecture
    }

    static func decoder(_ architecture: Architecture, threads: Int) throws -> (Decoder, Device) {
        let device = Device(threads: threads)
        return (try Decoder(architecture, Scope(SeededInitialiser(seed: 5, device: device, deviation: 0.3))), device)
    }

    static func tokens(_ count: Int) -> [Int32] { (0..<count).map { Int32(($0 * 37 + $0 / 5) % 61) } }

    /// The hidden states of one sequence, fed in pieces of the given sizes through a cache.
    static func cached(_ decoder: Decoder, _ device: Device, _ tokens: [Int32], pieces: [Int]) throws -> [Float] {
        guard case .decoder(let stack) = decoder.architecture.body else { return [] }
        var cache = KeyValueCache(stack, on: device)
        var values: [Float] = []
        for piece in pieces {
            var rows = Rows()
            let start = cache.length()
            rows.append(Array(tokens[start..<start + piece]), from: start, extent: tokens.count)
            values += decoder.hidden(rows, &cache, on: device).values
        }
        return values
    }

    static func whole(_ decoder: Decoder, _ device: Device, _ tokens: [Int32]) -> [Float] {
        var state = Uncached()
        return decoder.hidden(Rows(tokens), &state, on: device).values
    }

    @Test(arguments: variants) func cachedChunkedAndThreadedGiveTheSameBits(architecture: Architecture) throws {
        let (decoder, device) = try Self.decoder(architecture, threads: 1)
        let (threaded, two) = try Self.decoder(architecture, threads: 2)
        let tokens = Self.tokens(150)
        let expected = Self.whole(decoder, device, tokens)
        #expect(expected.allSatisfy { $0.isFinite })
        #expect(Self.whole(threaded, two, tokens) == expected)
        #expect(try Self.cached(decoder, device, tokens, pieces: [150]) == expected)
        #expect(try Self.cached(threaded, two, tokens, pieces: [1, 63, 64, 17, 5]) == expected)
        #expect(try Self.cached(threaded, two, tokens, pieces: Array(repeating: 1, count: 150)) == expected)
    }

    @Test func longContextsAreSplitAndMergedToTheSameBits() throws {
        let architecture = TinyArchitectures.decoder(layers: 1)
        let (decoder, device) = try Self.decoder(architecture, threads: 1)
        let (threaded, four) = try Self.decoder(architecture, threads: 4)
        let tokens = Self.tokens(1_100)
        let expected = Self.whole(decoder, device, tokens)
        #expect(try Self.cached(threaded, four, tokens, pieces: [1_000] + Array(repeating: 1, count: 100)) == expected)
    }

    @Test(arguments: variants) func aSequenceAmongOthersGivesTheSameBits(architecture: Architecture) throws {
        let (decoder, device) = try Self.decoder(architecture, threads: 2)
        let sequences = [3, 70, 1, 29].map { Self.tokens($0) }
        var rows = Rows()
        for sequence in sequences { rows.append(sequence) }
        var state = Uncached()
        let together = decoder.hidden(rows, &state, on: device)
        for (index, sequence) in sequences.enumerated() {
            #expect(together.rows(rows.sequences[index].rows).values == Self.whole(decoder, device, sequence))
        }
    }

    @Test func aTruncatedCacheContinuesAsIfNothingHadFollowed() throws {
        let (decoder, device) = try Self.decoder(TinyArchitectures.decoder(), threads: 2)
        guard case .decoder(let stack) = decoder.architecture.body else { return }
        let tokens = Self.tokens(90)
        var cache = KeyValueCache(stack, on: device)
        _ = decoder.hidden(Rows(tokens), &cache, on: device)
        cache.truncate(to: 40)
        var rows = Rows()
        rows.append(Array(tokens[40...]), from: 40)
        let rest = decoder.hidden(rows, &cache, on: device).values
        #expect(rest == Array(Self.whole(decoder, device, tokens).suffix(rest.count)))
    }
}
