import MartletPlatform

/// Ranks as threads of one process, with mailboxes between them: the transport of the tests, on any machine.
package final class Crew: Sendable {
    private let size: Int
    private let seconds: Double
    private let mail: Mail

    /// - Parameters:
    ///   - size: the number of ranks.
    ///   - deadline: seconds that a rank waits for a message before it says who did not send it.
    package init(_ size: Int, deadline seconds: Double = 60) {
        (self.size, self.seconds) = (size, seconds)
        mail = Mail()
    }

    /// Runs `body` once for each rank, in threads of their own, and waits for all.
    ///
    /// - Returns: the result of each rank, in their order.
    /// - Throws: the error of the lowest rank that threw one; the others then end by ``CommunicationError``.
    package func run<Result: Sendable>(
        _ body: @escaping @Sendable (any Communicator) throws -> Result
    ) throws -> [Result] {
        let outcomes = Outcomes<Result>(size)
        Threads.run(size) { [mail, seconds, size] rank in
            let member = Member(rank, size, mail, seconds)
            do {
                outcomes.set(rank, .success(try body(member)))
            } catch {
                member.abort("rank \(rank): \(error)")
                outcomes.set(rank, .failure(error))
            }
        }
        return try outcomes.all()
    }

    /// One rank of a crew, which is a thread.
    private final class Member: Communicator {
        let rank, size: Int
        let traffic = Traffic()
        private let mail: Mail
        private let seconds: Double

        init(_ rank: Int, _ size: Int, _ mail: Mail, _ seconds: Double) {
            (self.rank, self.size, self.mail, self.seconds) = (rank, size, mail, seconds)
        }

        func exchange(
            _ sent: UnsafeRawBufferPointer, to target: Int?, _ received: UnsafeMutableRawBufferPointer,
            from origin: Int?, _ purpose: Purpose
        ) throws(CommunicationError) {
            if let target {
                traffic.count(sent.count, purpose)
                unsafe mail.put(Array(sent), from: rank, to: target)
            }
            guard let origin else { return }
            let bytes = try mail.take(from: origin, to: rank, seconds, purpose)
            guard bytes.count == received.count else {
                throw CommunicationError(
                    "rank \(rank) expected \(received.count) bytes of \(purpose) from rank \(origin), which sent \(bytes.count)"
                )
            }
            unsafe received.copyBytes(from: bytes)
        }

        func post(
            _ sent: UnsafeRawBufferPointer, of owner: AnyObject, to target: Int, _ purpose: Purpose
        ) throws(CommunicationError) {
            traffic.count(sent.count, purpose)
            unsafe mail.put(Array(sent), from: rank, to: target)
        }

        /// Mail is a copy.
        func settle() throws(CommunicationError) {}

        func abort(_ reason: String) { mail.close(reason) }
    }
}

/// The messages under way between the ranks of a ``Crew``.
private final class Mail: @unchecked Sendable {
    /// The way of a message, from one rank to another.
    private struct Way: Hashable {
        let origin, target: Int
    }

    private let moved = Signal()
    // Both are touched inside `moved.withLock`.
    private var waiting: [Way: [[UInt8]]] = [:]
    private var closed: String?

    func put(_ bytes: [UInt8], from origin: Int, to target: Int) {
        moved.wakeAll { waiting[Way(origin: origin, target: target), default: []].append(bytes) }
    }

    func close(_ reason: String) { moved.wakeAll { closed = closed ?? reason } }

    func take(
        from origin: Int, to target: Int, _ seconds: Double, _ purpose: Purpose
    ) throws(CommunicationError) -> [UInt8] {
        let way = Way(origin: origin, target: target)
        let end = ContinuousClock.now + .seconds(seconds)
        let outcome: Result<[UInt8], CommunicationError> = moved.withLock {
            while true {
                if waiting[way]?.isEmpty == false { return .success(waiting[way]?.removeFirst() ?? []) }
                if let closed { return .failure(CommunicationError(closed)) }
                let left = (end - .now).seconds
                guard left > 0 else {
                    return .failure(
                        CommunicationError(
                            "rank \(target) waited \(Int(seconds)) s for the \(purpose) of rank \(origin), which hangs")
                    )
                }
                moved.sleep(seconds: left)
            }
        }
        return try outcome.get()
    }
}

/// The results of the ranks of a ``Crew``, collected from their threads.
private final class Outcomes<Value: Sendable>: @unchecked Sendable {
    private let moved = Signal()
    private var results: [Result<Value, any Error>?]

    init(_ count: Int) { results = Array(repeating: nil, count: count) }

    func set(_ rank: Int, _ result: Result<Value, any Error>) { moved.wakeAll { results[rank] = result } }

    func all() throws -> [Value] {
        let own = results.compactMap { $0 }.first {
            if case .failure(let error) = $0 { !(error is CommunicationError) } else { false }
        }
        if let own { _ = try own.get() }
        return try results.compactMap { try $0?.get() }
    }
}
