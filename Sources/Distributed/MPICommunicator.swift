import MartletPlatform

/// Ranks as processes, started by mpirun or Slurm, with messages over the site's MPI.
///
/// Only bytes between two ranks reach the library: sums, orders and groups are Martlet's own, so that bits depend on no
/// tuning parameter. Used by one thread at a time.
@safe package final class MPICommunicator: Communicator, @unchecked Sendable {
    package let rank: Int
    package let size: Int
    package let traffic = Traffic()
    private let library: MPILibrary
    /// The deadline, and how long this rank waits for a message.
    private let limit, seconds: Double
    private let requests: UnsafeMutableRawPointer
    /// The posted messages that may be under way, in their order.
    private var posted: [Posted] = []
    /// The largest message: MPI counts in 32 bits.
    private static let largest = 1 << 30

    /// True where a launcher has started this process as one of several ranks.
    package static var isLaunched: Bool { MPILibrary.isLaunched }

    /// A line about each MPI library that is here, the one that would be used first.
    package static func found() -> [String] { MPILibrary.found(ownPath).map(\.description) }

    /// A line about the MPI library that would be used.
    ///
    /// - Throws: ``CommunicationError`` where there is none.
    package static func describe() throws(CommunicationError) -> String {
        try MPILibrary(path: ownPath).description
    }

    /// Joins the ranks of the launcher.
    ///
    /// - Parameters:
    ///   - deadline: seconds that a message may take before its peer counts as hanging; `MARTLET_DEADLINE`, where it is
    ///     set, says otherwise.
    ///   - patient: whether the ranks but the first wait without end, for orders that may come at any time.
    /// - Throws: ``CommunicationError`` where no MPI can be loaded, or it does not start.
    package init(deadline seconds: Double = 600, patient: Bool = false) throws(CommunicationError) {
        let library = try MPILibrary(path: MPICommunicator.ownPath)
        let limit = Environment["MARTLET_DEADLINE"].flatMap { Double($0) } ?? seconds
        var provided: Int32 = 0
        // MPI_THREAD_SERIALIZED is 2 in all three ABIs.
        let code = Watch.within(limit, "MPI's start") { unsafe library.start(nil, nil, 2, &provided) }
        guard code == 0 else {
            throw CommunicationError("\(library.path): MPI does not start")
        }
        var (rank, size): (Int32, Int32) = (0, 0)
        guard unsafe library.rank(library.world, &rank) == 0, unsafe library.size(library.world, &size) == 0 else {
            throw CommunicationError("\(library.path): MPI does not say which rank this is")
        }
        (self.limit, self.seconds) = (limit, patient && rank > 0 ? .infinity : limit)
        (self.library, self.rank, self.size) = (library, Int(rank), Int(size))
        unsafe requests = UnsafeMutableRawPointer.allocate(byteCount: 16, alignment: 8)
    }

    deinit { unsafe requests.deallocate() }

    /// Leaves the ranks; to be called once, when all work is done.
    package func finish() { Watch.within(limit, "MPI's end") { _ = library.finalize() } }

    package func exchange(
        _ sent: UnsafeRawBufferPointer, to target: Int?, _ received: UnsafeMutableRawBufferPointer, from origin: Int?,
        _ purpose: Purpose
    ) throws(CommunicationError) {
        if target != nil { traffic.count(sent.count, purpose) }
        let (out, into) = (target == nil ? 0 : sent.count, origin == nil ? 0 : received.count)
        var offset = 0
        repeat {
            let sentPart = unsafe UnsafeRawBufferPointer(
                rebasing: sent[min(offset, out)..<min(offset + Self.largest, out)])
            let receivedPart = unsafe UnsafeMutableRawBufferPointer(
                rebasing: received[min(offset, into)..<min(offset + Self.largest, into)])
            // Each way has the parts of its own length, which is what the rank at its other end counts by.
            let (sends, receives) = (offset == 0 || offset < out, offset == 0 || offset < into)
            try unsafe exchangePart(
                sentPart, to: sends ? target : nil, receivedPart, from: receives ? origin : nil, purpose)
            offset += Self.largest
        } while offset < max(out, into)
    }

    package func post(
        _ sent: UnsafeRawBufferPointer, of owner: AnyObject, to target: Int, _ purpose: Purpose
    ) throws(CommunicationError) {
        traffic.count(sent.count, purpose)
        var offset = 0
        repeat {
            let part = unsafe UnsafeRawBufferPointer(rebasing: sent[offset..<min(offset + Self.largest, sent.count)])
            let message = Posted(owner, to: target, purpose)
            let code = unsafe library.send(
                part.baseAddress, Int32(part.count), library.byte, Int32(target), 0, library.world, message.request)
            guard code == 0 else { throw failure("send", purpose, target, code) }
            posted.append(message)
            offset += Self.largest
        } while offset < sent.count
        while let first = posted.first, try isSent(first) { posted.removeFirst() }
    }

    package func settle() throws(CommunicationError) {
        for message in posted {
            try poll(message.purpose, message.target) { () throws(CommunicationError) in try isSent(message) }
        }
        posted = []
    }

    private func isSent(_ message: Posted) throws(CommunicationError) -> Bool {
        var flag: Int32 = 0
        let code = unsafe library.test(1, message.request, &flag, library.noStatuses)
        guard code == 0 else { throw failure("send", message.purpose, message.target, code) }
        return flag != 0
    }

    /// A message that was posted: its request, and what keeps its bytes.
    @safe private final class Posted {
        let request: UnsafeMutableRawPointer
        let target: Int
        let purpose: Purpose
        private let owner: AnyObject

        init(_ owner: AnyObject, to target: Int, _ purpose: Purpose) {
            unsafe request = UnsafeMutableRawPointer.allocate(byteCount: 8, alignment: 8)
            (self.owner, self.target, self.purpose) = (owner, target, purpose)
        }

        deinit { unsafe request.deallocate() }
    }

    private func exchangePart(
        _ sent: UnsafeRawBufferPointer, to target: Int?, _ received: UnsafeMutableRawBufferPointer, from origin: Int?,
        _ purpose: Purpose
    ) throws(CommunicationError) {
        var count: Int32 = 0
        func next() -> UnsafeMutableRawPointer {
            defer { count += 1 }
            return unsafe requests + Int(count) * library.requestBytes
        }
        if let origin {
            let code = unsafe library.receive(
                received.baseAddress, Int32(received.count), library.byte, Int32(origin), 0, library.world, next())
            guard code == 0 else { throw failure("receive", purpose, origin, code) }
        }
        if let target {
            let code = unsafe library.send(
                sent.baseAddress, Int32(sent.count), library.byte, Int32(target), 0, library.world, next())
            guard code == 0 else { throw failure("send", purpose, target, code) }
        }
        try wait(count, purpose, origin ?? target)
    }

    private func wait(_ count: Int32, _ purpose: Purpose, _ peer: Int?) throws(CommunicationError) {
        try poll(purpose, peer) { () throws(CommunicationError) in
            var flag: Int32 = 0
            let code = unsafe library.test(count, requests, &flag, library.noStatuses)
            guard code == 0 else { throw failure("wait", purpose, peer, code) }
            return flag != 0
        }
    }

    /// Asks again and again, until the deadline.
    private func poll(
        _ purpose: Purpose, _ peer: Int?, _ isDone: () throws(CommunicationError) -> Bool
    ) throws(CommunicationError) {
        let began = ContinuousClock.now
        var polls = 0
        while try !isDone() {
            polls += 1
            // Whoever shares this core gets its turn; the clock is asked now and then.
            if polls > 1000 { sched_yield() }
            if polls % 1024 == 0, (ContinuousClock.now - began).seconds > seconds {
                throw CommunicationError(
                    "rank \(rank) waited \(Int(seconds)) s for the \(purpose) of rank \(peer ?? rank), which hangs")
            }
        }
    }

    private func failure(_ operation: String, _ purpose: Purpose, _ peer: Int?, _ code: Int32) -> CommunicationError {
        CommunicationError(
            "rank \(rank) could not \(operation) the \(purpose) with rank \(peer ?? rank): MPI's error \(code)")
    }

    package func abort(_ reason: String) { _ = library.abort(library.world, 1) }

    private static var ownPath: String? { Environment["MARTLET_MPI"] }
}
