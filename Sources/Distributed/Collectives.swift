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
        let partition = Partition(0..<values.count, among: size)
        try unsafe scatterSums(values, partition, purpose)
        try unsafe gatherRanges(values, partition, purpose)
    }

    /// Sums `values` over all ranks: afterwards each rank has the sum of its own range, and no more than numbers of no
    /// meaning elsewhere (reduce-scatter).
    ///
    /// - Throws: ``CommunicationError``.
    package func scatterSums(
        _ values: UnsafeMutableBufferPointer<Float>, _ partition: Partition, _ purpose: Purpose
    ) throws(CommunicationError) {
        let steps = partition.steps(of: rank)
        let largest = steps.reduce(0) { max($0, $1.kept.count) }
        let scratch = UnsafeMutableBufferPointer<Float>.allocate(capacity: min(largest, sumPiece))
        defer { unsafe scratch.deallocate() }
        for step in steps {
            let isOnePiece = max(step.kept.count, step.given.count) <= sumPiece
            for piece in isOnePiece ? [] : step.given.pieces(of: sumPiece) {
                try unsafe post(bytes(values, piece), of: self, to: step.peer, purpose)
            }
            // What has come is added while it is still in the cache.
            for piece in isOnePiece ? [step.kept] : step.kept.pieces(of: sumPiece) {
                let other = unsafe UnsafeMutableBufferPointer(rebasing: scratch[..<piece.count])
                try unsafe exchange(
                    bytes(values, isOnePiece ? step.given : 0..<0), to: isOnePiece ? step.peer : nil,
                    UnsafeMutableRawBufferPointer(other), from: step.peer, purpose)
                let sums = unsafe UnsafeMutableBufferPointer(rebasing: values[piece])
                for index in other.indices { unsafe sums[index] += other[index] }
            }
            try settle()
        }
    }

    /// The largest number of elements that are received before they are added: 1 MiB.
    private var sumPiece: Int { 1 << 18 }

    /// Puts into `values` the range of every rank, as that rank has it (all-gather).
    ///
    /// - Throws: ``CommunicationError``.
    package func gatherRanges(
        _ values: UnsafeMutableBufferPointer<Float>, _ partition: Partition, _ purpose: Purpose
    ) throws(CommunicationError) {
        for step in partition.steps(of: rank).reversed() {
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
            var place = received.mutableSpan
            try unsafe place.withUnsafeMutableBytes { place throws(CommunicationError) in
                try unsafe record.span.withUnsafeBytes { sent throws(CommunicationError) in
                    try unsafe exchange(sent, to: target, place, from: origin, purpose)
                }
            }
            records[origin] = received
        }
        return records
    }

    /// Records of any length from all ranks, in their order, on every rank.
    ///
    /// - Throws: ``CommunicationError``.
    package func gatherAll(_ record: [UInt8], _ purpose: Purpose) throws(CommunicationError) -> [[UInt8]] {
        let lengths = try lengths(record, purpose)
        let longest = lengths.reduce(0, max)
        let padded = record + [UInt8](repeating: 0, count: longest - record.count)
        return try zip(gather(padded, purpose), lengths).map { Array($0.prefix($1)) }
    }

    /// Records of any length from all ranks, in their order, on rank 0; nothing on the others.
    ///
    /// - Throws: ``CommunicationError``.
    package func collect(_ record: [UInt8], _ purpose: Purpose) throws(CommunicationError) -> [[UInt8]] {
        let lengths = try lengths(record, purpose)
        guard rank == 0 else {
            try unsafe record.span.withUnsafeBytes { sent throws(CommunicationError) in
                try unsafe exchange(
                    sent, to: 0, UnsafeMutableRawBufferPointer(start: nil, count: 0), from: nil, purpose)
            }
            return []
        }
        var records = [record]
        for origin in 1..<size {
            var received = [UInt8](repeating: 0, count: lengths[origin])
            var place = received.mutableSpan
            try unsafe place.withUnsafeMutableBytes { place throws(CommunicationError) in
                try unsafe exchange(UnsafeRawBufferPointer(start: nil, count: 0), to: nil, place, from: origin, purpose)
            }
            records.append(received)
        }
        return records
    }

    private func lengths(_ record: [UInt8], _ purpose: Purpose) throws(CommunicationError) -> [Int] {
        let length = (0..<8).map { UInt8(truncatingIfNeeded: record.count >> (8 * $0)) }
        return try gather(length, purpose).map { $0.reversed().reduce(0) { $0 << 8 | Int($1) } }
    }

    /// Numbers of which each is known to one rank, on all of them.
    ///
    /// - Parameter owner: the rank that knows the number at a place.
    /// - Throws: ``CommunicationError``.
    package func shared(
        _ numbers: [Double], _ purpose: Purpose, owner: (Int) -> Int
    ) throws(CommunicationError) -> [Double] {
        guard size > 1 else { return numbers }
        let record = numbers.flatMap { number in
            (0..<8).map { UInt8(truncatingIfNeeded: number.bitPattern >> ($0 * 8)) }
        }
        let records = try gather(record, purpose)
        return numbers.indices.map { index in
            let bytes = records[owner(index)][index * 8..<index * 8 + 8]
            return Double(bitPattern: bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) })
        }
    }

    /// Waits until all ranks have come here.
    package func barrier() throws(CommunicationError) { _ = try gather([0], .agreement) }

    /// True where the number of ranks is one that the tree of sums divides.
    package var isPowerOfTwo: Bool { size > 0 && size & (size - 1) == 0 }

    private func bytes(_ values: UnsafeMutableBufferPointer<Float>, _ range: Range<Int>) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(UnsafeMutableBufferPointer(rebasing: values[range]))
    }
}

extension Range<Int> {
    /// The range in pieces of `count` elements, the last one shorter.
    fileprivate func pieces(of count: Int) -> [Range<Int>] {
        stride(from: lowerBound, to: upperBound, by: count).map { $0..<Swift.min($0 + count, upperBound) }
    }
}
