/// A file that the system would not open, read, map or write.
public struct FileError: MartletError, Equatable {
    /// The file or directory.
    public let path: String
    /// The operation that failed: open, read, write.
    public let operation: String
    /// The reason, in the system's words.
    public let reason: String

    /// An operation on `path` that failed.
    public init(path: String, operation: String, reason: String) {
        (self.path, self.operation, self.reason) = (path, operation, reason)
    }

    package init(path: String, operation: String, code: Int32) {
        self.init(path: path, operation: operation, reason: unsafe String(cString: strerror(code)))
    }

    /// The cause: what was found, and where.
    public var cause: String { "\(path): cannot \(operation): \(reason)" }
}
