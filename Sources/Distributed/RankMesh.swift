/// The places of ranks: each has one stage of a pipeline, one lane of data-parallel passes, and one part of the
/// matrices that ranks divide.
///
/// Neighbouring lanes may divide experts among them; lanes that are as many apart hold the same ones.
///
/// Ranks that divide matrices are neighbours, then come the lanes of a stage, and stages are far from each other
/// (arXiv:2104.04473): the nearer, the more is sent.
package struct RankMesh: Sendable, Equatable {
    /// Data-parallel lanes, each a whole model.
    package let lanes: Int
    /// Stages of each lane's pipeline; 1 where a rank has all layers.
    package let stages: Int
    /// The parts that matrices are divided into; 1 where a rank has the whole of each.
    package let parts: Int
    /// The parts that experts are divided into, each a lane's; 1 where a lane has all of them. They divide the lanes.
    package let experts: Int

    package init(lanes: Int, stages: Int = 1, parts: Int = 1, experts: Int = 1) {
        precondition(lanes % experts == 0, "RankMesh: \(experts) parts of experts, \(lanes) lanes")
        (self.lanes, self.stages, self.parts, self.experts) = (lanes, stages, parts, experts)
    }

    package var size: Int { lanes * stages * parts }

    package func part(of rank: Int) -> Int { rank % parts }
    package func lane(of rank: Int) -> Int { rank / parts % lanes }
    package func stage(of rank: Int) -> Int { rank / (parts * lanes) }
    package func rank(stage: Int, lane: Int, part: Int = 0) -> Int { (stage * lanes + lane) * parts + part }

    /// The ranks that hold what `rank` holds, by lane.
    package func group(of rank: Int) -> [Int] {
        (0..<lanes).map { self.rank(stage: stage(of: rank), lane: $0, part: part(of: rank)) }
    }
    /// The part of the experts that `rank` has.
    package func experts(of rank: Int) -> Int { lane(of: rank) % experts }
    /// The ranks that divide experts with `rank`, by part.
    package func expertTeam(of rank: Int) -> [Int] {
        let first = lane(of: rank) - experts(of: rank)
        return (first..<first + experts).map { self.rank(stage: stage(of: rank), lane: $0, part: part(of: rank)) }
    }
    /// The ranks that hold the same experts as `rank`, by lane.
    package func replicas(of rank: Int) -> [Int] {
        stride(from: experts(of: rank), to: lanes, by: experts).map {
            self.rank(stage: stage(of: rank), lane: $0, part: part(of: rank))
        }
    }
    /// The stages of the pipeline that `rank` is in.
    package func pipeline(of rank: Int) -> [Int] {
        (0..<stages).map { self.rank(stage: $0, lane: lane(of: rank), part: part(of: rank)) }
    }
    /// The ranks that divide matrices with `rank`, by part.
    package func team(of rank: Int) -> [Int] {
        (0..<parts).map { self.rank(stage: stage(of: rank), lane: lane(of: rank), part: $0) }
    }
}
