import MartletPlatform

/// The memory that a training may take: what goes beyond it lies in temporary files that are mapped, and let go of when
/// too much of them is in memory at once.
///
/// The limit holds for what the process has in memory beyond what it had when the training began. It is shared out: a
/// quarter for counted words, half for tables, and files' pages have what these leave, less an eighth for what is
/// between two looks. Used by one thread.
final class TrainingMemory {
    private let limit: Int
    /// The bytes that arrays have taken of their share.
    private var taken = 0
    private var mapped: [Int32: (address: UInt, bytes: Int)] = [:]
    private let baseline: Int
    private let status: Int32
    private var untilCheck = 0
    /// The memory in bytes that may be taken before pages are let go of.
    private var most: Int

    init(limit: Int) {
        self.limit = limit
        status = unsafe open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
        baseline = TrainingMemory.resident(status)
        most = baseline + limit / 8 * 7
    }

    deinit { if status >= 0 { close(status) } }

    /// The bytes that counted words may take.
    var counts: Int { limit / 4 }

    /// The bytes of text that are counted at once: words by themselves take several times what they take as text.
    var block: Int { min(max(limit / 64, 1 << 15), 1 << 22) }

    /// Takes `bytes` more of what tables may have (fewer when negative); false when there are not so many left.
    func take(_ bytes: Int) -> Bool {
        guard bytes <= 0 || taken + bytes <= limit / 2 else { return false }
        taken += bytes
        return true
    }

    /// Notes where the file `descriptor` is mapped; nil: it no longer is.
    func note(_ descriptor: Int32, _ place: (address: UInt, bytes: Int)?) { mapped[descriptor] = place }

    /// Called between small pieces of work. Now and then it looks how much of the process is in memory, and gives the
    /// files' pages back to the system when that is more than the limit allows.
    @inline(__always)
    func breathe() {
        untilCheck -= 1
        if untilCheck < 0 { look() }
    }

    /// Looks at once.
    func look() {
        // The system maps 16 pages around each that is asked for, and a word asks for some twenty.
        untilCheck = mapped.isEmpty ? 4096 : 2
        guard !mapped.isEmpty, TrainingMemory.resident(status) > most else { return }
        for (address, bytes) in mapped.values {
            unsafe madvise(UnsafeMutableRawPointer(bitPattern: address), bytes, Int32(MADV_DONTNEED))
        }
        // What is still there is somebody else's; an eighth of the limit is always left for pages, and not less than
        // the work needs.
        most = max(baseline + limit / 8 * 7, TrainingMemory.resident(status) + max(limit / 8, 1 << 21))
    }

    /// The bytes of this process that are in memory, 0 where the system does not say.
    private static func resident(_ status: Int32) -> Int {
        guard status >= 0 else { return 0 }
        // The second number of a line: pages in memory.
        return unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 128) { text in
            let count = unsafe pread(status, text.baseAddress, text.count, 0)
            var (pages, field) = (0, 0)
            for index in 0..<max(0, count) where field < 2 {
                let byte = unsafe text[index]
                if byte == 0x20 { field += 1 } else if field == 1 { pages = pages * 10 + Int(byte) - 0x30 }
            }
            return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
        }
    }

    /// An empty file that is gone when it is closed, in TMPDIR, /var/tmp or /tmp.
    ///
    /// - Throws: ``TrainingError/unwritable(path:reason:)``.
    static func temporaryFile() throws(TrainingError) -> Int32 {
        var folders = ["/var/tmp", "/tmp"]
        if let folder = Environment["TMPDIR"] { folders.insert(folder, at: 0) }
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

    /// The error for the last call of the system's about temporary files.
    static func failure() -> TrainingError {
        .unwritable(path: "a temporary file", reason: unsafe String(cString: strerror(errno)))
    }
}
