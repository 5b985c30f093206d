import MartletFormats
import MartletTensors
import Testing

/// A checksum tells contents apart that differ in one bit, in the place of a word, or in length.
@Suite struct ChecksumTests {
    private static func storage(_ bytes: [UInt8]) -> Storage {
        let storage = Storage(bytes: bytes.count)
        for (index, byte) in bytes.enumerated() {
            unsafe storage.mutablePointer.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
        }
        return storage
    }

    private static func sum(_ bytes: [UInt8]) -> UInt64 { Checksum.of(storage(bytes), 0..<bytes.count) }

    @Test(arguments: [1, 7, 31, 32, 33, 64, 100, 257]) func differences(count: Int) {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 37 + 11) }
        let whole = Self.sum(bytes)
        #expect(whole == Self.sum(bytes))
        #expect(Self.sum(bytes + [0]) != whole && Self.sum(Array(bytes.dropLast())) != whole)
        for index in bytes.indices {
            for bit in 0..<8 {
                var changed = bytes
                changed[index] ^= 1 << UInt8(bit)
                #expect(Self.sum(changed) != whole)
            }
        }
    }

    @Test func placesCount() {
        let words = (0..<12).map { word in (0..<32).map { UInt8(truncatingIfNeeded: word * 41 + $0) } }
        let whole = Self.sum(words.flatMap { $0 })
        for (one, other) in [(0, 1), (3, 7), (10, 11)] {
            var swapped = words
            swapped.swapAt(one, other)
            #expect(Self.sum(swapped.flatMap { $0 }) != whole)
        }
    }

    /// A part has the checksum of the same bytes alone.
    @Test func partsAreAlone() {
        let bytes = (0..<300).map { UInt8(truncatingIfNeeded: $0 * $0) }
        #expect(Checksum.of(Self.storage(bytes), 17..<217) == Self.sum(Array(bytes[17..<217])))
    }
}
