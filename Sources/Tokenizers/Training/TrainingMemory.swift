#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The memory that a training may take: what goes beyond it lies in temporary files that are mapped, and let go of when too much of
/// them is in memory at once.
///
/// Used by one thread.
final class TrainingMemory {
    let limit: Int
    /// The bytes that arrays have taken of the limit.
    private(set) var taken = 0
    private var mapped: [Int32: (address: UInt, bytes: Int)] = [:]
    private var baseline = 0
    private var untilCheck = 0

    init(limit: Int) {
        self.limit = limit
        baseline = TrainingMemory.resident
    }

    /// Takes `bytes` more of the limit (fewer when negative); false when there are not so many left.
    func take(_ bytes: Int) -> Bool {
        guard bytes <= 0 || taken + bytes <= limit else { return false }
        taken += bytes
        return true
    }

    /// Notes where the file `descriptor` is mapped; nil: it no longer is.
    func note(_ descriptor: Int32, _ place: (address: UInt, bytes: Int)?) { mapped[descriptor] = place }

    /// Called between small pieces of work. Now and then it looks how much of the process is in memory, and gives the files' pages
    /// back to the system when that is more than the limit allows.
    @inline(__always)
    func breathe() {
        untilCheck -= 1
        if untilCheck < 0 { check() }
    }

    private func check() {
        untilCheck = mapped.isEmpty ? 4096 : 24
        guard !mapped.isEmpty, TrainingMemory.resident > baseline + limit else { return }
        for (address, bytes) in mapped.values {
            unsafe madvise(UnsafeMutableRawPointer(bitPattern: address), bytes, Int32(MADV_DONTNEED))
        }
    }

    /// The bytes of this process that are in memory, 0 where the system does not say.
    private static var resident: Int {
        let descriptor = unsafe open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return 0 }
        defer { close(descriptor) }
        var text = [UInt8](repeating: 0, count: 128)
        let count = unsafe text.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
        let fields = text.prefix(max(0, count)).split(separator: 0x20)
        guard fields.count > 1, let pages = Int(String(decoding: fields[1], as: UTF8.self)) else { return 0 }
        return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
    }

    /// An empty file that is gone when it is closed, in TMPDIR, /var/tmp or /tmp.
    ///
    /// - Throws: ``TrainingError/unwritable(path:reason:)``.
    static func temporaryFile() throws(TrainingError) -> Int32 {
        var folders = ["/var/tmp", "/tmp"]
        if let folder = unsafe getenv("TMPDIR") { folders.insert(unsafe String(cString: folder), at: 0) }
        for folder in folders {
            var name = Array("\(folder)/martlet-XXXXXX".utf8CString)
            let descriptor = unsafe name.withUnsafeMutableBufferPointer { name in
                unsafe name.baseAddress.map { unsafe mkstemp($0) } ?? -1
            }
            guard descriptor >= 0 else { continue }
            _ = unsafe name.withUnsafeBufferPointer { unsafe $0.baseAddress.map { unsafe unlink($0) } }
            return descriptor
        }
        throw failure()
    }

    /// What the last call of the system's says about temporary files.
    static func failure() -> TrainingError {
        .unwritable(path: "a temporary file", reason: unsafe String(cString: strerror(errno)))
    }
}
