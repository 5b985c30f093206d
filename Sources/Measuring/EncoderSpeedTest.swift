package import MartletGeneration
import MartletLayers
package import MartletModels
import MartletPlatform
package import MartletTensors

/// A speed test of an encoder on this machine.
package struct EncoderSpeedTest {
    private let encoder: Encoder
    private let device: Device

    package init(_ encoder: Encoder, on device: Device) { (self.encoder, self.device) = (encoder, device) }

    /// Reads `batch` texts of `tokens` tokens at once, `repeats` times after one warm-up.
    ///
    /// - Returns: seconds of each repetition.
    /// - Throws: ``GenerationError`` for texts that the model cannot read.
    package func run(tokens: Int, batch: Int, repeats: Int) throws(GenerationError) -> [Double] {
        if let context = encoder.architecture.context, tokens > context {
            throw GenerationError("\(tokens) tokens do not fit the model's context of \(context)")
        }
        var rows = Rows()
        for text in 0..<batch {
            rows.append((0..<tokens).map { Int32((text * tokens + $0) * 7_919 % encoder.architecture.vocabulary) })
        }
        var seconds: [Double] = []
        for round in 0...repeats {
            let duration = ContinuousClock().measure {
                var state = Uncached()
                _ = encoder.hidden(rows, &state, on: device)
            }
            let time = duration.seconds
            if round > 0 { seconds.append(time) }
        }
        return seconds
    }
}
