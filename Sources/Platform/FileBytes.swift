/// The bytes of the file at `path`, also of one that cannot be mapped.
///
/// - Parameter limit: the most bytes that are read; a longer or endless file is refused, and a device that gives more
///   than a MiB.
/// - Throws: ``FileError``.
package func fileBytes(_ path: String, limit: Int = 1 << 31) throws(FileError) -> [UInt8] {
    let descriptor = fileOpened(path)
    guard descriptor >= 0 else { throw FileError(path: path, operation: "open", code: errno) }
    defer { close(descriptor) }
    var status = stat()
    let isDevice = unsafe fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFCHR
    let limit = isDevice ? min(limit, 1 << 20) : limit
    let tooLong = FileError(path: path, operation: "read", reason: "it is longer than \(limit) bytes")
    guard Int(status.st_size) <= limit else { throw tooLong }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe readBytes(descriptor, into: $0) }
        guard count >= 0 else { throw FileError(path: path, operation: "read", code: errno) }
        guard count > 0 else { return bytes }
        guard bytes.count + count <= limit else { throw tooLong }
        bytes += buffer.prefix(count)
    }
}

/// Returns whether something is at `path`.
package func fileExists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

/// Opens a file to read it, without waiting for somebody who writes into a named pipe: one that nobody writes into is
/// empty.
///
/// - Returns: the descriptor; negative where the system does not open it, with the reason in `errno`.
package func fileOpened(_ path: String) -> Int32 {
    let descriptor = unsafe open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    if descriptor >= 0 { _ = fcntl(descriptor, F_SETFL, O_RDONLY) }
    return descriptor
}
