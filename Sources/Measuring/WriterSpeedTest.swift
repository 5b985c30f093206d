package import MartletGeneration
import MartletLayers
package import MartletModels
import MartletPlatform
package import MartletTensors

/// A speed test of an encoder-decoder that reads sources and writes about them with several beams on this machine.
package struct WriterSpeedTest {
    /// The result of a test.
    package struct Result: Sendable {
        /// The times of each repetition, in seconds: of reading the sources, and of all together.
        package var reading: [Double] = []
        package var total: [Double] = []
    }

    private let model: EncoderDecoder
    private let device: Device

    package init(_ model: EncoderDecoder, on device: Device) { (self.model, self.device) = (model, device) }

    /// Reads `batch` sources of `source` tokens and writes exactly `target` about each, `repeats` times after a short
    /// warm-up.
    ///
    /// - Throws: ``GenerationError`` for texts that the model cannot read or write.
    package func run(source: Int, target: Int, batch: Int, beams: Int, repeats: Int) throws(GenerationError) -> Result {
        if let context = model.architecture.context, max(source, target + 1) > context {
            throw GenerationError("\(source) and \(target) tokens do not fit the model's context of \(context)")
        }
        let sources = (0..<batch).map { text in
            (0..<source).map { Int32((text * source + $0) * 7_919 % model.architecture.vocabulary) }
        }
        var result = Result()
        for round in 0...repeats {
            let count = round == 0 ? min(target, 4) : target
            let clock = ContinuousClock()
            let began = clock.now
            let continuation = Continuation(model, sources: sources, on: device)
            let read = clock.now
            _ = try search(count, beams).run(sources.map { _ in [0] }, on: continuation)
            guard round > 0 else { continue }
            result.reading.append((read - began).seconds)
            result.total.append((clock.now - began).seconds)
        }
        return result
    }

    /// A beam search that ends no text before its last token.
    private func search(_ count: Int, _ beams: Int) throws(GenerationError) -> BeamSearch {
        var options = BeamSearch.Options(beams: beams, maximumTokens: count, stopTokens: [0])
        options.rules.minimumNewTokens = count
        return try BeamSearch(options, vocabulary: model.targetVocabulary)
    }
}
