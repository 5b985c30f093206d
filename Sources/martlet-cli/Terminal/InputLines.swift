import MartletPlatform
import MartletTensors

/// The lines of a file or of standard input, some at a time, so that memory stays bounded by the longest line.
struct InputLines: ~Copyable {
    private let path: String
    private let batchSize: Int
    private let descriptor: Int32
    private var buffer: [UInt8] = []
    private var isAtEnd = false
    private var hasWarned = false
    /// The bytes of the longest line that is read, and that memory lets become tokens.
    private let longestLine = Input.fitting(1 << 28, shareOfMemory: 64)

    /// - Parameters:
    ///   - path: "-" for standard input.
    ///   - batchSize: How many bytes are read at a time, or more where lines are longer.
    init(_ path: String, batchSize: Int = 1 << 22) throws(FileError) {
        (self.path, self.batchSize) = (path, batchSize)
        descriptor = path == "-" ? 0 : unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Input.failure(path, "open") }
    }

    deinit { if descriptor > 0 { close(descriptor) } }

    /// The next lines without their ends, nil when there are no more. Malformed UTF-8 becomes U+FFFD.
    mutating func nextBatch() throws(FileError) -> [String]? {
        guard let text = try nextText() else { return nil }
        return InputLines.split(text).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The lines of a text without their ends; a last line without an end counts.
    static func split(_ text: [UInt8]) -> [ArraySlice<UInt8>] {
        var lines = text.split(separator: 10, omittingEmptySubsequences: false)
        if text.isEmpty || text.last == 10 { lines.removeLast() }
        return lines.map { $0.last == 13 ? $0.dropLast() : $0 }
    }

    /// The next whole lines as they are, nil when there are no more.
    mutating func nextText() throws(FileError) -> [UInt8]? {
        var end = buffer.lastIndex(of: 10).map { $0 + 1 }
        while end == nil || !isAtEnd && buffer.count < batchSize {
            let before = buffer.count
            guard try fill() else { break }
            guard end != nil || buffer.count <= longestLine else {
                throw Input.tooLong(path, "a line of more than \(longestLine) bytes")
            }
            if let found = buffer[before...].lastIndex(of: 10) { end = found + 1 }
        }
        let text = Array(isAtEnd ? buffer[...] : buffer[..<(end ?? buffer.count)])
        guard !text.isEmpty else { return nil }
        buffer.removeSubrange(..<text.count)
        if !hasWarned, String(validating: text, as: UTF8.self) == nil {
            Input.warnOfMalformedText(path)
            hasWarned = true
        }
        return text
    }

    /// Reads some bytes; false at the end.
    private mutating func fill() throws(FileError) -> Bool {
        var count = 0
        buffer += unsafe [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, initialized in
            count = unsafe readBytes(descriptor, into: UnsafeMutableRawBufferPointer(buffer))
            initialized = max(count, 0)
        }
        guard count >= 0 else { throw Input.failure(path, "read") }
        isAtEnd = count == 0
        return count > 0
    }
}
