package import MartletTensors

/// A checksum of large contents: two running sums, of the words and of the first sum, in four lanes of 64 bits
/// (Fletcher's checksum; RFC 1146 describes it for bytes).
///
/// For telling a damaged file of one's own from a whole one at the speed of memory, not against an adversary. A word
/// that changes, moves or is missing changes it.
package enum Checksum {
    /// The checksum of the bytes `range` of `storage`.
    package static func of(_ storage: Storage, _ range: Range<Int>) -> UInt64 {
        precondition(
            range.lowerBound >= 0 && range.upperBound <= storage.bytes, "Checksum: \(range) of \(storage.bytes) bytes")
        let width = MemoryLayout<SIMD4<UInt64>>.size
        var (first, second) = (SIMD4<UInt64>(1, 2, 3, 4), SIMD4<UInt64>(repeating: UInt64(range.count)))
        var offset = range.lowerBound
        while offset + width <= range.upperBound {
            first &+= unsafe storage.pointer.loadUnaligned(fromByteOffset: offset, as: SIMD4<UInt64>.self)
            second &+= first
            offset += width
        }
        for last in offset..<range.upperBound {
            first[0] &+= UInt64(unsafe storage.pointer.load(fromByteOffset: last, as: UInt8.self))
            second &+= first
        }
        return (0..<4).reduce(UInt64(0)) { sum, lane in
            Fingerprint.mixed(Fingerprint.mixed(sum ^ first[lane]) &+ second[lane])
        }
    }
}
