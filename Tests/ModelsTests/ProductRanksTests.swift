import MartletDistributed
import MartletGeneration
import MartletLayers
import MartletModels
import MartletPlatform
import MartletTensors
import TestSupport
import Testing

/// Models whose matrices ranks divide by outputs, ranks being threads: rank 0's logits and tokens have the bits of a
/// model that is whole, and each rank packs its share.
@Suite struct ProductRanksTests {
    private struct Outcome: Sendable {
        var logits: [Float] = []
        var tokens: [Int32] = []
        var packedBytes = 0
    }

    private static let gated = TinyArchitectures.decoder(
        vocabulary: 1_027, width: 256, layers: 2, queryHeads: 8, keyHeads: 4, headWidth: 64,
        feedForward: .gated(hidden: 512, .silu, bias: .present))
    private static let mixture = TinyArchitectures.decoder(
        vocabulary: 512, width: 256, layers: 2, queryHeads: 4, keyHeads: 4, headWidth: 64,
        feedForward: .experts(.init(count: 4, active: 2, hidden: 256, activation: .silu, routing: .renormalised)))

    private static func outcome(
        _ architecture: Architecture, _ type: ElementType, _ ranks: ProductRanks?, _ communicator: any Communicator
    ) throws -> Outcome {
        let device = Device(threads: 1)
        let source = PackingSource(type, ranks, on: device)
        let decoder = try Decoder(architecture, Scope(source))
        ranks?.complete()
        var outcome = Outcome()
        outcome.packedBytes = source.packedBytes
        guard communicator.rank == 0 else {
            try ranks?.serve(on: device)
            return outcome
        }
        defer { ranks?.stop() }
        let prompt = (0..<21).map { Int32($0 * $0 % 500) }
        var state = Uncached()
        outcome.logits = decoder.logits(decoder.hidden(Rows(prompt), &state, on: device)).values
        var generator = try TokenGenerator(decoder, prompt: prompt, .init(maximumTokens: 12), on: device)
        while generator.next() != nil {}
        outcome.tokens = generator.tokens
        return outcome
    }

    @Test(arguments: [2, 4], [ElementType.f32, .bf16, .q8_0, .q4_0, .q4_K])
    func dividedModelsGiveTheBitsOfWholeOnes(ranks: Int, type: ElementType) throws {
        for architecture in [Self.gated, Self.mixture] {
            let whole = try Self.outcome(architecture, type, nil, Alone())
            let divided = try Crew(ranks).run { communicator in
                try Self.outcome(architecture, type, ProductRanks(communicator) { _ in }, communicator)
            }
            #expect(divided[0].logits.map(\.bitPattern) == whole.logits.map(\.bitPattern))
            #expect(divided[0].tokens == whole.tokens && whole.tokens.count == 33)
            for outcome in divided {
                // Of panels of 64 outputs, an odd number cannot be halved.
                #expect(Double(outcome.packedBytes) < Double(whole.packedBytes) / Double(ranks) * 1.05)
            }
        }
    }

    /// Products after the ranks were let go: a generation that was cut short still computes.
    @Test func ranksThatWereLetGoAreNotAsked() throws {
        let values = try Crew(2).run { communicator -> [Float] in
            let device = Device(threads: 1)
            let ranks = ProductRanks(communicator) { _ in }
            let matrix = ranks.packed(Tensor([Float](repeating: 1, count: 128 * 32), shape: [128, 32])) {
                PackedMatrix($0, on: device)
            }
            guard communicator.rank == 0 else {
                try ranks.serve(on: device)
                return []
            }
            let x = device.make([1, 32]).filled(with: 1)
            let product = x.multiplied(by: matrix).values
            ranks.stop()
            return product + [Float(x.multiplied(by: matrix).shape[1])]
        }
        #expect(values[0] == [Float](repeating: 32, count: 128) + [128])
    }
}

/// Seeded numbers whose matrices have one type, packed whole or in parts.
private final class PackingSource: ParameterSource {
    private let base: SeededInitialiser
    private let type: ElementType
    private let ranks: ProductRanks?
    private let device: Device
    private(set) var packedBytes = 0

    init(_ type: ElementType, _ ranks: ProductRanks?, on device: Device) {
        base = SeededInitialiser(seed: 5, device: device, deviation: 0.08)
        (self.type, self.ranks, self.device) = (type, ranks, device)
    }

    func parameter(_ description: ParameterDescription) -> Parameter { base.parameter(description) }
    func decoded(_ parameter: Parameter) -> Parameter { base.decoded(parameter) }

    func packed(_ parameter: Parameter) -> PackedMatrix? {
        let stored = parameter.tensor.converted(to: type, on: device)
        let pack = { [device] in PackedMatrix($0, on: device) }
        let matrix = ranks?.packed(stored, pack) ?? pack(stored)
        // The router is whole everywhere: it has a panel alone.
        if parameter.role != .router { packedBytes += matrix.bytes }
        return matrix
    }
}
