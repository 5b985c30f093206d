/// A file that the system would not open, read, map or write.
public struct FileError: MartletError, Equatable {
    public let path: String
    public let operation: String
    public let reason: String

    public init(path: String, operation: String, reason: String) {
        (self.path, self.operation, self.reason) = (path, operation, reason)
    }

    package init(path: String, operation: String, code: Int32) {
        self.init(path: path, operation: operation, reason: unsafe String(cString: strerror(code)))
    }

    public var cause: String { "\(path): cannot \(operation): \(reason)" }
}

/// Whether something is at `path`.
package func fileExists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }
