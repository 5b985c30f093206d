import MartletGeneration
import MartletLayers
import MartletModels
import MartletTensors
import Testing

/// The logits that passes and steps give for the same tokens.
enum StepComparison {
    /// Packs weights as other types, by turns.
    final class Mixed: ParameterSource {
        private let initialiser: SeededInitialiser
        private let device: Device
        private let types: [ElementType]
        private var next = 0

        init(_ types: [ElementType], _ device: Device) {
            (self.types, self.device) = (types, device)
            initialiser = SeededInitialiser(seed: 5, device: device, deviation: 0.3)
        }

        func parameter(_ description: ParameterDescription) -> Parameter { initialiser.parameter(description) }
        func packed(_ parameter: Parameter) -> PackedMatrix? {
            next += 1
            return PackedMatrix(parameter.tensor.converted(to: types[next % types.count], on: device), on: device)
        }
        func decoded(_ parameter: Parameter) -> Parameter { parameter }
    }

    /// The logits after each of `tokens` from `first` on, by passes of one row.
    static func byPasses(
        _ decoder: Decoder, _ device: Device, _ tokens: [Int32], from first: Int, cache type: ElementType = .f32
    ) throws -> [[Float]] {
        guard case .decoder(let stack) = decoder.architecture.body else { return [] }
        var cache = KeyValueCache(stack, type: type, on: device)
        var logits: [[Float]] = []
        for start in [0] + Array(first..<tokens.count) {
            var rows = Rows()
            rows.append(Array(tokens[start..<(start == 0 ? first : start + 1)]), from: start)
            let hidden = decoder.hidden(rows, &cache, on: device)
            if start > 0 { logits.append(decoder.logits(hidden).values) }
        }
        return logits
    }

    /// The logits by decode steps.
    static func bySteps(
        _ decoder: Decoder, _ device: Device, _ tokens: [Int32], from first: Int, cache type: ElementType = .f32
    ) throws -> [[Float]] {
        let engine = try StepEngine(decoder, cache: type, on: device)
        var cache = engine.cache(sequences: 1)
        #expect(DecoderStep(decoder, rows: 1, layout: engine.layout, on: device) != nil)
        _ = decoder.hidden(Rows(Array(tokens[..<first])), &cache, on: device)
        return (first..<tokens.count).map { position in
            engine.logits([StepRow(token: tokens[position], position: position)], &cache)?.values ?? []
        }
    }
}
