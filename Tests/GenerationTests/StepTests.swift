import CAllocationCounter
import MartletGeneration
import MartletLayers
import MartletModels
import MartletTensors
import TestSupport
import Testing

/// A step gives the bits of a pass, and takes nothing from the heap.
@Suite struct StepTests {
    static let variants: [Architecture] = [
        TinyArchitectures.decoder(),
        TinyArchitectures.decoder(queryHeads: 6, keyHeads: 1, reach: .window(7)),
        TinyArchitectures.decoder(positions: .linearBias(.afterScaling), arrangement: .parallelShared),
        TinyArchitectures.decoder(arrangement: .both, feedForward: .plain(hidden: 33, .geluTanh, bias: .present)),
        TinyArchitectures.decoder(
            positions: .rotary(.init(width: 4, base: 100, pairing: .neighbours)), arrangement: .parallelSeparate),
        TinyArchitectures.decoder(positions: .rotary(.init(width: 8, base: 10_000, scaling: .dynamic(2, trained: 20)))),
        changed {
            $0.positions = .learned(1_200, offset: 2)
            $0.inputNorm = .layer(epsilon: 1e-5)
            for index in $0.layers.indices {
                $0.layers[index].norm = .layer(epsilon: 1e-5)
                $0.layers[index].attention.positions = .none
                $0.layers[index].attention.bias = .all
                $0.layers[index].attention.queryKeyNorm = .rms(epsilon: 1e-6)
                $0.layers[index].attention.scoreCap = 5
            }
        },
        changed {
            for index in $0.layers.indices {
                $0.layers[index].attention.queryKeyNorm = .layerWithoutBias(epsilon: 1e-5)
                $0.layers[index].attention.queryKeyNormSpan = .eachHead
            }
        },
        TinyArchitectures.decoder(arrangement: .normedResidual),
        TinyArchitectures.decoder(positions: .linearBias(.beforeScaling)),
        TinyArchitectures.decoder(positions: .buckets(8, farthest: 20)),
        // Experts, with and without a shared one; narrow token vectors.
        TinyArchitectures.decoder(
            feedForward: .experts(
                .init(count: 5, active: 2, hidden: 20, activation: .silu, routing: .renormalised))),
        TinyArchitectures.decoder(
            arrangement: .both,
            feedForward: .experts(
                .init(
                    count: 7, active: 3, hidden: 70, activation: .geluTanh, routing: .asTheyAre,
                    shared: .init(hidden: 13)))),
        EquivalenceTests.factorised(),
        // Norms that follow sums, and waves for positions.
        changed {
            $0.positions = .sinusoidal(.init(order: .neighbours, start: 1, denominator: 24))
            $0.outputNorm = nil
            for index in $0.layers.indices {
                $0.layers[index].arrangement = .after
                $0.layers[index].norm = .layer(epsilon: 1e-5)
                $0.layers[index].attention.positions = .none
            }
        },
    ]

    private static func changed(_ change: (inout Architecture.Stack) -> Void) -> Architecture {
        var architecture = TinyArchitectures.decoder()
        guard case .decoder(var stack) = architecture.body else { return architecture }
        change(&stack)
        architecture.body = .decoder(stack)
        architecture.head = .tokens(.init(weights: .tied, scale: 0.5, cap: 3))
        return architecture
    }

    /// Wide enough for blocks of 32.
    static let blocked = TinyArchitectures.decoder(
        width: 64, queryHeads: 4, keyHeads: 2, headWidth: 32, feedForward: .gated(hidden: 160, .silu, bias: .absent))

    @Test(arguments: variants) func aStepGivesTheBitsOfAPass(architecture: Architecture) throws {
        let (decoder, device) = try EquivalenceTests.decoder(architecture, threads: 1)
        let (threaded, three) = try EquivalenceTests.decoder(architecture, threads: 3)
        let tokens = EquivalenceTests.tokens(140)
        let expected = try StepComparison.byPasses(decoder, device, tokens, from: 5)
        #expect(expected.allSatisfy { $0.allSatisfy(\.isFinite) })
        #expect(try StepComparison.bySteps(decoder, device, tokens, from: 5) == expected)
        #expect(try StepComparison.bySteps(threaded, three, tokens, from: 5) == expected)
    }

    @Test(arguments: [[ElementType.q8_0], [.q4_0, .q5_1, .q8_0, .f32], [.bf16, .q5_0], [.q4_1, .f16]])
    func quantizedWeightsGiveTheSameBits(types: [ElementType]) throws {
        for threads in [1, 2] {
            let device = Device(threads: threads)
            let decoder = try Decoder(Self.blocked, Scope(StepComparison.Mixed(types, device)))
            let tokens = EquivalenceTests.tokens(20)
            let expected = try StepComparison.byPasses(decoder, device, tokens, from: 3)
            #expect(try StepComparison.bySteps(decoder, device, tokens, from: 3) == expected)
        }
    }

    /// Keys beyond one segment, in tables that have to grow.
    @Test func longContextsAreMergedToTheSameBits() throws {
        let (decoder, device) = try EquivalenceTests.decoder(TinyArchitectures.decoder(layers: 2), threads: 3)
        let tokens = EquivalenceTests.tokens(1_160)
        let expected = try StepComparison.byPasses(decoder, device, tokens, from: 1_000)
        #expect(try StepComparison.bySteps(decoder, device, tokens, from: 1_000) == expected)
    }

    /// Keys and values in fewer bits: close to those in f32, and the same whatever the chunks, the threads and the
    /// neighbours.
    @Test(arguments: [(ElementType.bf16, Float(0.15)), (.f16, Float(0.03)), (.q8_0, Float(0.2))])
    func cachesInFewerBits(type: ElementType, tolerance: Float) throws {
        let (decoder, device) = try EquivalenceTests.decoder(Self.blocked, threads: 1)
        let (threaded, two) = try EquivalenceTests.decoder(Self.blocked, threads: 2)
        let tokens = EquivalenceTests.tokens(150)
        let exact = try StepComparison.byPasses(decoder, device, tokens, from: 130)
        let expected = try StepComparison.byPasses(decoder, device, tokens, from: 130, cache: type)
        #expect(expected != exact)
        let (rounded, plain) = (expected.flatMap { $0 }, exact.flatMap { $0 })
        let error = zip(rounded, plain).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        #expect((error / plain.reduce(0) { $0 + $1 * $1 }).squareRoot() < tolerance)
        #expect(try StepComparison.bySteps(threaded, two, tokens, from: 130, cache: type) == expected)
        guard case .decoder(let stack) = decoder.architecture.body else { return }
        var cache = KeyValueCache(stack, sequences: 2, type: type, on: two)
        for pieces in [0..<7, 7..<71, 71..<149] {
            var rows = Rows()
            rows.append(Array(tokens[pieces]), from: pieces.lowerBound)
            rows.append(Array(tokens[pieces].reversed()), from: pieces.lowerBound)
            _ = threaded.hidden(rows, &cache, on: two)
        }
        var rows = Rows()
        rows.append([tokens[149]], from: 149)
        rows.append([3], from: 149)
        let last = threaded.logits(threaded.hidden(rows, &cache, on: two)).values
        #expect(Array(last.prefix(61)) == expected[19])
    }

    /// Several sequences of different lengths in one step.
    @Test func neighboursInAStepChangeNothing() throws {
        let (decoder, device) = try EquivalenceTests.decoder(Self.variants[0], threads: 2)
        let engine = try StepEngine(decoder, on: device)
        let lengths = [3, 70, 520]
        var cache = engine.cache(sequences: 3)
        var rows = Rows()
        for length in lengths { rows.append(EquivalenceTests.tokens(length)) }
        _ = decoder.hidden(rows, &cache, on: device)
        var logits: Tensor?
        for _ in 0..<3 {
            let rows = lengths.enumerated().map { row, length in
                let id = SequenceID(row)
                return StepRow(token: Int32(length % 61), position: cache.length(of: id), sequence: id)
            }
            logits = engine.logits(rows, &cache)
        }
        for (row, length) in lengths.enumerated() {
            let tokens = EquivalenceTests.tokens(length) + Array(repeating: Int32(length % 61), count: 3)
            let alone = try StepComparison.byPasses(decoder, device, tokens, from: length)
            #expect(logits?.rows(row..<row + 1).values == alone[2])
        }
    }

    /// Many rows are normed and rounded in phases of their own.
    @Test(arguments: [[ElementType.f32], [.q8_0], [.q8_0, .q5_1, .f32]])
    func manyRowsGiveTheSameBits(types: [ElementType]) throws {
        for (architecture, threads) in [
            (Self.blocked, 2), (Self.variants[13], 3), (Self.variants[11], 2), (Self.variants[12], 2),
            (Self.variants[3], 1),
        ] {
            let device = Device(threads: threads)
            let width = architecture.width
            let decoder = try Decoder(
                architecture, Scope(StepComparison.Mixed(width % 32 == 0 ? types : [.f32], device)))
            let engine = try StepEngine(decoder, on: device)
            var cache = engine.cache(sequences: 11)
            var rows = Rows()
            for row in 0..<11 { rows.append(EquivalenceTests.tokens(row + 1)) }
            _ = decoder.hidden(rows, &cache, on: device)
            let steps = (0..<11).map { StepRow(token: Int32($0), position: $0 + 1, sequence: SequenceID($0)) }
            let logits = engine.logits(steps, &cache)
            for row in [0, 7, 8, 10] {
                let tokens = EquivalenceTests.tokens(row + 1) + [Int32(row)]
                let alone = try StepComparison.byPasses(decoder, device, tokens, from: row + 1)
                #expect(logits?.rows(row..<row + 1).values == alone[0])
            }
        }
    }

    /// A model whose inputs a calibration watches is not packed into a step.
    @Test func storedWeightsRunWithoutSteps() throws {
        final class Stored: ParameterSource {
            let initialiser: SeededInitialiser
            init(_ device: Device) { initialiser = SeededInitialiser(seed: 5, device: device, deviation: 0.3) }
            func parameter(_ description: ParameterDescription) -> Parameter { initialiser.parameter(description) }
            func packed(_ parameter: Parameter) -> PackedMatrix? { nil }
            func decoded(_ parameter: Parameter) -> Parameter { initialiser.decoded(parameter) }
        }
        let device = Device(threads: 1)
        let decoder = try Decoder(TinyArchitectures.decoder(), Scope(Stored(device)))
        let layout = try StepEngine(decoder, on: device).layout
        #expect(DecoderStep(decoder, rows: 1, layout: layout, on: device) == nil)
        var generator = try TokenGenerator(decoder, prompt: [1, 2], .init(maximumTokens: 3), on: device)
        let token = generator.next()
        #expect(token != nil)
    }

    /// Between two blocks of keys, which a cache takes every 64 positions.
    @Test(.enabled(if: allocation_counter_works()), arguments: [1, 2])
    func aWarmStepAllocatesNothing(threads: Int) throws {
        let (decoder, device) = try EquivalenceTests.decoder(TinyArchitectures.decoder(), threads: threads)
        let options = TokenGenerator.Options(maximumTokens: 400)
        var generator = try TokenGenerator(decoder, prompt: EquivalenceTests.tokens(20), options, on: device)
        // Past 128 positions the list of tokens has room for as many again.
        while generator.tokens.count < 131 { _ = generator.next() }
        let before = allocations_of_this_thread()
        for _ in 0..<50 { _ = generator.next() }
        #expect(allocations_of_this_thread() == before)
        let probe = unsafe [Int](unsafeUninitializedCapacity: 10) { _, count in count = 0 }
        #expect(probe.capacity >= 10 && allocations_of_this_thread() > before)
    }

    @Test func cachesThatCannotBeKeptAreNamed() throws {
        let (decoder, device) = try EquivalenceTests.decoder(TinyArchitectures.decoder(), threads: 1)
        let error = #expect(throws: GenerationError.self) {
            _ = try TokenGenerator(decoder, prompt: [1], .init(maximumTokens: 1, cache: .q8_0), on: device)
        }
        #expect(error?.description.contains("10") == true && error?.description.contains("32") == true)
        #expect(throws: GenerationError.self) {
            _ = try TokenGenerator(decoder, prompt: [1], .init(maximumTokens: 1, cache: .q4_0), on: device)
        }
    }
}
