import MartletLayers
package import MartletModels
package import MartletTensors

/// How surprising a model finds a text: exp(−1/N Σ log p(xᵢ | what the window holds before)).
///
/// Windows slide by `stride`; each token is counted once, in the first window that holds it, so that all but the first window's tokens have at
/// least window − stride tokens before them. The text's first token has nothing before it and does not count; nor does, at stride = window,
/// the first of each window.
package struct Perplexity: Sendable {
    package struct Score: Sendable, Equatable {
        /// The mean negative logarithm of the probabilities, in nats a token.
        package let loss: Double
        package let tokens: Int
        package var perplexity: Double { exponential(loss) }
    }

    package let window: Int
    package let stride: Int

    package init(window: Int, stride: Int) {
        precondition(window >= 2 && stride >= 1 && stride <= window, "Perplexity: window \(window), stride \(stride)")
        (self.window, self.stride) = (window, stride)
    }

    package func callAsFunction(
        _ tokens: [Int32], _ decoder: Decoder, on device: Device, progress: (_ done: Int) -> Void = { _ in }
    ) -> Score {
        var (total, count, previous) = (0.0, 0, 0)
        for begin in Swift.stride(from: 0, to: tokens.count, by: stride) {
            let end = min(begin + window, tokens.count)
            // The targets of this window that no window before had; the first token of a window is no target.
            let first = max(previous, begin + 1)
            if first < end {
                total += loss(Array(tokens[begin..<end]), from: first - begin, decoder, device)
                count += end - first
            }
            previous = end
            progress(end)
            if end == tokens.count { break }
        }
        return Score(loss: count == 0 ? 0 : total / Double(count), tokens: count)
    }

    /// −Σ log p of the tokens at `first` and after.
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

    /// log Σ exp(logits) − logits[target].
    private static func surprise(_ logits: UnsafeBufferPointer<Float>, _ target: Int) -> Double {
        let largest = unsafe logits.reduce(-Float.infinity) { max($0, $1) }
        let sum = unsafe logits.reduce(0.0) { $0 + exponential(Double($1 - largest)) }
        return unsafe naturalLogarithm(sum) + Double(largest - logits[target])
    }
}
