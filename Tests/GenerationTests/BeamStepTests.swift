import MartletGeneration
import MartletLayers
import MartletModels
import MartletTensors
import TestSupport
import Testing

/// Beams of encoder-decoders in steps: the tokens and the very scores of passes that remember nothing.
@Suite struct BeamStepTests {
    static let variants: [Architecture] = [
        TinyArchitectures.translator(),
        TinyArchitectures.translator(arrangement: .before),
        TinyArchitectures.translator(
            positions: .learned(1_200, offset: 2), arrangement: .both,
            feedForward: .gated(hidden: 33, .silu, bias: .absent)),
        // Blocks of 32 everywhere.
        TinyArchitectures.translator(
            width: 64, heads: 2, headWidth: 32, feedForward: .plain(hidden: 96, .gelu, bias: .present)),
    ]

    private static func model(
        _ architecture: Architecture, _ device: Device, _ types: [ElementType] = [.f32]
    ) throws -> EncoderDecoder {
        try EncoderDecoder(architecture, Scope(StepComparison.Mixed(types, device)))
    }

    private static func search(
        _ model: EncoderDecoder, _ sources: [[Int32]], _ options: BeamSearch.Options,
        _ memory: Continuation.Memory = .cached, start: [Int32] = [1], on device: Device
    ) throws -> [[BeamSearch.Hypothesis]] {
        try BeamSearch(options, vocabulary: model.targetVocabulary).run(
            sources.map { _ in start }, on: Continuation(model, sources: sources, memory: memory, on: device))
    }

    private static func sources(_ lengths: [Int]) -> [[Int32]] {
        lengths.enumerated().map { index, length in EquivalenceTests.tokens(length).map { ($0 + Int32(index)) % 61 } }
    }

    @Test(arguments: variants) func theseModelsAreStepped(architecture: Architecture) throws {
        let device = Device(threads: 1)
        let model = try Self.model(architecture, device)
        let layout = StepEngine(model, on: device).layout
        #expect(DecoderStep(model, rows: 4, layout: layout, on: device) != nil)
    }

    /// Few rows and many, sources of several lengths, more than a block of positions, a prompt of several tokens.
    @Test(arguments: variants, [1, 3]) func stepsGiveTheBitsOfPasses(architecture: Architecture, threads: Int) throws {
        let device = Device(threads: threads)
        let model = try Self.model(architecture, device)
        for (lengths, start) in [([7], [1]), ([5, 70, 1, 20], [4, 9, 2])] as [([Int], [Int32])] {
            let options = BeamSearch.Options(beams: 4, results: 4, maximumTokens: 70, stopTokens: [17])
            let found = try [Continuation.Memory.cached, .uncached].map {
                try Self.search(model, Self.sources(lengths), options, $0, start: start, on: device)
            }
            #expect(found[0] == found[1])
            #expect(found[0].allSatisfy { $0.count == 4 && $0[0].score.isFinite })
        }
    }

    @Test(arguments: [[ElementType.q8_0], [.q4_0, .q8_0, .f32]]) func quantizedWeightsToo(types: [ElementType]) throws {
        let device = Device(threads: 2)
        let model = try Self.model(Self.variants[3], device, types)
        let options = BeamSearch.Options(beams: 3, results: 3, maximumTokens: 20, stopTokens: [17])
        for lengths in [[9], [9, 3, 30, 4]] {
            let found = try [Continuation.Memory.cached, .uncached].map {
                try Self.search(model, Self.sources(lengths), options, $0, on: device)
            }
            #expect(found[0] == found[1])
        }
    }

    /// Searches that end at different times leave the others alone.
    @Test(arguments: variants.dropFirst()) func batchedIsAlone(architecture: Architecture) throws {
        let (two, one) = (Device(threads: 2), Device(threads: 1))
        let (model, alone) = (try Self.model(architecture, two), try Self.model(architecture, one))
        let sources = Self.sources([4, 90, 11, 2, 33])
        let options = BeamSearch.Options(
            beams: 3, results: 2, maximumTokens: 40, earlyStopping: .whenFull, stopTokens: [17, 3, 50, 22, 8])
        let together = try Self.search(model, sources, options, on: two)
        #expect(try together == sources.map { try Self.search(alone, [$0], options, on: one)[0] })
        #expect(Set(together.map { $0[0].tokens.count }).count > 1)
    }

    /// Positions beyond a segment.
    @Test func longTextsAreMergedToTheSameBits() throws {
        let device = Device(threads: 2)
        let model = try Self.model(TinyArchitectures.translator(width: 16, layers: 1, heads: 2, headWidth: 8), device)
        let options = BeamSearch.Options(beams: 2, results: 2, maximumTokens: 540)
        let found = try [Continuation.Memory.cached, .uncached].map {
            try Self.search(model, Self.sources([600]), options, $0, on: device)
        }
        #expect(found[0] == found[1] && found[0][0][0].tokens.count == 540)
    }

    /// Beams of families by steps, with the constants of their heads.
    @Test(arguments: ["marian", "marian-separate", "bart", "mbart", "pegasus", "t5", "umt5"])
    func familiesAreStepped(fixture: String) throws {
        let device = Device(threads: 2)
        let file = try ModelFile(path: Fixtures.folder + "/families/" + fixture)
        guard case .encoderDecoder(let model) = try file.model(on: device) else { return }
        let options = BeamSearch.Options(beams: 4, results: 4, maximumTokens: 12, stopTokens: [2])
        let sources: [[Int32]] = [[5, 9, 3], [8], [7, 7, 30, 31, 2]]
        let found = try [Continuation.Memory.cached, .uncached].map {
            try Self.search(model, sources, options, $0, on: device)
        }
        #expect(found[0] == found[1])
        let layout = StepEngine(model, on: device).layout
        #expect(DecoderStep(model, rows: 4, layout: layout, on: device) != nil)
    }
}
