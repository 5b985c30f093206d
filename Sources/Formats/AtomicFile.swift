package import MartletPlatform
package import MartletTensors

/// A file that appears whole or not at all.
///
/// Bytes go to a temporary file beside the target; ``commit()`` flushes them to the disk and renames. Dropped before
/// that, the temporary file is removed and what stood at the target stays.
package struct AtomicFile: ~Copyable {
    package let path: String
    /// The number of bytes written so far.
    package private(set) var count = 0
    private let unfinished: UnfinishedFile
    private let descriptor: Int32
    private var isCommitted = false

    package init(_ path: String) throws(FileError) {
        var status = stat()
        let isOther = unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFREG
        self.path = path
        unfinished = UnfinishedFile(for: path)
        descriptor = unsafe isOther ? -1 : open(unfinished.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        let code = errno
        guard descriptor >= 0 else {
            isCommitted = true  // there is nothing to remove
            _ = unfinished.end { 0 }
            throw isOther
                ? FileError(path: path, operation: "write", reason: "it exists and is no regular file")
                : FileError(path: path, operation: "write", code: code)
        }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
        guard !isCommitted else { return }
        _ = unfinished.end {
            unsafe unlink(unfinished.path)
            return 0
        }
    }

    package mutating func append(_ bytes: [UInt8]) throws(FileError) {
        try unsafe bytes.span.withUnsafeBytes { bytes throws(FileError) in try unsafe append(bytes) }
    }

    package mutating func append(_ tensor: Tensor) throws(FileError) {
        try unsafe append(UnsafeRawBufferPointer(start: tensor.pointer, count: tensor.bytes))
        _ = tensor.storage  // kept alive until here
    }

    package mutating func append(_ storage: Storage) throws(FileError) {
        try unsafe append(UnsafeRawBufferPointer(start: storage.pointer, count: storage.bytes))
    }

    /// Zero bytes up to the next multiple of `alignment`.
    package mutating func pad(to alignment: Int) throws(FileError) {
        let remainder = count % alignment
        if remainder > 0 { try append([UInt8](repeating: 0, count: alignment - remainder)) }
    }

    private mutating func append(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
        guard unsafe writeAll(descriptor, bytes) else { throw FileError(path: path, operation: "write", code: errno) }
        count += bytes.count
    }

    /// Puts the file in its place.
    ///
    /// - Parameter flushed: whether it must be on the disk first; a file whose checksums are verified whenever it is
    ///   read need not.
    package consuming func commit(flushed: Bool = true) throws(FileError) {
        let (descriptor, temporary, path) = (descriptor, unfinished.path, path)
        let isFlushed = !flushed || fsync(descriptor) == 0
        let code = isFlushed ? unfinished.end { unsafe rename(temporary, path) == 0 ? 0 : errno } : errno
        guard code == 0 else { throw FileError(path: path, operation: "write", code: code) }
        isCommitted = true
        // The renaming itself reaches the disk with the folder.
        if flushed { Folder.flush(path.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(path[...$0]) } ?? ".") }
    }
}

/// Writes `bytes` as the file at `path`, whole or not at all.
///
/// - Throws: ``FileError`` with the system's reason.
package func writeFile(_ bytes: [UInt8], to path: String) throws(FileError) {
    var file = try AtomicFile(path)
    try file.append(bytes)
    try file.commit()
}
