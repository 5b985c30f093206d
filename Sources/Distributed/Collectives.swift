/// Collectives whose sums are added in a fixed binary tree over the ranks, ((0 + 1) + (2 + 3)) + …, whatever the
/// transport.
///
/// The ranks are a power of two. A sum over virtual shards that each rank has added in the same tree before thus has
/// the same bits on every number of ranks that divides the shards.
extension Communicator {
    /// Sums `values` over all ranks, in place: recursive halving, then recursive doubling (Thakur, Rabenseifner and
    /// Gropp, 2005).
    ///
    /// - Throws: ``CommunicationError``.
    package func sum(_ values: UnsafeMutableBufferPointer<Float>, _ purpose: Purpose) throws(CommunicationError) {
        precondition(isPowerOfTwo, "sum over \(size) ranks, which are no power of two")
        guard size > 1, !values.isEmpty else { return }
        let steps = Halving.steps(values.count, rank: rank, size: size)
        let largest = steps.reduce(0) { max($0, $1.kept.count) }
        let scratch = UnsafeMutableBufferPointer<Float>.allocate(capacity: largest)
        defer { unsafe scratch.deallocate() }
        for step in steps {
            let other = unsafe UnsafeMutableBufferPointer(rebasing: scratch[..<step.kept.count])
            try unsafe exchange(
                bytes(values, step.given), to: step.peer, UnsafeMutableRawBufferPointer(other), from: step.peer, purpose
            )
            let kept = unsafe UnsafeMutableBufferPointer(rebasing: values[step.kept])
            for index in other.indices { unsafe kept[index] += other[index] }
        }
        for step in steps.reversed() {
            let missing = unsafe UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: values[step.given]))
            try unsafe exchange(bytes(values, step.kept), to: step.peer, missing, from: step.peer, purpose)
        }
    }

    /// The records of all ranks, in their order, on every rank.
    ///
    /// - Precondition: all records are as long.
    /// - Throws: ``CommunicationError``.
    package func gather(_ record: [UInt8], _ purpose: Purpose) throws(CommunicationError) -> [[UInt8]] {
        var records = Array(repeating: record, count: size)
        // Round by round, each rank's record goes to the one that is `distance` behind it.
        for distance in stride(from: 1, to: size, by: 1) {
            let (target, origin) = ((rank + distance) % size, (rank + size - distance) % size)
            var received = [UInt8](repeating: 0, count: record.count)
            try unsafe record.span.withUnsafeBytes { sent throws(CommunicationError) in
                let place = unsafe received.withUnsafeMutableBytes { unsafe $0 }
                try unsafe exchange(sent, to: target, place, from: origin, purpose)
            }
            records[origin] = received
        }
        return records
    }

    /// Waits until all ranks have come here.
    package func barrier() throws(CommunicationError) { _ = try gather([0], .agreement) }

    /// Whether the number of ranks is one that the tree of sums divides.
    package var isPowerOfTwo: Bool { size > 0 && size & (size - 1) == 0 }

    private func bytes(_ values: UnsafeMutableBufferPointer<Float>, _ range: Range<Int>) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(UnsafeMutableBufferPointer(rebasing: values[range]))
    }
}

/// The steps of recursive halving over `count` elements: with each peer a rank gives one half of what it holds and
/// keeps the other.
package enum Halving {
    package struct Step: Sendable, Equatable {
        package let peer: Int
        package let kept, given: Range<Int>
    }

    /// The steps of rank `rank`, nearest peer first, so that sums are added in the order of the ranks.
    package static func steps(_ count: Int, rank: Int, size: Int) -> [Step] {
        var held = 0..<count
        var steps: [Step] = []
        var distance = 1
        while distance < size {
            let middle = held.lowerBound + held.count / 2
            let (lower, upper) = (held.lowerBound..<middle, middle..<held.upperBound)
            let isLower = rank & distance == 0
            steps.append(Step(peer: rank ^ distance, kept: isLower ? lower : upper, given: isLower ? upper : lower))
            held = isLower ? lower : upper
            distance *= 2
        }
        return steps
    }

    /// Bytes that rank `rank` sends in one ``Communicator/sum(_:_:)`` of `count` floats.
    package static func sentBytes(_ count: Int, rank: Int, size: Int) -> Int {
        4 * steps(count, rank: rank, size: size).reduce(0) { $0 + $1.kept.count + $1.given.count }
    }
}
