package import MartletPlatform

/// The lines of a file of any size, one at a time.
package final class LineReader {
    /// A line may have this many bytes.
    package static let longestLine = 1 << 28
    private static let chunk = 1 << 20

    private let path: String
    private let descriptor: Int32
    private var buffer: [UInt8] = []
    private var start = 0
    private var ended = false

    package init(_ path: String) throws(FileError) {
        self.path = path
        descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError(path: path, operation: "open", code: errno) }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// The next line without its end, nil after the last; a line that ends with the file counts as one.
    package func next() throws(FileError) -> [UInt8]? {
        var searched = start
        while true {
            if let end = buffer[searched...].firstIndex(of: 10) {
                defer { start = end + 1 }
                return Array(buffer[start..<end])
            }
            searched = buffer.count
            if ended {
                guard start < buffer.count else { return nil }
                defer { start = buffer.count }
                return Array(buffer[start...])
            }
            guard buffer.count - start <= LineReader.longestLine else {
                throw FileError(
                    path: path, operation: "read", reason: "a line has over \(LineReader.longestLine) bytes")
            }
            buffer.removeFirst(start)
            (searched, start) = (searched - start, 0)
            try fill()
        }
    }

    private func fill() throws(FileError) {
        var count = 0
        buffer += unsafe [UInt8](unsafeUninitializedCapacity: LineReader.chunk) { memory, initialized in
            count = unsafe readBytes(descriptor, into: UnsafeMutableRawBufferPointer(memory))
            initialized = max(count, 0)
        }
        guard count >= 0 else { throw FileError(path: path, operation: "read", code: errno) }
        if count == 0 { ended = true }
    }
}
