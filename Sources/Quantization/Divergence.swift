import MartletLayers
package import MartletModels
import MartletPlatform
package import MartletTensors

/// The divergence of one model's predictions of a text from another's: KL divergence, agreement and perplexities.
///
/// Per predicted token, with p of the reference and q of the other: Σ p log(p / q), in nats; whether the likeliest
/// token is the same; and the text's perplexity under each, exp of the mean of −log of the probability of what follows.
package struct Divergence: Sendable {
    package private(set) var tokens = 0
    package private(set) var largest = 0.0
    private var sum = 0.0
    private var agreements = 0
    private var surprise = 0.0
    private var referenceSurprise = 0.0

    package init() {}

    package var mean: Double { sum / Double(max(tokens, 1)) }
    /// The share of tokens for which both find the same one likeliest.
    package var agreement: Double { Double(agreements) / Double(max(tokens, 1)) }
    package var perplexity: Double { exp(surprise / Double(max(tokens, 1))) }
    package var referencePerplexity: Double { exp(referenceSurprise / Double(max(tokens, 1))) }

    /// Adds rows of logits `[rows, vocabulary]` of both, and what follows each.
    package mutating func add(reference: Tensor, other: Tensor, next: [Int32], on device: Device) {
        let (rows, vocabulary) = (reference.shape[0], reference.shape[1])
        precondition(
            other.shape == reference.shape && next.count == rows,
            "divergence: \(reference.shape) and \(other.shape) with \(next.count) tokens")
        var results = [Double](repeating: 0, count: rows * 5)
        unsafe results.withUnsafeMutableBufferPointer { results in
            let results = unsafe results
            device.parallel(rows, cost: vocabulary * 64) { range in
                for row in range {
                    let p = unsafe reference.floats + row * vocabulary, q = unsafe other.floats + row * vocabulary
                    let measured = unsafe Divergence.measure(p, q, vocabulary, next: Int(next[row]))
                    for (index, value) in measured.enumerated() { unsafe results[row * 5 + index] = value }
                }
            }
        }
        for row in 0..<rows {
            let measured = results[row * 5..<row * 5 + 5].map { $0 }
            tokens += 1
            sum += measured[0]
            largest = max(largest, measured[0])
            agreements += measured[1] == measured[2] ? 1 : 0
            referenceSurprise += measured[3]
            surprise += measured[4]
        }
    }

    /// Divergence, both likeliest tokens, both surprises.
    private static func measure(
        _ p: UnsafePointer<Float>, _ q: UnsafePointer<Float>, _ count: Int, next: Int
    ) -> [Double] {
        let (bestP, totalP) = unsafe normalizer(p, count)
        let (bestQ, totalQ) = unsafe normalizer(q, count)
        var divergence = 0.0
        for i in 0..<count {
            let logP = unsafe Double(p[i]) - totalP
            let logQ = unsafe Double(q[i]) - totalQ
            divergence += exp(logP) * (logP - logQ)
        }
        let (surpriseP, surpriseQ) = unsafe (totalP - Double(p[next]), totalQ - Double(q[next]))
        return [max(divergence, 0), Double(bestP), Double(bestQ), surpriseP, surpriseQ]
    }

    /// The first of the largest, and log Σ exp.
    private static func normalizer(_ x: UnsafePointer<Float>, _ count: Int) -> (best: Int, total: Double) {
        var best = 0
        for i in 1..<max(count, 1) where unsafe x[i] > x[best] { best = i }
        let largest = unsafe Double(x[best])
        var total = 0.0
        for i in 0..<count { total += unsafe exp(Double(x[i]) - largest) }
        return (best, largest + log(total))
    }
}

extension Divergence {
    /// Runs windows of a text through both models.
    package init(
        of other: Decoder, from reference: Decoder, on windows: [TextWindows.Window], device: Device,
        progress: (_ tokens: Int) -> Void = { _ in }
    ) {
        for window in windows {
            let rows = Rows(Array(window.tokens.dropLast()))
            var (state, otherState) = (Uncached(), Uncached())
            let predicted = window.first - 1..<window.tokens.count - 1
            let hidden = reference.hidden(rows, &state, on: device).rows(predicted)
            let otherHidden = other.hidden(rows, &otherState, on: device).rows(predicted)
            for slice in hidden.slices {
                let next = window.tokens[window.first + slice.lowerBound..<window.first + slice.upperBound]
                add(
                    reference: reference.logits(hidden.rows(slice)), other: other.logits(otherHidden.rows(slice)),
                    next: Array(next), on: device)
            }
            progress(tokens)
        }
    }

    /// A text's tokens in pieces of `size`, each with the tokens that begin a text before it; a piece of one token says
    /// nothing and is left out.
    package static func windows(_ tokens: [Int32], size: Int, beginning: [Int32]) -> [[Int32]] {
        let step = max(1, size - beginning.count)
        return stride(from: 0, to: tokens.count, by: step).map { start in
            beginning + tokens[start..<min(start + step, tokens.count)]
        }.filter { $0.count > 1 }
    }
}

extension Tensor {
    /// The rows in ranges of at most 64: logits of a large vocabulary are not all kept at once.
    var slices: [Range<Int>] {
        stride(from: 0, to: shape[0], by: 64).map { $0..<min($0 + 64, shape[0]) }
    }
}
