import MartletPlatform

/// A file read in blocks that end at the end of a line.
struct TextFile: ~Copyable {
    private let path: String
    private let descriptor: Int32
    private let blockSize: Int
    private let longestLine: Int
    /// Bytes of the line that goes on after the blocks so far.
    private var begun = 0
    private var rest: [UInt8] = []

    init(_ path: String, blockSize: Int, longestLine: Int) throws(TrainingError) {
        (self.path, self.blockSize, self.longestLine) = (path, blockSize, longestLine)
        descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw TextFile.failure(path) }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    static func size(_ path: String) throws(TrainingError) -> Int {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { throw failure(path) }
        return Int(status.st_size)
    }

    private static func failure(_ path: String) -> TrainingError {
        .unreadable(path: path, reason: unsafe String(cString: strerror(errno)))
    }

    /// The next lines, nil at the end. A line longer than a block is cut.
    ///
    /// - Throws: ``TrainingError/unreadable(path:reason:)``, also for a line longer than the longest.
    mutating func nextBlock() throws(TrainingError) -> [UInt8]? {
        guard let block = try readBlock() else { return nil }
        begun = block.lastIndex(of: 10).map { block.count - 1 - $0 } ?? begun + block.count
        guard begun <= longestLine else {
            throw .unreadable(path: path, reason: "a line is longer than \(longestLine) bytes: this is no text")
        }
        return block
    }

    private mutating func readBlock() throws(TrainingError) -> [UInt8]? {
        var block = rest
        rest = []
        while block.count < blockSize {
            let wanted = blockSize - block.count
            var count = 0
            let chunk = unsafe [UInt8](unsafeUninitializedCapacity: wanted) { buffer, initialized in
                count = unsafe read(descriptor, buffer.baseAddress, wanted)
                initialized = max(count, 0)
            }
            guard count >= 0 else { throw TextFile.failure(path) }
            if count == 0 { return block.isEmpty ? nil : block }
            block += chunk
        }
        if let last = block.lastIndex(of: 10), last + 1 < block.count {
            rest = Array(block[(last + 1)...])
            block.removeLast(rest.count)
        } else {
            let tail = UTF8Repairer.incompleteTail(block)
            rest = Array(block.suffix(tail))
            block.removeLast(tail)
        }
        return block
    }
}
