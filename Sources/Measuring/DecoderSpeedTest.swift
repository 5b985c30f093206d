package import MartletGeneration
import MartletLayers
package import MartletModels
import MartletPlatform
package import MartletTensors

/// How fast a decoder reads prompts and continues them here: the work of generation without sampling.
package struct DecoderSpeedTest {
    package struct Result: Sendable {
        /// Seconds of each repetition.
        package var prefill: [Double] = []
        package var decode: [Double] = []
    }

    private let decoder: Decoder
    private let stack: Architecture.Stack
    private let device: Device

    /// - Throws: ``GenerationError`` for a model that does not continue texts.
    package init(_ decoder: Decoder, on device: Device) throws(GenerationError) {
        guard case .decoder(let stack) = decoder.architecture.body else {
            throw GenerationError("this model does not continue texts: it is not a decoder")
        }
        (self.decoder, self.stack, self.device) = (decoder, stack, device)
    }

    /// Reads `prompt` tokens and continues `batch` such sequences by `generate` tokens each, `repeats` times after one warm-up.
    package func run(
        prompt: Int, generate: Int, batch: Int, repeats: Int, chunk: Int = 512, cache type: ElementType = .f32
    ) throws(GenerationError) -> Result {
        let offences = decoder.architecture.offences(cache: type)
        guard offences.isEmpty else { throw GenerationError(offences.joined(separator: "; ")) }
        if let context = decoder.architecture.context, prompt + generate > context {
            throw GenerationError("\(prompt) + \(generate) tokens do not fit the model's context of \(context)")
        }
        var result = Result()
        for round in 0...repeats {
            var cache = KeyValueCache(stack, sequences: batch, type: type, on: device)
            let step = DecoderStep(decoder, rows: batch, cache: type, on: device)
            let prefill = measure { read(prompt, batch, chunk, &cache) }
            let count = round == 0 ? min(generate, 4) : generate
            let decode = measure { for index in 0..<count { advance(prompt + index, batch, step, &cache) } }
            guard round > 0 else { continue }
            result.prefill.append(prefill)
            result.decode.append(decode)
        }
        return result
    }

    private func read(_ prompt: Int, _ batch: Int, _ chunk: Int, _ cache: inout KeyValueCache) {
        for start in stride(from: 0, to: prompt, by: chunk) {
            pass(min(chunk, prompt - start), from: start, batch, &cache)
        }
    }

    /// One token of every sequence, in a step where the model has one.
    private func advance(_ position: Int, _ batch: Int, _ step: DecoderStep?, _ cache: inout KeyValueCache) {
        guard let step else { return pass(1, from: position, batch, &cache) }
        for row in 0..<batch {
            step.set(row: row, token: token(position + row), position: position, extent: position + 1)
        }
        cache.advance(step)
        step.run(rows: batch)
        for row in 0..<batch { _ = step.logits(row: row).argmax() }
    }

    /// `count` rows of every sequence, and the logits of each last one.
    private func pass(_ count: Int, from start: Int, _ batch: Int, _ cache: inout KeyValueCache) {
        var rows = Rows()
        for sequence in 0..<batch { rows.append(tokens(count, start + sequence), from: start) }
        let hidden = decoder.hidden(rows, &cache, on: device)
        _ = decoder.logits(hidden.selecting(rows: rows.lastRows)).argmax()
    }

    /// Tokens spread over the vocabulary.
    private func tokens(_ count: Int, _ start: Int) -> [Int32] {
        (0..<count).map { token(start + $0) }
    }

    private func token(_ number: Int) -> Int32 { Int32(number * 7_919 % decoder.architecture.vocabulary) }

    private func measure(_ work: () -> Void) -> Double {
        let duration = ContinuousClock().measure(work)
        return duration.seconds
    }
}
