package import MartletDistributed

/// The part of each training step that one rank of a data-parallel run computes (ZeRO stage 0: arXiv:1910.02054 §2).
///
/// The passes of a step are dealt to the recipe's shards, and the shards to the ranks, both in blocks in their order.
/// Gradients are added within a shard pass by pass, and over shards in a binary tree, which ranks continue where each
/// one's own shards end: bits depend on the shards alone.
package struct RankShare: Sendable {
    package let communicator: any Communicator
    private let passes: Int
    private let shards: Int

    /// - Throws: ``RunError`` with the numbers of ranks that divide the shards, where that of the run does not.
    package init(_ communicator: any Communicator, _ settings: RunSettings) throws(RunError) {
        (self.communicator, passes, shards) = (communicator, settings.accumulation, settings.shards)
        guard shards % communicator.size == 0 else {
            let fitting = (0..<20).map { 1 << $0 }.prefix { $0 <= shards }.map(String.init).joined(separator: ", ")
            throw RunError(
                "\(communicator.size) ranks do not divide the recipe's \(shards) shards (batch.shards); run on \(fitting)"
            )
        }
    }

    /// Whether this rank writes log, checkpoints and model: rank 0.
    package var isLeader: Bool { communicator.rank == 0 }

    /// The shards that this rank computes.
    var ownShards: Int { shards / communicator.size }

    /// The rank that computes `pass` of every step.
    func owner(ofPass pass: Int) -> Int { pass * communicator.size / passes }

    func owns(pass: Int) -> Bool { owner(ofPass: pass) == communicator.rank }

    /// Whether `pass` is the last one of its shard.
    func endsShard(_ pass: Int) -> Bool { (pass + 1) % (passes / shards) == 0 }

    /// Numbers of which each was computed by one rank, on all of them.
    ///
    /// - Throws: ``CommunicationError``.
    func shared(
        _ numbers: [Double], _ purpose: Purpose, owner: (Int) -> Int
    ) throws(CommunicationError) -> [Double] {
        guard communicator.size > 1 else { return numbers }
        let record = numbers.flatMap { number in
            (0..<8).map { UInt8(truncatingIfNeeded: number.bitPattern >> ($0 * 8)) }
        }
        let records = try communicator.gather(record, purpose)
        return numbers.indices.map { index in
            let bytes = records[owner(index)][index * 8..<index * 8 + 8]
            return Double(bitPattern: bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) })
        }
    }

    /// Whether any rank wishes it.
    ///
    /// - Throws: ``CommunicationError``.
    func any(_ wish: Bool) throws(CommunicationError) -> Bool {
        guard communicator.size > 1 else { return wish }
        return try communicator.gather([wish ? 1 : 0], .agreement).contains([1])
    }
}
