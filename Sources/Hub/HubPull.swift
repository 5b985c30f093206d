import MartletJSON
import MartletPlatform

/// Fetching a model into the cache.
///
/// Every file is fetched to its end through dropped connections, for as long as each attempt brings something; its
/// digest is checked before it has a name that anyone reads, and the revision is known by its name only when all files
/// are there. Two processes at once fetch each file once.
package struct HubPull {
    /// An event of a download: how far it is.
    package enum Event: Sendable {
        case files(Int, bytes: Int)
        /// The progress of the file at `path`: bytes that are here, of those it has.
        case progress(path: String, done: Int, of: Int)
        case waiting(path: String)
        case retry(path: String, reason: String)
    }

    private let settings: HubSettings
    private let transfer: HubTransfer
    private let report: (Event) -> Void

    package init(_ settings: HubSettings, _ report: @escaping (Event) -> Void = { _ in }) {
        (self.settings, self.report) = (settings, report)
        transfer = HubTransfer(settings: settings)
    }

    /// Fetches the files that a model needs.
    ///
    /// - Returns: the path of the snapshot, or of the GGUF's first part.
    /// - Throws: ``HubError``.
    package func pull(_ name: HubName, revision: String = "main") throws(HubError) -> String {
        let folder = HubFolder(settings.cache, name)
        guard HubPull.isRevision(revision) else { throw HubError("\"\(revision)\" is no name of a revision") }
        guard !settings.isOffline else { return try known(name, revision, folder) }
        let found = try self.revision(name, revision)
        let files = try found.needed(name.selection, of: name)
        report(.files(files.count, bytes: files.reduce(0) { $0 + $1.bytes }))
        do {
            try Folder.make(folder.path + "/blobs")
            for file in files {
                try fetch(file, of: name, found.commit, folder)
                try folder.show(file, in: found.commit)
            }
            try folder.refer(revision, to: found.commit)
        } catch let error as HubError {
            throw error
        } catch {
            throw HubError("\(error)")
        }
        return HubPull.path(folder.snapshot(found.commit), files.map(\.path))
    }

    private static func isRevision(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count < 200 && !text.hasPrefix("/") && !text.hasPrefix("-")
            && text.utf8.allSatisfy { $0 > 32 && $0 < 127 && !"?#%\\:".utf8.contains($0) }
            && text.split(separator: "/", omittingEmptySubsequences: false).allSatisfy {
                !$0.isEmpty && !$0.hasPrefix(".")
            }
    }

    /// A model that consists of one GGUF is named by it.
    private static func path(_ snapshot: String, _ files: [String]) -> String {
        guard let first = files.sorted().first, files.allSatisfy({ $0.hasSuffix(".gguf") }) else { return snapshot }
        return "\(snapshot)/\(first)"
    }

    /// The snapshot that the cache has, where no connection is to be made.
    private func known(_ name: HubName, _ revision: String, _ folder: HubFolder) throws(HubError) -> String {
        let commit = folder.commit(of: revision) ?? revision
        let snapshot = folder.snapshot(commit)
        guard fileExists(snapshot) else {
            throw HubError(
                "\(name): revision \(revision) is not in the cache \(settings.cache), and no connection is made (offline)"
            )
        }
        return snapshot
    }

    private func revision(_ name: HubName, _ revision: String) throws(HubError) -> HubRevision {
        let escaped = revision.replacing("/", with: "%2F")
        let url = "\(settings.endpoint)/api/models/\(name)/revision/\(escaped)?blobs=true"
        var failures = 0
        while true {
            let answer = try transfer.document(url)
            if answer.code == 0 {
                guard let json = try? JSON(parsing: answer.body) else {
                    throw HubError("\(name): what \(settings.endpoint) answers is no JSON")
                }
                return try HubRevision(json, of: name)
            }
            failures += 1
            guard answer.isPassing, failures < HubPull.patience else {
                throw transfer.refusal(answer, of: name.description)
            }
            report(.retry(path: name.description, reason: HubPull.reason(answer)))
            wait(failures)
        }
    }

    // MARK: One file

    /// Attempts in a row that may bring nothing.
    private static let patience = 5

    private func fetch(_ file: HubFile, of name: HubName, _ commit: String, _ folder: HubFolder) throws(HubError) {
        guard !folder.holds(file) else { return }
        try folder.locked(file, waiting: { report(.waiting(path: file.path)) }) { () throws(HubError) in
            // Who had the lock may have brought it.
            guard !folder.holds(file) else { return }
            let path = file.path.split(separator: "/").map(HubPull.escaped).joined(separator: "/")
            let url = "\(settings.endpoint)/\(name)/resolve/\(commit)/\(path)"
            // Bytes of an earlier attempt may be of another file: the second begins anew.
            for isLast in [false, true] {
                try bring(file, url, folder.partial(file))
                if try isRight(file, folder.partial(file)) {
                    do throws(FileError) { try folder.keep(file) } catch { throw HubError(error.cause) }
                    return
                }
                unsafe unlink(folder.partial(file))
                if isLast { break }
                report(.retry(path: file.path, reason: "its digest is not \(file.digest)"))
            }
            throw HubError(
                "\(name)/\(file.path): \(settings.endpoint) gives other bytes than it lists: their digest is not \(file.digest)",
                remedy: "Nothing of it was kept. Try again later, or another endpoint (HF_ENDPOINT)")
        }
    }

    private func isRight(_ file: HubFile, _ path: String) throws(HubError) -> Bool {
        do { return try Digest.ofFile(path, file.kind) == file.digest } catch { throw HubError(error.cause) }
    }

    /// Fetches all bytes, attempt by attempt, each from where the last one ended.
    private func bring(_ file: HubFile, _ url: String, _ path: String) throws(HubError) {
        var failures = 0
        if (Folder.size(of: path) ?? 0) > file.bytes { unsafe unlink(path) }
        while true {
            let offset = Folder.size(of: path) ?? 0
            if offset == file.bytes, offset > 0 || fileExists(path) { return }
            if file.bytes == 0 { return try empty(path) }
            let answer = try transfer.append(url, to: path, from: offset) {
                report(.progress(path: file.path, done: Folder.size(of: path) ?? 0, of: file.bytes))
            }
            let now = Folder.size(of: path) ?? 0
            if answer.code == 0, now == file.bytes { return }
            if answer.refusesRange || now > file.bytes || (answer.code == 0 && now < file.bytes && now == offset) {
                unsafe unlink(path)
                failures += 1
            } else if now > offset, answer.code == 0 || answer.isPassing {
                // What came is worth going on for, however often.
                failures = 0
            } else {
                failures += 1
                guard answer.code == 0 || answer.isPassing else { throw transfer.refusal(answer, of: file.path) }
            }
            guard failures < HubPull.patience else { throw transfer.refusal(answer, of: file.path) }
            report(.retry(path: file.path, reason: HubPull.reason(answer)))
            if failures > 0 { wait(failures) }
        }
    }

    private func empty(_ path: String) throws(HubError) {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw HubError(FileError(path: path, operation: "write", code: errno).cause) }
        close(descriptor)
    }

    private func wait(_ failures: Int) {
        let seconds = settings.delay.components
        let microseconds = seconds.seconds * 1_000_000 + seconds.attoseconds / 1_000_000_000_000
        usleep(UInt32(clamping: microseconds << Int64(min(failures - 1, 5))))
    }

    private static func reason(_ answer: HubTransfer.Answer) -> String {
        answer.status >= 400
            ? "HTTP \(answer.status)" : answer.message.isEmpty ? "the connection ended" : answer.message
    }

    /// A part of a path as a URL spells it.
    private static func escaped(_ part: Substring) -> String {
        var result = ""
        for byte in part.utf8 {
            let isPlain =
                (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
                || "-_.~".utf8.contains(byte)
            let digits = String(byte, radix: 16, uppercase: true)
            result += isPlain ? String(UnicodeScalar(byte)) : "%" + (byte < 16 ? "0" : "") + digits
        }
        return result
    }
}
