package import MartletGeneration
import MartletLayers
package import MartletModels
import MartletPlatform
package import MartletTensors

/// A speed test of prefill and decode on this machine: the work of generation without sampling.
package struct DecoderSpeedTest {
    /// The result of a test.
    package struct Result: Sendable {
        /// The prefill and decode times of each repetition, in seconds.
        package var prefill: [Double] = []
        package var decode: [Double] = []
    }

    private let decoder: Decoder
    private let device: Device

    /// - Throws: ``GenerationError`` for a model that does not continue texts.
    package init(_ decoder: Decoder, on device: Device) throws(GenerationError) {
        _ = try StepEngine(decoder, on: device)
        (self.decoder, self.device) = (decoder, device)
    }

    /// Reads `prompt` tokens and continues `batch` such sequences by `generate` tokens each, `repeats` times after one
    /// warm-up.
    package func run(
        prompt: Int, generate: Int, batch: Int, repeats: Int, chunk: Int = 512, cache type: ElementType = .f32
    ) throws(GenerationError) -> Result {
        let offences = decoder.architecture.offences(cache: type)
        guard offences.isEmpty else { throw GenerationError(offences.joined(separator: "; ")) }
        if let context = decoder.architecture.context, prompt + generate > context {
            throw GenerationError("\(prompt) + \(generate) tokens do not fit the model's context of \(context)")
        }
        let engine = try StepEngine(decoder, cache: type, on: device)
        var result = Result()
        for round in 0...repeats {
            var cache = engine.cache(sequences: batch)
            let prefill = measure {
                for start in stride(from: 0, to: prompt, by: chunk) {
                    advance(min(chunk, prompt - start), from: start, batch, engine, &cache)
                }
            }
            let count = round == 0 ? min(generate, 4) : generate
            let decode = measure {
                for index in 0..<count { advance(1, from: prompt + index, batch, engine, &cache) }
            }
            guard round > 0 else { continue }
            result.prefill.append(prefill)
            result.decode.append(decode)
        }
        return result
    }

    /// `count` tokens of every sequence, spread over the vocabulary, and the logits of each last one.
    private func advance(
        _ count: Int, from start: Int, _ batch: Int, _ engine: StepEngine, _ cache: inout KeyValueCache
    ) {
        let rows = (0..<batch).flatMap { sequence in
            (start..<start + count).map { position in
                StepRow(
                    token: token(position + sequence), position: position, sequence: SequenceID(sequence),
                    isWanted: position + 1 == start + count)
            }
        }
        guard let logits = engine.logits(rows, &cache) else { return }
        for row in 0..<batch { _ = logits.rows(row..<row + 1).argmax() }
    }

    private func token(_ number: Int) -> Int32 { Int32(number * 7_919 % decoder.architecture.vocabulary) }

    private func measure(_ work: () -> Void) -> Double {
        let duration = ContinuousClock().measure(work)
        return duration.seconds
    }
}
