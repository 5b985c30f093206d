import MartletPlatform

/// SHA-256 and SHA-1 of a stream of bytes.
///
/// Source: FIPS 180-4. SHA-1 is what git names small files by; large ones have a SHA-256.
package struct Digest {
    /// The kind of a digest.
    package enum Kind { case sha1, sha256 }

    private let kind: Kind
    private var state: [UInt32]
    private var words = [UInt32](repeating: 0, count: 80)
    private var pending: [UInt8] = []
    private var count: UInt64 = 0

    package init(_ kind: Kind) {
        self.kind = kind
        state =
            kind == .sha1
            ? [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0]
            : [
                0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19,
            ]
    }

    package mutating func append(_ bytes: [UInt8]) { unsafe bytes.withUnsafeBytes { unsafe append($0) } }

    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        count += UInt64(bytes.count)
        var start = 0
        if !pending.isEmpty {
            start = min(64 - pending.count, bytes.count)
            unsafe pending.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[..<start]))
            guard pending.count == 64 else { return }
            let block = pending
            unsafe block.withUnsafeBytes { unsafe take($0) }
            pending.removeAll(keepingCapacity: true)
        }
        while start + 64 <= bytes.count {
            unsafe take(UnsafeRawBufferPointer(rebasing: bytes[start..<start + 64]))
            start += 64
        }
        unsafe pending.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[start...]))
    }

    /// The digest in hexadecimal digits.
    package consuming func finish() -> String {
        let bits = count * 8
        append([0x80] + [UInt8](repeating: 0, count: (119 - pending.count) % 64))
        append((0..<8).map { UInt8(truncatingIfNeeded: bits >> (56 - 8 * UInt64($0))) })
        return state.map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 8 - digits.utf8.count) + digits
        }.joined()
    }

    private mutating func take(_ block: UnsafeRawBufferPointer) {
        for index in 0..<16 {
            words[index] = unsafe UInt32(bigEndian: block.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self))
        }
        kind == .sha1 ? mixFirst() : mixSecond()
    }

    private static func turned(_ word: UInt32, _ bits: UInt32) -> UInt32 { word >> bits | word << (32 - bits) }

    /// SHA-1's 80 rounds.
    private mutating func mixFirst() {
        for i in 16..<80 {
            words[i] = Digest.turned(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 31)
        }
        var (a, b, c, d, e) = (state[0], state[1], state[2], state[3], state[4])
        for i in 0..<80 {
            let (f, k): (UInt32, UInt32) =
                switch i {
                case ..<20: (b & c | ~b & d, 0x5A82_7999)
                case ..<40: (b ^ c ^ d, 0x6ED9_EBA1)
                case ..<60: (b & c | b & d | c & d, 0x8F1B_BCDC)
                default: (b ^ c ^ d, 0xCA62_C1D6)
                }
            let next = Digest.turned(a, 27) &+ f &+ e &+ k &+ words[i]
            (e, d, c, b, a) = (d, c, Digest.turned(b, 2), a, next)
        }
        for (i, word) in [a, b, c, d, e].enumerated() { state[i] &+= word }
    }

    /// SHA-256's 64 rounds.
    private mutating func mixSecond() {
        for i in 16..<64 {
            let (x, y) = (words[i - 15], words[i - 2])
            let first = Digest.turned(x, 7) ^ Digest.turned(x, 18) ^ (x >> 3)
            let second = Digest.turned(y, 17) ^ Digest.turned(y, 19) ^ (y >> 10)
            words[i] = words[i - 16] &+ first &+ words[i - 7] &+ second
        }
        var (a, b, c, d) = (state[0], state[1], state[2], state[3])
        var (e, f, g, h) = (state[4], state[5], state[6], state[7])
        for i in 0..<64 {
            let upper = Digest.turned(e, 6) ^ Digest.turned(e, 11) ^ Digest.turned(e, 25)
            let first = h &+ upper &+ (e & f ^ ~e & g) &+ Digest.roots[i] &+ words[i]
            let lower = Digest.turned(a, 2) ^ Digest.turned(a, 13) ^ Digest.turned(a, 22)
            let second = lower &+ (a & b ^ a & c ^ b & c)
            (h, g, f, e, d, c, b, a) = (g, f, e, d &+ first, c, b, a, first &+ second)
        }
        for (i, word) in [a, b, c, d, e, f, g, h].enumerated() { state[i] &+= word }
    }

    /// The first 32 bits of the fractions of the cube roots of the first 64 primes.
    private static let roots: [UInt32] = {
        var primes: [Int] = []
        var candidate = 2
        while primes.count < 64 {
            if primes.allSatisfy({ candidate % $0 != 0 }) { primes.append(candidate) }
            candidate += 1
        }
        return primes.map { prime in
            // ⌊∛prime · 2³²⌋ in integers: the largest r with r³ ≤ prime · 2⁹⁶.
            let target = UInt128(prime) << 96
            var (low, high) = (UInt128(1) << 32, UInt128(8) << 32)
            while low < high {
                let middle = (low + high + 1) / 2
                if middle * middle * middle <= target { low = middle } else { high = middle - 1 }
            }
            return UInt32(truncatingIfNeeded: low)
        }
    }()
}

extension Digest {
    /// The digest of the file at `path`; of kind SHA-1 as git names it, with its length before.
    ///
    /// - Throws: ``FileError``.
    static func ofFile(_ path: String, _ kind: Kind) throws(FileError) -> String {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError(path: path, operation: "open", code: errno) }
        defer { close(descriptor) }
        var digest = Digest(kind)
        if kind == .sha1 { digest.append(Array("blob \(Folder.size(of: path) ?? 0)\0".utf8)) }
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe readBytes(descriptor, into: $0) }
            guard count >= 0 else { throw FileError(path: path, operation: "read", code: errno) }
            guard count > 0 else { return digest.finish() }
            unsafe buffer.withUnsafeBytes { unsafe digest.append(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        }
    }
}
