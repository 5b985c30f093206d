import MartletPlatform
import MartletTensors
import MartletTokenizers

/// The lines of a file in chunks, worked on by several threads; what each becomes is handed on in the order of the
/// lines.
///
/// Whoever is done with the chunk that comes next hands it on, and those behind it that wait. A thread that is too far
/// ahead waits too, so that memory is bounded by a few chunks for each thread.
final class ParallelLines: @unchecked Sendable {
    private static let chunkSize = 1 << 18
    private static let chunksPerThread = 4

    private let work: (_ lines: [UInt8], _ result: inout [UInt8]) throws -> Void
    private let threads: Int
    private var reader: InputLines
    private let moved = Signal()

    // What follows is touched inside `moved.withLock`.
    private var nextRead = 0
    private var nextOut = 0
    private var isHandingOn = false
    private var waiting: [Int: [UInt8]] = [:]
    private var failure: (chunk: Int, error: any Error)?

    /// - Parameters:
    ///   - path: "-" for standard input.
    ///   - work: Appends what becomes of some lines, which are as they were read; called by several threads at once.
    init(
        _ path: String, threads: Int, _ work: @escaping (_ lines: [UInt8], _ result: inout [UInt8]) throws -> Void
    ) throws(FileError) {
        self.work = work
        self.threads = threads
        reader = try InputLines(path, batchSize: ParallelLines.chunkSize)
    }

    /// Works until there are no more lines, or one chunk failed; `handOn` gets all that was made before it.
    ///
    /// - Throws: the error of the first chunk that has one.
    func run(_ handOn: @escaping (_ result: [UInt8]) -> Void) throws {
        let sink = Sink(handOn)
        Threads.run(threads) { [self] _ in
            while let (chunk, lines) = take() {
                var result: [UInt8] = []
                do {
                    try work(lines, &result)
                } catch {
                    fail(chunk, error)
                    return
                }
                give(chunk, result, to: sink)
            }
        }
        if let failure { throw failure.error }
    }

    private final class Sink: @unchecked Sendable {
        let handOn: ([UInt8]) -> Void
        init(_ handOn: @escaping ([UInt8]) -> Void) { self.handOn = handOn }
    }

    private func take() -> (chunk: Int, lines: [UInt8])? {
        moved.withLock {
            while failure == nil, nextRead - nextOut >= threads * ParallelLines.chunksPerThread { moved.sleep() }
            guard failure == nil else { return nil }
            do {
                guard let lines = try reader.nextText() else { return nil }
                defer { nextRead += 1 }
                return (nextRead, lines)
            } catch {
                failure = (nextRead, error)
                moved.wake()
                return nil
            }
        }
    }

    private func fail(_ chunk: Int, _ error: any Error) {
        moved.wakeAll { if chunk < failure?.chunk ?? .max { failure = (chunk, error) } }
    }

    private func give(_ chunk: Int, _ result: [UInt8], to sink: Sink) {
        var next = moved.withLock { () -> [UInt8]? in
            waiting[chunk] = result
            guard !isHandingOn else { return nil }
            isHandingOn = true
            return takeNext()
        }
        while let result = next {
            sink.handOn(result)
            next = moved.withLock {
                nextOut += 1
                moved.wake()
                return takeNext()
            }
        }
    }

    /// The result that is handed on next; nil, with nobody handing on, where it is not there yet.
    private func takeNext() -> [UInt8]? {
        let next = waiting.removeValue(forKey: nextOut)
        if next == nil { isHandingOn = false }
        return next
    }
}
