import MartletFormats

/// A seeded order of 0 ..< count that is never written down: a Feistel network over the next even power of two, walked
/// until it lands inside (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002).
///
/// Any place of the order is found in constant time and memory, so that a shuffle of billions costs nothing and resumes
/// anywhere.
package struct Permutation: Sendable {
    package let count: Int
    private let halfBits: UInt64
    private let keys: [UInt64]
    private static let rounds = 6

    package init(count: Int, seed: UInt64) {
        precondition(count >= 0, "Permutation: \(count) things")
        self.count = count
        let bits = count <= 1 ? 0 : Int.bitWidth - (count - 1).leadingZeroBitCount
        halfBits = UInt64(max(1, (bits + 1) / 2))
        keys = (0..<Permutation.rounds).map { Fingerprint.mixed(seed ^ Fingerprint.mixed(UInt64($0) &+ 1)) }
    }

    /// The number that stands at `place`.
    ///
    /// - Precondition: `place` lies in 0 ..< count.
    package subscript(place: Int) -> Int {
        precondition(place >= 0 && place < count, "Permutation: place \(place) of \(count)")
        var value = UInt64(place)
        repeat { value = shuffled(value) } while value >= UInt64(count)
        return Int(value)
    }

    private func shuffled(_ value: UInt64) -> UInt64 {
        let mask = (1 << halfBits) - 1 as UInt64
        var (left, right) = (value >> halfBits, value & mask)
        for key in keys { (left, right) = (right, left ^ (Fingerprint.mixed(right ^ key) & mask)) }
        return left << halfBits | right
    }
}
