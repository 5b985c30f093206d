internal import MartletJSON
import MartletPlatform
internal import MartletTensors

/// The way in which a model's files are read: mapped, or copied into memory when they are opened.
package enum FileAccess: Sendable { case mapped, copied }

/// A file mapped for reading, or copied, and how it stood when it was opened.
///
/// A mapping shows later changes of the file, and reading past a new end kills the process. So a format checks after it
/// has read the header that the file is still the one that it mapped, and a loader may check again.
struct MappedFile: Sendable {
    let path: String
    let storage: Storage
    private let stamp: Stamp

    init(_ path: String, _ access: FileAccess = .mapped) throws(FormatError) {
        self.path = path
        do {
            stamp = try Stamp(path)
            storage = try access == .mapped ? Storage(mapping: path) : Storage(reading: path)
        } catch {
            throw FormatError(error)
        }
        // What was written while it was copied is neither the old file nor the new one.
        if access == .copied { try checkUnchanged() }
    }

    /// Tells files that only stand for the one that was meant.
    ///
    /// - Throws: ``FormatError`` for an empty file, a Git LFS pointer and a web page.
    func checkKind() throws(FormatError) {
        let start = unsafe withBytes { unsafe Array($0.prefix(512)) }
        func begins(_ text: String) -> Bool { start.starts(with: Array(text.utf8)) }
        let blanks: Set<UInt8> = [0x20, 0x09, 0x0A, 0x0D]
        let first = String(decoding: start.drop { blanks.contains($0) }.prefix(16), as: UTF8.self).lowercased()
        if start.isEmpty {
            throw FormatError(
                path: path, problem: "it is empty", offences: ["it has 0 bytes"], remedy: "Fetch it again")
        }
        if begins("version https://git-lfs.github.com/spec/") {
            throw FormatError(
                path: path, problem: "a Git LFS pointer, not the file itself",
                offences: ["it holds \(storage.bytes) bytes of text that name the file"],
                remedy: "Fetch the file itself: git lfs pull, or download it by itself")
        }
        if first.hasPrefix("<!doctype") || first.hasPrefix("<html") || first.hasPrefix("<?xml") {
            throw FormatError(
                path: path, problem: "a web page, not the file that was meant",
                offences: ["it begins with \(first.quoted)"],
                remedy:
                    "The download answered with an error or a login page: open the address in a browser, then fetch it again"
            )
        }
    }

    func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try unsafe body(UnsafeRawBufferPointer(start: storage.pointer, count: storage.bytes))
    }

    /// - Throws: ``FormatError`` when the file was replaced, written or cut since it was opened.
    func checkUnchanged() throws(FormatError) {
        let now: Stamp
        do { now = try Stamp(path) } catch { throw FormatError(error) }
        guard now == stamp, stamp.bytes == storage.bytes else {
            throw FormatError(
                path: path, problem: "changed since it was opened",
                offences: ["it had \(stamp.bytes) bytes, now \(now.bytes)"],
                remedy: "Wait until it is written, then load it again")
        }
    }
}

/// The identity of a file's content, as the system tells it; any change of the content changes it.
private struct Stamp: Equatable, Sendable {
    let device: UInt64
    let node: UInt64
    let bytes: Int
    let seconds: Int
    let nanoseconds: Int

    init(_ path: String) throws(FileError) {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { throw FileError(path: path, operation: "open", code: errno) }
        (device, node, bytes) = (UInt64(status.st_dev), UInt64(status.st_ino), Int(status.st_size))
        (seconds, nanoseconds) = (status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
    }
}
