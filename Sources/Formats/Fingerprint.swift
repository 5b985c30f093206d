package import MartletPlatform
import MartletTensors

/// A fingerprint of 128 bits that tell contents apart: two multiply-rotate lanes over words of eight bytes, each mixed
/// at the end (MurmurHash3's finaliser).
///
/// For telling one's own files apart, not against an adversary: it is some ten times quicker than SHA-256, and
/// gigabytes are hashed at each start of a run.
package struct Fingerprint: Sendable, Hashable, CustomStringConvertible {
    private var first: UInt64 = 0x9E37_79B9_7F4A_7C15
    private var second: UInt64 = 0xC2B2_AE3D_27D4_EB4F

    package init() {}

    /// Adds a text, so that "ab" + "c" differs from "a" + "bc".
    package mutating func add(_ text: String) { add(Array(text.utf8)) }

    package mutating func add(_ bytes: [UInt8]) {
        unsafe bytes.span.withUnsafeBytes { unsafe add($0) }
        add(UInt64(bytes.count))
    }

    /// Adds the content of a file, read once and in bounded memory.
    package mutating func add(file path: String) throws(FileError) {
        let file = try Storage(mapping: path)
        let stretch = 64 << 20
        for start in stride(from: 0, to: file.bytes, by: stretch) {
            let end = min(start + stretch, file.bytes)
            unsafe add(UnsafeRawBufferPointer(start: file.pointer + start, count: end - start))
            file.release(start..<end)
        }
        add(UInt64(file.bytes))
    }

    /// Adds what the system tells of a file without reading it: its place, its length, and when it was written and
    /// when it was put there. Whatever changes the content changes one of them.
    package mutating func add(identityOf path: String) throws(FileError) {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { throw FileError(path: path, operation: "open", code: errno) }
        add(Folder.absolute(path))
        for number in [
            Int(status.st_ino), Int(status.st_size), status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
            status.st_ctim.tv_sec, status.st_ctim.tv_nsec,
        ] { add(UInt64(truncatingIfNeeded: number)) }
    }

    private mutating func add(_ bytes: UnsafeRawBufferPointer) {
        let words = bytes.count / 8
        for index in 0..<words {
            unsafe add(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self)))
        }
        var tail: UInt64 = 0
        for index in words * 8..<bytes.count { unsafe tail = tail << 8 | UInt64(bytes[index]) }
        if bytes.count % 8 > 0 { add(tail) }
    }

    private mutating func add(_ word: UInt64) {
        first = Fingerprint.rotated(first ^ (word &* 0x87C3_7B91_1142_53D5), 31) &* 5 &+ 0x52DC_E729
        second = Fingerprint.rotated(second &+ (word ^ 0x4CF5_AD43_2745_937F), 27) &* 0x9FB2_1C65_1E98_DF25
    }

    private static func rotated(_ word: UInt64, _ count: UInt64) -> UInt64 { word << count | word >> (64 - count) }

    /// A good mixture of a word's bits.
    package static func mixed(_ word: UInt64) -> UInt64 {
        var word = (word ^ word >> 33) &* 0xFF51_AFD7_ED55_8CCD
        word = (word ^ word >> 33) &* 0xC4CE_B9FE_1A85_EC53
        return word ^ word >> 33
    }

    /// The fingerprint as 32 hexadecimal digits.
    package var description: String {
        let words = [Fingerprint.mixed(first ^ second), Fingerprint.mixed(second &+ Fingerprint.mixed(first))]
        return words.map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}
