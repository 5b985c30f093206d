/// A 64-bit hash of bytes, seeded once per process so that no file can be made to collide.
///
/// Eight bytes at a time are folded by a 64×64→128 multiplication (after wyhash's mixing step); two tables in one
/// process agree.
enum ByteHash {
    static let seed = UInt64.random(in: .min ... .max) | 1

    @inline(__always)
    static func fold(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let product = a.multipliedFullWidth(by: b)
        return product.high ^ product.low
    }

    @inline(__always)
    static func hash(_ bytes: Span<UInt8>, seed: UInt64) -> UInt64 {
        unsafe bytes.withUnsafeBytes { raw in
            guard let base = raw.baseAddress else { return seed }
            var (state, index) = (seed ^ UInt64(raw.count) &* 0x9E37_79B9_7F4A_7C15, 0)
            while index + 8 <= raw.count {
                state = unsafe fold(
                    state ^ base.loadUnaligned(fromByteOffset: index, as: UInt64.self), 0xA076_1D64_78BD_642F)
                index += 8
            }
            var tail: UInt64 = 0
            while index < raw.count {
                tail = unsafe UInt64(base.load(fromByteOffset: index, as: UInt8.self)) | tail << 8
                index += 1
            }
            return fold(state ^ tail, 0xE703_7ED1_A0B4_28DB)
        }
    }
}
