import MartletFormats
import MartletPlatform
import MartletTensors

/// A writer of a ``TokenCache``: tokens as they come, in bounded memory but for four bytes a document. The file appears
/// whole or not at all.
final class TokenCacheWriter {
    private let path: String
    private var file: AtomicFile?
    private let width: Int
    private var lengths: [UInt32] = []
    private var length = 0
    private var count = 0

    /// - Parameter vocabulary: decides the width of a token.
    init(_ path: String, vocabulary: Int) throws(FileError) {
        self.path = path
        file = try AtomicFile(path)
        width = vocabulary <= 1 << 16 ? 2 : 4
    }

    /// Adds tokens to the current document.
    func append(_ tokens: [Int32]) throws(FileError) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(tokens.count * width)
        for token in tokens {
            for index in 0..<width { bytes.append(UInt8(truncatingIfNeeded: token >> (8 * Int32(index)))) }
        }
        try file?.append(bytes)
        count += tokens.count
        length += tokens.count
    }

    func endDocument() throws(FileError) {
        guard let length = UInt32(exactly: length) else {
            throw FileError(path: path, operation: "write", reason: "a document has over \(UInt32.max) tokens")
        }
        lengths.append(length)
        self.length = 0
    }

    /// Puts the file in its place. Nothing may be added afterwards.
    func finish() throws(FileError) {
        try file?.pad(to: 8)
        var start: UInt64 = 0
        var block = TokenCacheWriter.bytes(start)
        for length in lengths {
            start += UInt64(length)
            block += TokenCacheWriter.bytes(start)
            if block.count >= 1 << 20 {
                try file?.append(block)
                block = []
            }
        }
        block += TokenCache.magic
        for number in [width, lengths.count, count] { block += TokenCacheWriter.bytes(UInt64(number)) }
        try file?.append(block)
        try file.take()?.commit()
    }

    private static func bytes(_ word: UInt64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * UInt64($0))) }
    }
}
