import MartletGeneration
import MartletLayers
import MartletModels
import MartletTensors
import TestSupport
import Testing

/// Every family that writes has recorded steps, with the bits of passes.
@Suite struct FamilyStepTests {
    static let families = Fixtures.entries("families").filter { name in
        (try? ModelFile(path: Fixtures.folder + "/families/" + name).architecture.writes) ?? false
    }

    /// More than the rows from which on norms are phases of their own.
    private static let sequences = 10
    private static let count = 20

    private static func tokens(_ vocabulary: Int) -> [Int32] {
        EquivalenceTests.tokens(count).map { $0 % Int32(vocabulary) }
    }

    private static func row(_ token: Int32, at position: Int) -> Rows {
        var rows = Rows()
        rows.append([token], from: position)
        return rows
    }

    @Test(arguments: families) func stepsGiveTheBitsOfPasses(_ name: String) throws {
        let device = Device(threads: 2)
        let file = try ModelFile(path: Fixtures.folder + "/families/" + name)
        if case .decoder = file.architecture.body {
            try check(file.decoder(on: device), on: device)
        } else if case .encoderDecoder(let model) = try file.model(on: device) {
            try check(model, on: device)
        }
    }

    private func check(_ decoder: Decoder, on device: Device) throws {
        let engine = try StepEngine(decoder, on: device)
        #expect(DecoderStep(decoder, rows: 1, layout: engine.layout, on: device) != nil)
        let tokens = Self.tokens(decoder.architecture.vocabulary)
        var cache = engine.cache(sequences: 1)
        var expected: [[Float]] = []
        for (position, token) in tokens.enumerated() {
            let hidden = decoder.hidden(Self.row(token, at: position), &cache, on: device)
            expected.append(decoder.logits(hidden).values)
        }
        #expect(expected.allSatisfy { $0.allSatisfy(\.isFinite) })
        for sequences in [1, Self.sequences] {
            var cache = engine.cache(sequences: sequences)
            try check(engine, &cache, tokens, expected, sequences: sequences)
        }
    }

    private func check(_ model: EncoderDecoder, on device: Device) throws {
        let engine = StepEngine(model, on: device)
        #expect(DecoderStep(model, rows: 1, layout: engine.layout, on: device) != nil)
        let tokens = Self.tokens(model.targetVocabulary)
        let source = try engine.encode([[2, 3, 4]])
        var cache = engine.cache(sequences: 1)
        engine.attach(source, to: [0], &cache)
        let nothing = Source(hidden: device.make([0, model.architecture.reading.width]), ranges: [])
        var expected: [[Float]] = []
        for (position, token) in tokens.enumerated() {
            let hidden = model.hidden(Self.row(token, at: position), source: nothing, &cache, on: device)
            expected.append(model.logits(hidden).values)
        }
        for sequences in [1, Self.sequences] {
            var cache = engine.cache(sequences: sequences)
            for index in 0..<sequences { engine.attach(source, to: [SequenceID(index)], &cache) }
            try check(engine, &cache, tokens, expected, sequences: sequences)
        }
    }

    /// Steps of several sequences at once: each has the logits that it has in a pass of its own.
    private func check(
        _ engine: StepEngine, _ cache: inout KeyValueCache, _ tokens: [Int32], _ expected: [[Float]], sequences: Int
    ) throws {
        for (position, token) in tokens.enumerated() {
            let rows = (0..<sequences).map { StepRow(token: token, position: position, sequence: SequenceID($0)) }
            let logits = try #require(engine.logits(rows, &cache))
            for row in 0..<sequences {
                #expect(
                    logits.rows(row..<row + 1).values == expected[position],
                    "row \(row) of \(sequences) at position \(position)")
            }
        }
    }

    // MARK: Long texts, and matrices of several types

    /// Attention and experts of families, computed between a step's phases.
    static let variants: [Architecture] = [
        varied {
            $0.reach = .chunk(300)
            $0.sinks = .present
            $0.queryGrowth = .init(factor: 0.1, every: 50)
        },
        varied {
            $0.keyHeads = $0.queryHeads
            $0.positions = .rotary(.init(width: 4, base: 100, pairing: .neighbours))
            $0.latent = .init(query: 12, keyValue: 10, rotated: 4, valueWidth: 6, norm: .rms(epsilon: 1e-6))
        },
        varied {
            $0.inputLimit = 0.4
            $0.queryKeyNorm = .rms(epsilon: 1e-6)
            $0.queryKeyNormSpan = .allHeads
            $0.valueNorm = .rms(epsilon: 1e-6)
        },
        varied {
            $0.queryKeyNorm = .rms(epsilon: 1e-6)
            $0.queryKeyNormSpan = .rotatedHead
            $0.keyValues = .keysAsValues
        },
    ]

    private static func varied(_ change: (inout Architecture.Attention) -> Void) -> Architecture {
        var architecture = TinyArchitectures.decoder(layers: 2)
        guard case .decoder(var stack) = architecture.body else { return architecture }
        for index in stack.layers.indices { change(&stack.layers[index].attention) }
        architecture.body = .decoder(stack)
        return architecture
    }

    @Test(arguments: variants) func longTexts(_ architecture: Architecture) throws {
        let (decoder, device) = try EquivalenceTests.decoder(architecture, threads: 3)
        let tokens = EquivalenceTests.tokens(1_160)
        let expected = try StepComparison.byPasses(decoder, device, tokens, from: 1_120)
        #expect(try StepComparison.bySteps(decoder, device, tokens, from: 1_120) == expected)
    }

    /// Routing as DeepSeek-V3, Llama 4, gpt-oss and Switch have it, with packed weights.
    static let experts: [Architecture.Experts] = [
        experts(.init(.sigmoid, .renormalised, factor: 2.5)) {
            $0.routing.groups = .init(count: 3, active: 2, by: .sumOfTwoBest)
            $0.routing.correction = .present
            $0.shared = .init(hidden: 32, gate: .absent)
        },
        experts(.init(.sigmoid, .asTheyAre)) { $0.routing.target = .inputs },
        experts(.renormalised) {
            $0.bias = .present
            $0.limit = 0.5
        },
        experts(.asTheyAre) {
            $0.gate = .absent
            $0.activation = .relu
            $0.routing.capacity = 2
        },
        experts(.init(.softmax, .sparseMixer(jitter: 0.01))) { _ in },
        experts(.renormalised) {
            $0.ownNorms = .rms(epsilon: 1e-6)
            $0.shared = .init(hidden: 64, gate: .absent)
        },
    ]

    private static func experts(
        _ routing: Architecture.Routing, _ change: (inout Architecture.Experts) -> Void
    ) -> Architecture.Experts {
        var form = Architecture.Experts(count: 6, active: 2, hidden: 64, activation: .silu, routing: routing)
        change(&form)
        return form
    }

    @Test(arguments: experts, [[ElementType.f32], [.q8_0]])
    func expertsOfEveryKind(_ form: Architecture.Experts, types: [ElementType]) throws {
        let device = Device(threads: 2)
        let architecture = TinyArchitectures.decoder(
            width: 64, queryHeads: 4, keyHeads: 2, headWidth: 32, feedForward: .experts(form))
        let decoder = try Decoder(architecture, Scope(StepComparison.Mixed(types, device)))
        let tokens = EquivalenceTests.tokens(30)
        let expected = try StepComparison.byPasses(decoder, device, tokens, from: 5)
        #expect(try StepComparison.bySteps(decoder, device, tokens, from: 5) == expected)
    }
}
