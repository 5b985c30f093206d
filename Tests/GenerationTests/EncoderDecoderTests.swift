import MartletGeneration
import MartletJSON
import MartletLayers
import MartletModels
import MartletTensors
import TestSupport
import Testing

/// Encoder-decoders by themselves: the cache changes no bit, and a source's keys and values are computed once.
@Suite struct EncoderDecoderTests {
    /// The Transformer of 2017 as our own configuration describes it.
    static func transformer(_ changes: KeyValuePairs<String, JSON> = [:]) throws -> Architecture {
        var config = JSONObject()
        let settings: KeyValuePairs<String, JSON> = [
            "model_type": "transformer", "vocab_size": 61, "d_model": 24, "num_heads": 4, "d_ff": 30,
            "encoder_layers": 2, "decoder_layers": 3,
        ]
        for (key, value) in settings { config[key] = value }
        for (key, value) in changes { config[key] = value }
        return try ModelFile.describe(config, path: "test").architecture
    }

    /// T5's kind: distances in buckets, RMS norms, scores unscaled.
    static let bucketed: Architecture = {
        let norm = Architecture.Norm.rms(epsilon: 1e-6)
        func attention(_ reach: Architecture.Reach, _ positions: Architecture.ScorePositions) -> Architecture.Attention
        {
            .init(queryHeads: 3, keyHeads: 3, headWidth: 7, scale: 1, reach: reach, positions: positions)
        }
        let buckets = Architecture.ScorePositions.buckets(8, farthest: 20)
        let feedForward = Architecture.FeedForward.gated(hidden: 30, .geluTanh, bias: .absent)
        let encoder = Architecture.Layer(
            norm: norm, arrangement: .before, attention: attention(.all, buckets), feedForward: feedForward)
        let decoder = Architecture.Layer(
            norm: norm, arrangement: .before, attention: attention(.past, buckets),
            crossAttention: attention(.all, .none), feedForward: feedForward)
        return Architecture(
            vocabulary: 61, width: 24,
            body: .encoderDecoder(
                .init(layers: [encoder], outputNorm: norm), .init(layers: [decoder, decoder], outputNorm: norm)),
            head: .tokens(.init(weights: .tied)))
    }()

    static func model(_ architecture: Architecture, _ device: Device) throws -> EncoderDecoder {
        try EncoderDecoder(architecture, Scope(SeededInitialiser(seed: 3, device: device, deviation: 0.3)))
    }

    @Test(arguments: 0..<3) func cachedIsUncached(variant: Int) throws {
        let architecture =
            switch variant {
            case 0: try Self.transformer()
            case 1: try Self.transformer(["norm_placement": "before", "target_vocab_size": 50])
            default: Self.bucketed
            }
        let (one, two) = (Device(threads: 1), Device(threads: 2))
        let sources = [90, 5].map { EquivalenceTests.tokens($0) }
        let targets = [70, 30].map { count in EquivalenceTests.tokens(count).map { $0 % 50 } }
        var rows = Rows()
        for source in sources { rows.append(source) }
        let model = try Self.model(architecture, one)
        var state = Uncached()
        let source = model.encode(rows, &state, on: one)
        var whole = Rows()
        for target in targets { whole.append(target) }
        let expected = model.hidden(whole, source: source, &state, on: one)
        let threaded = try Self.model(architecture, two)
        var encoderState = Uncached()
        let again = threaded.encode(rows, &encoderState, on: two)
        #expect(again.hidden.values == source.hidden.values)
        var cache = KeyValueCache(threaded.decoderStack, sequences: 2, on: two)
        for step in 0..<30 {
            var next = Rows()
            for target in targets { next.append([target[step]], from: step) }
            let hidden = threaded.hidden(next, source: again, &cache, on: two)
            for index in 0..<2 {
                let row = whole.sequences[index].rows.lowerBound + step
                #expect(hidden.rows(index..<index + 1).values == expected.rows(row..<row + 1).values)
            }
        }
    }

    @Test func aSourceIsProjectedOnce() throws {
        let device = Device(threads: 1)
        let form = Architecture.Attention(queryHeads: 1, keyHeads: 1, headWidth: 4, scale: 1, reach: .all)
        let layer = Architecture.Layer(
            norm: .rms(epsilon: 1e-6), arrangement: .before, attention: form, crossAttention: form,
            feedForward: .plain(hidden: 4, .relu, bias: .absent))
        var cache = KeyValueCache(.init(layers: [layer]), on: device)
        let source = Source(hidden: device.tensor([1, 2, 3, 4, 5, 6, 7, 8], shape: [2, 4]), ranges: [0..<2])
        var projections = 0
        for position in 0..<3 {
            var rows = Rows()
            rows.append([0], from: position)
            let query = device.tensor([1, 0, 0, 0], shape: [1, 1, 4])
            _ = cache.attendAcross(layer: 0, form, query: query, rows: rows, source: source) { hidden in
                projections += 1
                let heads = hidden.reshaped([2, 1, 4])
                return (heads, heads)
            }
        }
        #expect(projections == 1)
    }

    /// A model that was made here is saved and read under our own names.
    @Test func theTransformersNamesAreOurOwn() throws {
        let inventory = try Self.transformer().inventory()
        #expect(inventory.entries.allSatisfy { WeightNames.ours.resolve($0.name)?.name == $0.name })
        // Embedding, two encoder and three decoder layers: 4 d² + 4 d and 2 d f + d + f each, two or three norms.
        let (d, f) = (24, 30)
        let (attention, feedForward, norm) = (4 * d * d + 4 * d, 2 * d * f + d + f, 2 * d)
        #expect(
            inventory.total == 61 * d + 2 * (attention + feedForward + 2 * norm)
                + 3 * (2 * attention + feedForward + 3 * norm))
    }

    /// Beams that part write what they do not share.
    @Test func selectedSequencesDoNotDisturbEachOther() throws {
        let device = Device(threads: 2)
        let decoder = try Decoder(
            TinyArchitectures.decoder(), Scope(SeededInitialiser(seed: 5, device: device, deviation: 0.3)))
        guard case .decoder(let stack) = decoder.architecture.body else { return }
        let start = EquivalenceTests.tokens(70)
        var cache = KeyValueCache(stack, on: device)
        _ = decoder.hidden(Rows(start), &cache, on: device)
        cache.select([0, 0])
        for token in [Int32](3..<9) {
            var rows = Rows()
            rows.append([token], from: cache.length(of: 0))
            rows.append([token + 20], from: cache.length(of: 1))
            _ = decoder.hidden(rows, &cache, on: device)
        }
        var last = Rows()
        last.append([1], from: 76)
        last.append([1], from: 76)
        let both = decoder.hidden(last, &cache, on: device)
        for (index, shift) in [Int32(0), 20].enumerated() {
            let text = start + (Int32(3)..<9).map { $0 + shift } + [1]
            let alone = EquivalenceTests.whole(decoder, device, text).suffix(48)
            #expect(both.rows(index..<index + 1).values == Array(alone))
        }
    }
}
