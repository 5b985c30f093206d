// MartletPlatform: the C library, files, clock and threads of the system. Knows no tensor, no model and no text.

#if canImport(Glibc)
    @_exported public import Glibc
#elseif canImport(Musl)
    @_exported public import Musl
#endif

/// The C library's `rename`, under a name that no method hides: 0, or −1 with `errno`.
func renameFile(_ path: String, _ other: String) -> Int32 { unsafe rename(path, other) }

/// The C library's `write`, under a name that no method hides: bytes written, or −1 with `errno`.
package func writeBytes(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
    unsafe write(descriptor, bytes, count)
}

/// Waits for room in a pipe or socket that another process has set not to wait.
private func waitUntilWritable(_ descriptor: Int32) -> Bool {
    var place = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    let count = unsafe poll(&place, 1, -1)
    return count > 0 || (count < 0 && errno == EINTR)
}

/// Writes all of `bytes`, however many calls that takes, whatever signals come between them.
///
/// - Parameter offset: the place in the file; nil where the descriptor stands.
/// - Returns: false, with the reason in `errno`, where the system takes no more.
package func writeAll(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, at offset: Int? = nil) -> Bool {
    var done = 0
    while let start = bytes.baseAddress, done < bytes.count {
        let (from, rest) = unsafe (start + done, bytes.count - done)
        let step =
            unsafe offset.map { unsafe pwrite(descriptor, from, rest, off_t($0 + done)) }
            ?? write(descriptor, from, rest)
        if step < 0 && (errno == EINTR || (errno == EAGAIN && waitUntilWritable(descriptor))) { continue }
        guard step > 0 else { return false }
        done += step
    }
    return true
}

/// The C library's `read`, again where a signal came first: bytes read, 0 at the end, or −1 with `errno`.
package func readBytes(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    while true {
        let count = unsafe read(descriptor, buffer.baseAddress, buffer.count)
        if count >= 0 || errno != EINTR { return count }
    }
}
