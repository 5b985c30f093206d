/// The bytes of the file at `path`, also of one that cannot be mapped.
///
/// - Parameter limit: the most bytes that are read; a longer or endless file is refused.
/// - Throws: ``FileError``.
package func fileBytes(_ path: String, limit: Int = 1 << 31) throws(FileError) -> [UInt8] {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError(path: path, operation: "open", code: errno) }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
        if count < 0 && errno == EINTR { continue }
        guard count >= 0 else { throw FileError(path: path, operation: "read", code: errno) }
        guard count > 0 else { return bytes }
        guard bytes.count + count <= limit else {
            throw FileError(path: path, operation: "read", reason: "it is longer than \(limit) bytes")
        }
        bytes += buffer.prefix(count)
    }
}
