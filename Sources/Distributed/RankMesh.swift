/// The places of ranks: each has one stage of a pipeline, and one lane of data-parallel passes.
///
/// The lanes of a stage are neighbours, the stages far from each other (arXiv:2104.04473): lanes send more.
package struct RankMesh: Sendable, Equatable {
    /// Data-parallel lanes, each a whole model.
    package let lanes: Int
    /// Stages of each lane's pipeline; 1 where a rank has all layers.
    package let stages: Int

    package init(lanes: Int, stages: Int = 1) { (self.lanes, self.stages) = (lanes, stages) }

    package var size: Int { lanes * stages }

    package func lane(of rank: Int) -> Int { rank % lanes }
    package func stage(of rank: Int) -> Int { rank / lanes }
    package func rank(stage: Int, lane: Int) -> Int { stage * lanes + lane }

    /// The ranks that hold what `rank` holds, by lane.
    package func group(of rank: Int) -> [Int] { (0..<lanes).map { self.rank(stage: stage(of: rank), lane: $0) } }
    /// The stages of the pipeline that `rank` is in.
    package func pipeline(of rank: Int) -> [Int] { (0..<stages).map { self.rank(stage: $0, lane: lane(of: rank)) } }
}
