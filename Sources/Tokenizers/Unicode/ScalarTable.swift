/// A value per Unicode scalar in two stages: 0x1100 block numbers, then blocks of 256 values; equal blocks that hold
/// one value only are stored once. About 60 kB for the properties.
struct ScalarTable: Sendable {
    private let blockStarts: FrozenArray<UInt32>
    private let values: FrozenArray<UInt16>

    /// - Parameter runs: pairs (length, value) that cover all 0x110000 code points.
    init(runs: StaticString) {
        var numbers = PackedNumbers(runs)
        var flat: [UInt16] = []
        flat.reserveCapacity(0x110000)
        while !numbers.isAtEnd {
            let length = numbers.next()
            flat.append(contentsOf: repeatElement(UInt16(truncatingIfNeeded: numbers.next()), count: length))
        }
        self.init(flat: flat)
    }

    /// - Parameter flat: The value of each of the 0x110000 code points.
    init(flat: [UInt16]) {
        precondition(flat.count == 0x110000, "ScalarTable: \(flat.count) values, not one per code point")
        var starts: [UInt32] = []
        var stored: [UInt16] = []
        var uniform: [UInt16: UInt32] = [:]
        for block in 0..<0x1100 {
            let slice = flat[(block << 8)..<((block + 1) << 8)]
            let first = slice[slice.startIndex]
            let isUniform = slice.allSatisfy { $0 == first }
            if isUniform, let start = uniform[first] {
                starts.append(start)
                continue
            }
            if isUniform { uniform[first] = UInt32(stored.count) }
            starts.append(UInt32(stored.count))
            stored.append(contentsOf: slice)
        }
        blockStarts = FrozenArray(starts)
        values = FrozenArray(stored)
    }

    /// - Precondition: `scalar` ≤ 0x10FFFF.
    @inline(__always)
    subscript(_ scalar: UInt32) -> UInt16 {
        values[Int(blockStarts[Int(scalar >> 8)]) &+ Int(scalar & 255)]
    }
}
