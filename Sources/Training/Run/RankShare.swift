package import MartletDistributed

/// The part of each training step that one rank of a data-parallel run computes.
///
/// The passes of a step are dealt to the recipe's shards in blocks in their order. Gradients are added within a shard
/// pass by pass, and over shards in a binary tree: bits depend on the shards alone.
///
/// The shards are dealt to the ranks in blocks, and ranks continue the tree where each one's own shards end. Where
/// gradients are divided (ZeRO stages 2 and 3) they are dealt in turn, one pass to a shard: ranks add the lowest levels
/// of the tree, in the midst of a round of passes, and each continues it over the rounds for its own part.
package struct RankShare: Sendable {
    package let communicator: any Communicator
    /// The ranks' places: passes are dealt to lanes, and each stage of a lane's pipeline computes its part of them.
    let mesh: RankMesh
    private let passes: Int
    private let shards: Int
    /// True where all ranks compute a pass at once and sum its gradients during it.
    let isInRounds: Bool

    /// - Throws: ``RunError`` with the numbers of ranks that divide the shards, where that of the run does not; for
    ///   shards of several passes where gradients are divided.
    package init(
        _ communicator: any Communicator, _ settings: RunSettings, zero stage: Int = 0, stages: Int = 1, parts: Int = 1
    ) throws(RunError) {
        (self.communicator, passes, shards) = (communicator, settings.accumulation, settings.shards)
        mesh = RankMesh(lanes: communicator.size / (stages * parts), stages: stages, parts: parts)
        isInRounds = stage >= 2
        guard shards % mesh.lanes == 0 else {
            let fitting = (0..<20).map { 1 << $0 }.prefix { $0 <= shards }.map(String.init).joined(separator: ", ")
            throw RunError(
                "\(mesh.lanes) \(stages > 1 ? "pipelines" : parts > 1 ? "lanes" : "ranks") do not divide the recipe's \(shards) shards (batch.shards); run on \(fitting)"
            )
        }
        guard !isInRounds || passes == shards else {
            throw RunError(
                "zero=\(stage) sums the gradients of each pass over the ranks, so that each pass must be a shard: set batch.shards to batch.accumulation, \(passes), or use zero=1"
            )
        }
    }

    /// True where this rank writes log, checkpoints and model: rank 0.
    package var isLeader: Bool { communicator.rank == 0 }

    /// This rank's lane.
    var lane: Int { mesh.lane(of: communicator.rank) }

    /// The shards that this rank computes.
    var ownShards: Int { shards / mesh.lanes }

    /// The lane that computes `pass` of every step.
    private func lane(ofPass pass: Int) -> Int {
        isInRounds ? pass % mesh.lanes : pass * mesh.lanes / passes
    }

    /// The rank that knows the loss of `pass` of every step.
    func owner(ofPass pass: Int) -> Int { mesh.rank(stage: mesh.stages - 1, lane: lane(ofPass: pass)) }

    /// The rank that knows the loss of a validation batch, which are dealt to the lanes in turn.
    func owner(ofBatch batch: Int) -> Int { mesh.rank(stage: mesh.stages - 1, lane: batch % mesh.lanes) }

    func owns(pass: Int) -> Bool { lane(ofPass: pass) == lane }

    /// Returns whether `pass` is the last one of its shard.
    func endsShard(_ pass: Int) -> Bool { (pass + 1) % (passes / shards) == 0 }

    /// Returns whether any rank wishes it.
    ///
    /// - Throws: ``CommunicationError``.
    func any(_ wish: Bool) throws(CommunicationError) -> Bool {
        guard communicator.size > 1 else { return wish }
        return try communicator.gather([wish ? 1 : 0], .agreement).contains([1])
    }
}
