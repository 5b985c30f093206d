import MartletFormats
import MartletPlatform

/// A model's folder in the cache, as Hugging Face's tools lay it out.
///
///     models--ORG--NAME/blobs/DIGEST                 the bytes, each file once
///     models--ORG--NAME/snapshots/COMMIT/PATH        a link to its blob
///     models--ORG--NAME/refs/REVISION                the commit that a branch or tag means
///
/// A blob is put in its place only when it is whole and its digest is right; until then it is `DIGEST.incomplete`.
struct HubFolder {
    let path: String
    private let locks: String

    init(_ cache: String, _ name: HubName) {
        path = "\(cache)/\(name.folder)"
        locks = "\(cache)/.locks/\(name.folder)"
    }

    func blob(_ file: HubFile) -> String { "\(path)/blobs/\(file.digest)" }
    func partial(_ file: HubFile) -> String { blob(file) + ".incomplete" }
    func snapshot(_ commit: String) -> String { "\(path)/snapshots/\(commit)" }

    /// Returns whether the file is here, whole.
    func holds(_ file: HubFile) -> Bool { Folder.size(of: blob(file)) == file.bytes }

    /// The commit that `revision` means, as far as the cache knows.
    func commit(of revision: String) -> String? {
        guard let bytes = try? fileBytes("\(path)/refs/\(revision)", limit: 256) else { return nil }
        let text = String(decoding: bytes.filter { $0 > 32 }, as: UTF8.self)
        return text.isEmpty ? nil : text
    }

    /// The right of one process to fetch `file`, which is waited for.
    ///
    /// - Parameter waiting: called once where another process has it.
    func locked<Result>(
        _ file: HubFile, waiting: () -> Void, _ body: () throws(HubError) -> Result
    ) throws(HubError) -> Result {
        let name = "\(locks)/\(file.digest).lock"
        do { try Folder.make(locks) } catch { throw HubError(error.cause) }
        let descriptor = unsafe open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else {
            throw HubError(FileError(path: name, operation: "open", code: errno).cause)
        }
        defer { close(descriptor) }
        if flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            waiting()
            while flock(descriptor, LOCK_EX) != 0 && errno == EINTR {}
        }
        return try body()
    }

    /// Puts what was fetched in its place.
    func keep(_ file: HubFile) throws(FileError) {
        let descriptor = unsafe open(partial(file), O_RDONLY | O_CLOEXEC)
        if descriptor >= 0 {
            fsync(descriptor)
            close(descriptor)
        }
        try Folder.rename(partial(file), to: blob(file))
        Folder.flush(path + "/blobs")
    }

    /// Points the snapshot's file to its blob.
    func show(_ file: HubFile, in commit: String) throws(FileError) {
        let place = "\(snapshot(commit))/\(file.path)"
        let parts = file.path.split(separator: "/")
        try Folder.make(parts.dropLast().reduce(snapshot(commit)) { "\($0)/\($1)" })
        let up = String(repeating: "../", count: parts.count + 1)
        // Two processes may show the same file at once: each by a name of its own.
        let aside = "\(place).\(UInt32.random(in: 0 ... .max)).partial"
        guard unsafe symlink("\(up)blobs/\(file.digest)", aside) == 0 else {
            throw FileError(path: place, operation: "link", code: errno)
        }
        try Folder.rename(aside, to: place)
    }

    /// Remembers what `revision` means.
    func refer(_ revision: String, to commit: String) throws(FileError) {
        guard revision != commit else { return }
        let place = "\(path)/refs/\(revision)"
        let folder = place.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        try Folder.make(folder)
        try writeFile(Array(commit.utf8), to: place)
    }
}
