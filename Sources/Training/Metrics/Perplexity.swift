package import MartletDistributed
import MartletLayers
package import MartletModels
package import MartletTensors

/// The perplexity of a text under a model: exp(−1/N Σ log p(xᵢ | what the window holds before)), over ``TextWindows``.
package struct Perplexity: Sendable {
    /// The loss of a text and the number of tokens that it is the mean over.
    package struct Score: Sendable, Equatable {
        /// The mean negative logarithm of the probabilities, in nats a token.
        package let loss: Double
        package let tokens: Int
        package var perplexity: Double { exponential(loss) }
    }

    package let windows: TextWindows

    package init(_ windows: TextWindows) { self.windows = windows }

    package init(window: Int, stride: Int) { self.init(TextWindows(window: window, stride: stride)) }

    /// - Parameters:
    ///   - communicator: the ranks that share the windows.
    ///   - progress: told how many tokens have been predicted.
    /// - Throws: ``CommunicationError``.
    package func callAsFunction(
        _ tokens: [Int32], _ decoder: Decoder, over communicator: any Communicator = Alone(), on device: Device,
        progress: (_ done: Int) -> Void = { _ in }
    ) throws(CommunicationError) -> Score {
        let windows = windows(tokens)
        var losses = [Double](repeating: 0, count: windows.count)
        var count = 0
        for (index, window) in windows.enumerated() {
            count += window.tokens.count - window.first
            guard index % communicator.size == communicator.rank else { continue }
            losses[index] = loss(window.tokens, from: window.first, decoder, device)
            progress(count)
        }
        losses = try communicator.shared(losses, .evaluation) { $0 % communicator.size }
        return Score(loss: count == 0 ? 0 : losses.reduce(0, +) / Double(count), tokens: count)
    }

    /// The loss in nats, −Σ log p of the tokens at `first` and after.
    private func loss(_ tokens: [Int32], from first: Int, _ decoder: Decoder, _ device: Device) -> Double {
        let rows = Rows(Array(tokens.dropLast()))
        var state = Uncached()
        let hidden = decoder.hidden(rows, &state, on: device)
        let logits = decoder.logits(hidden.rows((first - 1)..<(tokens.count - 1)))
        let width = logits.shape.width
        var total = 0.0
        for (row, target) in tokens[first...].enumerated() {
            unsafe total += Perplexity.surprise(
                UnsafeBufferPointer(start: logits.floats + row * width, count: width), Int(target))
        }
        return total
    }

    /// The surprise of a target, log Σ exp(logits) − logits[target].
    private static func surprise(_ logits: UnsafeBufferPointer<Float>, _ target: Int) -> Double {
        let largest = unsafe logits.reduce(-Float.infinity) { max($0, $1) }
        let sum = unsafe logits.reduce(0.0) { $0 + exponential(Double($1 - largest)) }
        return unsafe naturalLogarithm(sum) + Double(largest - logits[target])
    }
}
