/// The tokens of words seen lately: a direct-mapped table of cache lines, 2 MiB for each thread that encodes.
///
/// A word of up to 24 bytes is its own key, three machine words and its length; up to 9 ids lie beside it. What does
/// not fit is tokenized each time. It belongs to one workspace, which one thread has at a time.
@safe
final class PieceCache: @unchecked Sendable {
    static let longestWord = 24
    private static let largestCount = 9
    private static let size = 1 << 15

    private struct Entry: BitwiseCopyable {
        var key: (UInt64, UInt64, UInt64) = (0, 0, 0)
        /// The length of the word in the lower byte, the number of ids above; 0 while free.
        var shape: Int32 = 0
        var ids: (Int32, Int32, Int32, Int32, Int32, Int32, Int32, Int32, Int32) = (0, 0, 0, 0, 0, 0, 0, 0, 0)
    }

    /// A word as a key.
    struct Key {
        let first: UInt64
        let second: UInt64
        let third: UInt64
        let length: Int32
        fileprivate let slot: Int
    }

    private let entries: UnsafeMutablePointer<Entry>

    init() {
        unsafe entries = .allocate(capacity: PieceCache.size)
        unsafe entries.initialize(repeating: Entry(), count: PieceCache.size)
    }

    deinit { unsafe entries.deallocate() }

    /// The key of a word of 1 to 24 bytes: its first, middle and last bytes, which overlap in short words.
    @inline(__always)
    static func key(_ word: Span<UInt8>) -> Key {
        precondition(word.count > 0 && word.count <= longestWord, "PieceCache: a word of \(word.count) bytes")
        let count = word.count
        let (first, second, third) = unsafe word.withUnsafeBytes { bytes -> (UInt64, UInt64, UInt64) in
            func word8(_ at: Int) -> UInt64 { unsafe bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self) }
            func word4(_ at: Int) -> UInt64 { UInt64(unsafe bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self)) }
            if count > 16 { return (word8(0), word8(8), word8(count - 8)) }
            if count >= 8 { return (word8(0), word8(count - 8), 0) }
            if count >= 4 { return (word4(0) | word4(count - 4) << 32, 0, 0) }
            let (a, b, c) = unsafe (UInt64(bytes[0]), UInt64(bytes[count >> 1]), UInt64(bytes[count - 1]))
            return (a | b << 8 | c << 16, 0, 0)
        }
        let mixed = ByteHash.fold(
            first ^ 0x9E37_79B9_7F4A_7C15,
            second ^ third &* 0xA076_1D64_78BD_642F ^ UInt64(count) ^ 0xE703_7ED1_A0B4_28DB)
        return Key(
            first: first, second: second, third: third, length: Int32(truncatingIfNeeded: count),
            slot: Int(truncatingIfNeeded: mixed) & (size - 1))
    }

    /// Appends the tokens of the word if they are known.
    @inline(__always)
    func append(_ key: Key, to ids: inout [Int32]) -> Bool {
        let entry = unsafe entries + key.slot
        guard unsafe entry.pointee.shape & 255 == key.length, unsafe entry.pointee.key.0 == key.first,
            unsafe entry.pointee.key.1 == key.second, unsafe entry.pointee.key.2 == key.third
        else { return false }
        let count = unsafe Int(entry.pointee.shape >> 8)
        unsafe ids.append(entry.pointee.ids.0)
        if count > 1 {
            unsafe withUnsafeBytes(of: &entry.pointee.ids) { bytes in
                let all = unsafe bytes.assumingMemoryBound(to: Int32.self)
                for index in 1..<count { unsafe ids.append(all[index]) }
            }
        }
        return true
    }

    /// Keeps the tokens of a word.
    func store(_ key: Key, _ ids: ArraySlice<Int32>) {
        guard !ids.isEmpty, ids.count <= PieceCache.largestCount else { return }
        var entry = Entry()
        entry.key = (key.first, key.second, key.third)
        entry.shape = key.length | Int32(ids.count) << 8
        unsafe withUnsafeMutableBytes(of: &entry.ids) { bytes in
            let all = unsafe bytes.assumingMemoryBound(to: Int32.self)
            for (index, id) in ids.enumerated() { unsafe all[index] = id }
        }
        unsafe entries[key.slot] = entry
    }
}
