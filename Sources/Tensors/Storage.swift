package import MartletPlatform

/// The bytes behind tensors: owned memory, a mapped file, or memory that somebody else keeps alive.
///
/// The rule that makes it `Sendable`: bytes are written only by the operation that made the storage, before anyone else
/// sees it, or by an owner that can prove it is the only one (the recycling `Device`, an optimizer between two steps).
/// Everybody else reads.
@safe package final class Storage: @unchecked Sendable {
    /// The origin of the memory: allocated here, mapped from a file read-only, or somebody else's.
    package enum Kind: Sendable, Equatable { case owned, mapped, borrowed }

    /// Owned memory starts at a multiple of this, a cache line and the widest vector register.
    package static let alignment = 64

    package let kind: Kind
    package let bytes: Int
    private let base: UnsafeMutableRawPointer
    private let owner: AnyObject?

    /// A page of the larger size, where the system has such.
    private static let largePage = 2 << 20

    /// Uninitialised memory of `bytes`; much of it is aligned so that a system which backs memory with large pages
    /// unasked can do so here.
    package init(bytes: Int) {
        let aligned = (max(bytes, 1) + Storage.alignment - 1) & ~(Storage.alignment - 1)
        let large = bytes >= 2 * Storage.largePage
        unsafe base = UnsafeMutableRawPointer.allocate(
            byteCount: aligned, alignment: large ? Storage.largePage : Storage.alignment)
        self.bytes = bytes
        kind = .owned
        owner = nil
    }

    /// Zeros, of which whole pages take no memory before they are written.
    package convenience init(zeros bytes: Int) {
        self.init(bytes: bytes)
        discard(0..<bytes)
        let pages = pages(within: 0..<bytes) ?? 0..<0
        for edge in [0..<pages.lowerBound, pages.upperBound..<bytes] {
            unsafe (base + edge.lowerBound).initializeMemory(as: UInt8.self, repeating: 0, count: edge.count)
        }
    }

    /// A part of memory or of a mapped file, as a storage of its own: nobody writes to the same part of `whole`.
    package init(part: Range<Int>, of whole: Storage) {
        precondition(
            part.lowerBound >= 0 && part.upperBound <= whole.bytes,
            "Storage: bytes \(part) of \(whole.bytes) \(whole.kind)")
        unsafe base = whole.base + part.lowerBound
        bytes = part.count
        kind = whole.kind
        owner = whole
    }

    /// `bytes` at `base`, readable as long as `owner` lives.
    package init(borrowing base: UnsafeRawPointer, bytes: Int, owner: AnyObject?) {
        unsafe self.base = UnsafeMutableRawPointer(mutating: base)
        self.bytes = bytes
        kind = .borrowed
        self.owner = owner
    }

    /// Opens a regular file; its length in bytes.
    private static func opened(_ path: String, to operation: String) throws(FileError) -> (Int32, bytes: Int) {
        let descriptor = fileOpened(path)
        guard descriptor >= 0 else { throw FileError(path: path, operation: "open", code: errno) }
        var status = stat()
        let code = unsafe fstat(descriptor, &status) == 0 ? status.st_mode & S_IFMT == S_IFREG ? 0 : EISDIR : errno
        guard code == 0 else {
            close(descriptor)
            throw FileError(path: path, operation: operation, code: code)
        }
        return (descriptor, Int(status.st_size))
    }

    /// Maps a whole file read-only.
    ///
    /// - Throws: ``FileError`` with the system's reason.
    package init(mapping path: String) throws(FileError) {
        let descriptor: Int32
        (descriptor, bytes) = try Storage.opened(path, to: "map")
        defer { close(descriptor) }
        kind = .mapped
        owner = nil
        guard bytes > 0 else {
            // An empty file cannot be mapped; it still is a valid, empty storage.
            unsafe base = UnsafeMutableRawPointer.allocate(byteCount: 1, alignment: 1)
            return
        }
        let mapped = unsafe mmap(nil, bytes, PROT_READ, MAP_PRIVATE, descriptor, 0)
        guard let mapped = unsafe mapped, unsafe mapped != MAP_FAILED else {
            throw FileError(path: path, operation: "map", code: errno)
        }
        unsafe base = mapped
    }

    /// A copy of a whole file.
    ///
    /// - Throws: ``FileError`` with the system's reason, and for a file that becomes shorter while it is read.
    package convenience init(reading path: String) throws(FileError) {
        let (descriptor, size) = try Storage.opened(path, to: "read")
        defer { close(descriptor) }
        self.init(bytes: size)
        var done = 0
        while done < bytes {
            let rest = unsafe UnsafeMutableRawBufferPointer(
                start: mutablePointer + done, count: min(bytes - done, 1 << 30))
            let count = unsafe readBytes(descriptor, into: rest)
            guard count >= 0 else { throw FileError(path: path, operation: "read", code: errno) }
            guard count > 0 else {
                throw FileError(path: path, operation: "read", reason: "it became shorter while it was read")
            }
            done += count
        }
    }

    deinit {
        switch kind {
        case _ where owner != nil: break
        case .owned: unsafe base.deallocate()
        case .mapped where bytes > 0: unsafe munmap(base, bytes)
        case .mapped: unsafe base.deallocate()
        case .borrowed: break
        }
    }

    package var pointer: UnsafeRawPointer { unsafe UnsafeRawPointer(base) }

    /// A copy of the bytes.
    package var contents: [UInt8] { unsafe Array(UnsafeRawBufferPointer(start: pointer, count: bytes)) }

    /// The bytes for the one writer that the rule above allows.
    package var mutablePointer: UnsafeMutableRawPointer {
        precondition(kind == .owned, "Storage: \(kind) memory is read-only")
        return unsafe base
    }

    /// Asks the system for all pages of a range that is about to be written, of a mapped file to be read, at once:
    /// cheaper than a fault for each. Where it cannot, each page comes when it is touched.
    package func populate(_ range: Range<Int>) {
        guard kind != .borrowed, let pages = pages(within: range) else { return }
        let advice = kind == .owned ? Storage.populateForWriting : Storage.populateForReading
        unsafe madvise(base + pages.lowerBound, pages.count, advice)
    }

    /// MADV_POPULATE_READ and MADV_POPULATE_WRITE, since Linux 5.14; older headers lack the names.
    private static let (populateForReading, populateForWriting): (Int32, Int32) = (22, 23)

    /// The whole pages of memory that lie in a range of bytes.
    private func pages(within range: Range<Int>) -> Range<Int>? {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let start = unsafe Int(bitPattern: base)
        let lower = (start + range.lowerBound + page - 1) / page * page - start
        let upper = (start + range.upperBound) / page * page - start
        return lower < upper ? lower..<upper : nil
    }

    /// Tells the system that these pages will not be read again soon, so that a mapped file stops counting as resident.
    package func release(_ range: Range<Int>) {
        guard kind == .mapped, bytes > 0 else { return }
        guard let pages = pages(within: range) else { return }
        unsafe madvise(base + pages.lowerBound, pages.count, MADV_DONTNEED)
    }

    /// Gives the whole pages of a range of owned memory back to the system; what is written there later begins anew.
    package func discard(_ range: Range<Int>) {
        guard kind == .owned, let pages = pages(within: range) else { return }
        unsafe madvise(base + pages.lowerBound, pages.count, MADV_DONTNEED)
    }

    /// The resident size in bytes, of the pages that the system holds for this memory.
    package var residentBytes: Int {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        guard let pages = pages(within: 0..<bytes) else { return bytes }
        var states = [UInt8](repeating: 0, count: pages.count / page)
        guard unsafe mincore(base + pages.lowerBound, pages.count, &states) == 0 else { return bytes }
        return page * states.count { $0 & 1 == 1 }
    }
}
