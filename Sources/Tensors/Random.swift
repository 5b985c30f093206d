import CMartletKernels
import MartletPlatform

/// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
///
/// The words at an index depend on the key, the stream and the index alone, so that any part of a sequence can be made
/// again, in any order, on any number of threads.
package struct Random: Sendable, Hashable, Codable {
    package let seed: UInt64
    /// Independent sequences of one seed.
    package let stream: UInt64
    /// The block counter of the generator: how many blocks of four words the `next` methods have drawn.
    package private(set) var counter: UInt64 = 0

    package init(seed: UInt64, stream: UInt64 = 0) { (self.seed, self.stream) = (seed, stream) }

    /// The four words of block `index`.
    package func words(at index: UInt64) -> (UInt32, UInt32, UInt32, UInt32) {
        var words: [4 of UInt32] = [0, 0, 0, 0]
        var span = words.mutableSpan
        unsafe span.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            unsafe martlet_philox(seed, index, stream, base)
        }
        return (words[0], words[1], words[2], words[3])
    }

    /// The next number in [0, 1).
    package mutating func uniform() -> Double {
        defer { counter += 1 }
        return uniform(at: counter)
    }

    /// The number in [0, 1) of block `index`, with 53 random bits.
    package func uniform(at index: UInt64) -> Double {
        let (high, low, _, _) = words(at: index)
        return Double((UInt64(high) << 32 | UInt64(low)) >> 11) * 0x1p-53
    }

    /// A whole number below `limit`.
    package mutating func below(_ limit: Int) -> Int {
        precondition(limit > 0, "Random: a number below \(limit)")
        return min(limit - 1, Int(uniform() * Double(limit)))
    }

    /// `count` numbers from the normal distribution by the Box–Muller transform, as block indices 0, 1, … give them.
    package func normals(_ count: Int, deviation: Float) -> [Float] {
        var values: [Float] = []
        values.reserveCapacity(count + 3)
        var index: UInt64 = 0
        while values.count < count {
            let (a, b, c, d) = words(at: index)
            values.append(contentsOf: Random.pair(a, b, deviation))
            values.append(contentsOf: Random.pair(c, d, deviation))
            index += 1
        }
        values.removeLast(values.count - count)
        return values
    }

    private static func pair(_ a: UInt32, _ b: UInt32, _ deviation: Float) -> [Float] {
        // (a + 1) / 2³² lies in (0, 1], where the logarithm is finite.
        let radius = (-2 * log((Double(a) + 1) * 0x1p-32)).squareRoot()
        let angle = 2 * Double.pi * Double(b) * 0x1p-32
        return [Float(radius * cos(angle)) * deviation, Float(radius * sin(angle)) * deviation]
    }
}
