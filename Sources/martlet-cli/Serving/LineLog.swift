import MartletPlatform
import Synchronization

/// A file that lines are appended to, whole lines at a time.
final class LineLog: Sendable {
    private let descriptor: Int32
    private let lock = Mutex(())

    /// - Throws: ``FileError`` when the file cannot be opened.
    init(_ path: String) throws(FileError) {
        descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw FileError(path: path, operation: "open", code: errno) }
    }

    deinit { close(descriptor) }

    /// Appends a line. What cannot be written is lost: answers do not wait for their log.
    func append(_ line: [UInt8]) {
        let bytes = line + [UInt8(ascii: "\n")]
        lock.withLock { _ in
            _ = unsafe bytes.withUnsafeBytes { unsafe writeBytes(descriptor, $0.baseAddress, $0.count) }
        }
    }
}
