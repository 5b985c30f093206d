import MartletPlatform

/// Counted words beyond what memory holds: sorted runs in temporary files, put together by merging.
///
/// The merged words do not depend on when runs were written. A run is a row of records: the length of a word and its
/// bytes, its count; numbers are of seven bits to the byte, the lowest first.
struct WordRuns: ~Copyable {
    /// The number of runs that are merged into one.
    private static let mostRuns = 32

    private var runs: [RunFile] = []
    private var rest = WordCounter()

    /// Counts a word; `limit` is what the counts in memory may take.
    @inline(__always)
    mutating func add(_ word: Span<UInt8>, times: Int64 = 1, limit: Int) throws(TrainingError) {
        rest.add(word, times: times)
        // A table doubles, and the old one is there until the new one is.
        if rest.memory * 3 / 2 > limit { try spill() }
    }

    /// Takes in counted words.
    mutating func merge(_ words: WordCounter, limit: Int) throws(TrainingError) {
        try words.forEach(inOrder: false) { word, count throws(TrainingError) in
            try add(word, times: count, limit: limit)
        }
    }

    /// Writes what is in memory to a run of its own.
    private mutating func spill() throws(TrainingError) {
        let run = try RunFile()
        try rest.forEach(inOrder: true) { word, count throws(TrainingError) in try run.put(word, count) }
        try run.flush()
        runs.append(run)
        rest = WordCounter()
        guard runs.count == WordRuns.mostRuns else { return }
        let merged = try RunFile()
        try WordRuns.merge(runs) { word, count throws(TrainingError) in try merged.put(word, count) }
        try merged.flush()
        runs = [merged]
    }

    /// Each word once with its count, in the order of bytes.
    mutating func forEach(
        _ body: (_ word: Span<UInt8>, _ count: Int64) throws(TrainingError) -> Void
    ) throws(TrainingError) {
        if !runs.isEmpty, rest.count > 0 { try spill() }
        guard runs.isEmpty else { return try WordRuns.merge(runs, body) }
        try rest.forEach(inOrder: true, body)
    }

    private static func merge(
        _ runs: [RunFile], _ body: (_ word: Span<UInt8>, _ count: Int64) throws(TrainingError) -> Void
    ) throws(TrainingError) {
        for run in runs { try run.rewind() }
        var open = runs.filter { $0.word != nil }
        while let first = open.first, var least = first.word {
            for run in open.dropFirst() {
                if let word = run.word, word.lexicographicallyPrecedes(least) { least = word }
            }
            var count: Int64 = 0
            var ended = false
            for run in open where run.word == least {
                count += run.count
                try run.next()
                ended = ended || run.word == nil
            }
            if ended { open.removeAll { $0.word == nil } }
            try body(least.span, count)
        }
    }
}

/// A sorted run: written once, then read as often as wanted.
private final class RunFile {
    private static let bufferSize = 1 << 16

    private let descriptor: Int32
    private var buffer: [UInt8] = []
    private var place = 0
    private var offset = 0
    /// The record that was read last; nil at the end.
    private(set) var word: [UInt8]?
    private(set) var count: Int64 = 0

    init() throws(TrainingError) { descriptor = try TrainingMemory.temporaryFile() }

    deinit { close(descriptor) }

    func put(_ word: Span<UInt8>, _ count: Int64) throws(TrainingError) {
        append(UInt64(word.count))
        unsafe word.withUnsafeBufferPointer { unsafe buffer.append(contentsOf: $0) }
        append(UInt64(count))
        if buffer.count >= RunFile.bufferSize { try flush() }
    }

    private func append(_ number: UInt64) {
        var rest = number
        while rest >= 0x80 {
            buffer.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        buffer.append(UInt8(rest))
    }

    func flush() throws(TrainingError) {
        guard unsafe buffer.withUnsafeBytes({ unsafe writeAll(descriptor, $0) }) else { throw TrainingMemory.failure() }
        buffer.removeAll(keepingCapacity: true)
    }

    /// Goes to the first record.
    func rewind() throws(TrainingError) {
        (buffer, place, offset) = ([], 0, 0)
        try next()
    }

    /// Reads the next record.
    func next() throws(TrainingError) {
        guard let first = try byte() else {
            word = nil
            return
        }
        let length = Int(try number(first))
        var bytes: [UInt8] = []
        bytes.reserveCapacity(length)
        while bytes.count < length {
            if place == buffer.count { try fill() }
            let step = min(length - bytes.count, buffer.count - place)
            guard step > 0 else { throw TrainingError.unwritable(path: "a temporary file", reason: "it ends early") }
            bytes += buffer[place..<(place + step)]
            place += step
        }
        word = bytes
        count = Int64(bitPattern: try number(byte() ?? 0))
    }

    private func number(_ first: UInt8) throws(TrainingError) -> UInt64 {
        var (result, shift, current) = (UInt64(first & 0x7F), UInt64(7), first)
        while current >= 0x80, shift < 64 {
            current = try byte() ?? 0
            result |= UInt64(current & 0x7F) << shift
            shift += 7
        }
        return result
    }

    private func byte() throws(TrainingError) -> UInt8? {
        if place == buffer.count { try fill() }
        guard place < buffer.count else { return nil }
        defer { place += 1 }
        return buffer[place]
    }

    private func fill() throws(TrainingError) {
        place = 0
        var step = -1
        buffer = unsafe [UInt8](unsafeUninitializedCapacity: RunFile.bufferSize) { bytes, initialized in
            repeat {
                step = unsafe pread(descriptor, bytes.baseAddress, RunFile.bufferSize, offset)
            } while step < 0 && errno == EINTR
            initialized = max(0, step)
        }
        guard step >= 0 else { throw TrainingMemory.failure() }
        offset += step
    }
}
