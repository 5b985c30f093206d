import MartletFormats
import MartletPlatform
import MartletTensors
import Synchronization

/// A cache of packed matrices on disk, one file for each model, so that a later start of the same model maps them in
/// place of packing; processes share their pages.
///
/// A file serves only where the model's files, its settings and this program are those that it was made with and every
/// checksum is right; else it is as if there were none, and it is made anew. What cannot be written is packed the next
/// time, and nothing else.
package struct PackedCache: Sendable, Equatable {
    /// The folder, which is made when it is needed.
    package let folder: String
    /// The most bytes that the folder's files may take together; the longest unused go first.
    package let limit: Int
    /// Smaller models are packed sooner than anybody notices.
    package let least: Int

    package init(folder: String, limit: Int = 16 << 30, least: Int = 32 << 20) {
        (self.folder, self.limit, self.least) = (folder, limit, least)
    }

    /// The cache in the user's folder; nil where there is no home folder.
    package static var ofUser: PackedCache? { CacheFolder.path.map { PackedCache(folder: $0 + "/packed") } }

    /// The identity of a model's packed matrices: the name of the file that keeps them, and of what they were made.
    struct Identity: Sendable {
        /// One name for all versions of a model at one place, so that a new one takes the place of the old.
        let name: Fingerprint
        /// Different for all that may be packed otherwise.
        let content: Fingerprint
    }

    private static let ending = ".safetensors"
    /// The keys of the file's metadata: the identity of the content, and the checksums.
    private static let (identityKey, checksumsKey) = ("packed", "checksums")

    private func path(_ identity: Identity) -> String { "\(folder)/\(identity.name)\(PackedCache.ending)" }

    // MARK: - Reading

    /// The matrices that are kept for a model; nil where there are none, or a file that may not be trusted.
    func matrices(of identity: Identity, on device: Device) -> PackedFile? {
        let path = path(identity)
        guard PackedCache.isOwn(path), let file = try? Safetensors(contentsOf: path) else { return nil }
        func value(_ key: String) -> String? { file.metadata.first { $0.key == key }?.value }
        guard value(PackedCache.identityKey) == "\(identity.content)" else { return nil }
        let kept = PackedFile(file.tensors)
        guard value(PackedCache.checksumsKey) == PackedCache.checksums(kept.all, on: device) else { return nil }
        PackedCache.noteUse(of: path)
        return kept
    }

    /// Returns whether a regular file that belongs to this user is at `path`.
    static func isOwn(_ path: String) -> Bool {
        var status = stat()
        return unsafe lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && status.st_uid == geteuid()
    }

    /// Sets the time of the last reading alone: the other tells that a file has changed.
    private static func noteUse(of path: String) {
        // UTIME_NOW and UTIME_OMIT, macros that are not imported.
        let times = [timespec(tv_sec: 0, tv_nsec: (1 << 30) - 1), timespec(tv_sec: 0, tv_nsec: (1 << 30) - 2)]
        _ = unsafe times.withUnsafeBufferPointer { unsafe utimensat(AT_FDCWD, path, $0.baseAddress, 0) }
    }

    /// The fingerprint of the names and the checksums of all pieces of the panels, in order, as hexadecimal digits;
    /// reading maps every page on the way.
    private static func checksums(_ matrices: [(name: String, panels: Storage)], on device: Device) -> String {
        var names = Fingerprint()
        for matrix in matrices { names.add(matrix.name) }
        let pieces = matrices.flatMap { _, panels in
            stride(from: 0, to: panels.bytes, by: piece).map { (panels, $0..<min($0 + piece, panels.bytes)) }
        }
        let sums = Mutex([UInt64](repeating: 0, count: pieces.count))
        device.pool.run(chunks: pieces.count) { index in
            let (panels, range) = pieces[index]
            panels.populate(range)
            let sum = Checksum.of(panels, range)
            sums.withLock { $0[index] = sum }
        }
        return sums.withLock { $0 }.reduce("\(names)") { "\($0) \(String($1, radix: 16))" }
    }

    private static let piece = 4 << 20

    // MARK: - Writing

    /// The number of models that are being kept; one of them is written at a time.
    private static let pending = Atomic<Int>(0)
    private static let turn = Mutex(())

    /// Keeps the matrices of a model, by the names of their parameters, in a thread that gives way to others: the model
    /// is used meanwhile. Where the system grants no thread nothing is kept.
    func keep(_ matrices: [(name: String, matrix: PackedMatrix)], of identity: Identity) {
        PackedCache.pending.add(1, ordering: .relaxed)
        let thread = SystemThread {
            // On Linux this is the thread's own.
            _ = nice(10)
            PackedCache.turn.withLock { _ in write(matrices, of: identity) }
            PackedCache.pending.subtract(1, ordering: .releasing)
        }
        if let thread { thread.detach() } else { PackedCache.pending.subtract(1, ordering: .relaxed) }
    }

    /// Waits until what is to be kept is written, for so long at most.
    ///
    /// - Returns: false where it is not written yet.
    @discardableResult
    package static func finishWriting(within limit: Duration) -> Bool {
        let end = ContinuousClock.now + limit
        while pending.load(ordering: .acquiring) > 0 {
            guard ContinuousClock.now < end else { return false }
            usleep(1_000)
        }
        return true
    }

    private func write(_ matrices: [(name: String, matrix: PackedMatrix)], of identity: Identity) {
        // Layers that share their weights have packed them once each.
        var names: Set<String> = []
        let matrices = matrices.filter { names.insert($0.name).inserted }
        let bytes = matrices.reduce(0) { $0 + $1.matrix.bytes }
        guard (least...max(least, limit)).contains(bytes), (try? Folder.make(folder)) != nil,
            // One process at a time; another that has this model too need not.
            let lock = try? FolderLock(folder)
        else { return }
        defer { withExtendedLifetime(lock) {} }
        let path = path(identity)
        if !PackedCache.isOwn(path) { unsafe unlink(path) }
        makeRoom(for: bytes, at: path)
        guard PackedCache.freeBytes(folder) / 2 > bytes else { return }
        do {
            let matrices = matrices.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
            let plan = matrices.map { PlannedTensor(name: $0.name, type: .i32, shape: $0.matrix.words) }
            var writer = try Safetensors.writer(
                for: plan,
                metadata: [
                    (PackedCache.identityKey, "\(identity.content)"),
                    (
                        PackedCache.checksumsKey,
                        PackedCache.checksums(matrices.map { ($0.name, $0.matrix.storage) }, on: Device(threads: 1))
                    ),
                ], alignment: Storage.alignment, to: path)
            for (_, matrix) in matrices {
                try writer.write(Tensor(storage: matrix.storage, shape: matrix.words, type: .i32))
            }
            try writer.finish(flushed: false)
        } catch {
            // A full disk, or a name that the format reserves.
        }
    }

    /// Removes what killed processes left behind, and of the files but the one at `path` the longest unused, until
    /// `bytes` more are within the limit.
    private func makeRoom(for bytes: Int, at path: String) {
        var files: [(path: String, bytes: Int, used: timespec)] = []
        for name in Folder.names(in: folder) where name != "lock" && name != PackedCache.rowsName {
            let other = "\(folder)/\(name)"
            var status = stat()
            guard unsafe lstat(other, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { continue }
            if !name.hasSuffix(PackedCache.ending) {
                unsafe unlink(other)
            } else if other != path {
                files.append((other, Int(status.st_size), status.st_atim))
            }
        }
        files.sort { ($0.used.tv_sec, $0.used.tv_nsec) < ($1.used.tv_sec, $1.used.tv_nsec) }
        var total = files.reduce(bytes) { $0 + $1.bytes }
        for file in files where total > limit {
            unsafe unlink(file.path)
            total -= file.bytes
        }
    }

    private static func freeBytes(_ folder: String) -> Int {
        var status = statvfs()
        guard unsafe statvfs(folder, &status) == 0 else { return 0 }
        let (bytes, overflow) = Int(clamping: status.f_bavail).multipliedReportingOverflow(
            by: Int(clamping: status.f_frsize))
        return overflow ? Int.max : bytes
    }
}

/// The packed matrices in a file of the cache, mapped.
struct PackedFile: Sendable {
    private let tensors: StoredTensors

    fileprivate init(_ tensors: StoredTensors) { self.tensors = tensors }

    /// The panels of all matrices, in the order of the file.
    fileprivate var all: [(name: String, panels: Storage)] { tensors.all.map { ($0.name, $0.part) } }

    /// The matrix that was packed of the parameter `name`; nil where the file has none of this size.
    func matrix(_ name: String, outputs: Int, inputs: Int, type: ElementType) -> PackedMatrix? {
        guard let stored = tensors[name],
            stored.bytes == PackedMatrix.bytes(outputs: outputs, inputs: inputs, type: type)
        else { return nil }
        return PackedMatrix(outputs: outputs, inputs: inputs, type: type, packed: stored.part)
    }
}

extension StoredTensor {
    /// The bytes of the tensor where the file is mapped.
    fileprivate var part: Storage { Storage(part: byteOffset..<byteOffset + bytes, of: storage) }
}

extension PackedMatrix {
    /// The shape of the panels as words of four bytes.
    fileprivate var words: Shape { [bytes / 4] }
}
