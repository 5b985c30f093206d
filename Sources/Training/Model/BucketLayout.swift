import MartletDistributed
import MartletLayers
import MartletTensors

/// A run of parameters that ranks divide together.
struct ParameterBucket {
    let parameters: Range<Int>
    /// The layer of the parameters; nil outside of layers.
    let layer: ParameterPlace?
    /// The partition of the memory of all.
    let partition: Partition
    /// The stage of a pipeline that steps on it.
    let home: Int
    /// The part of a divided matrix that it is; nil for what is whole.
    let part: Int?
    /// The part of the experts that it is of; nil for what every lane has.
    let experts: Int?

    /// The rank that steps on an element; where lanes do not divide the bucket, that of the first lane.
    func rank(of element: Int, in mesh: RankMesh, isDivided: Bool) -> Int {
        let owner = partition.owner(of: element)
        let lane = isDivided ? experts.map { owner * mesh.experts + $0 } ?? owner : 0
        return mesh.rank(stage: home, lane: lane, part: part ?? 0)
    }
}

/// Elements of the memory of all that lie in one piece of a sum of squares, though several ranks have them.
struct SplitPiece {
    let parameter, piece: Int
    /// The shares in ascending order, with the rank that has them.
    let shares: [(elements: Range<Int>, rank: Int)]
}

/// The layout of a model's parameters in buckets, those of all ranks.
struct BucketLayout {
    private let parameters: TrainableParameters
    private let stage: Int
    private let ranks: ModelLearner.Ranks
    private let homes: [Int]

    /// - Parameters:
    ///   - stage: the stage of ZeRO.
    ///   - homes: for each parameter the stage of the pipeline that steps on it.
    init(_ parameters: TrainableParameters, stage: Int, _ ranks: ModelLearner.Ranks, homes: [Int]) {
        (self.parameters, self.stage, self.ranks, self.homes) = (parameters, stage, ranks, homes)
    }

    /// The buckets, in the order of the parameters; a matrix that ranks divide has one for each part.
    func buckets() -> [ParameterBucket] {
        runs().flatMap { run -> [ParameterBucket] in
            let start = parameters.offsets[run.lowerBound]
            guard isDivided(run.lowerBound) else {
                // Up to the next parameter: ranks share the padding between two as well.
                let hasNext = run.upperBound < parameters.offsets.count
                let end = hasNext ? parameters.offsets[run.upperBound] : parameters.count
                return [bucket(run, start..<end, part: nil)]
            }
            return (0..<ranks.mesh.parts).compactMap { part in
                guard let own = elements(run.lowerBound, ofPart: part), !own.isEmpty else { return nil }
                return bucket(run, start + own.lowerBound..<start + own.upperBound, part: part)
            }
        }
    }

    /// The runs of neighbours that stand in one bucket.
    private func runs() -> [Range<Int>] {
        var runs: [Range<Int>] = []
        for index in parameters.names.indices {
            if let first = runs.last?.lowerBound, layer(first) == layer(index), homes[first] == homes[index],
                experts(first) == experts(index), !isDivided(first), !isDivided(index)
            {
                runs[runs.count - 1] = first..<index + 1
            } else {
                runs.append(index..<index + 1)
            }
        }
        return runs
    }

    private func layer(_ index: Int) -> ParameterPlace? {
        let entry = parameters.entries[index]
        // Tables of relative positions are read before the first layer, for all of them.
        guard stage >= 2, entry.role != .relativePositions, let place = entry.place, place.layer != nil else {
            return nil
        }
        return place
    }

    private func elements(_ index: Int, ofPart part: Int) -> Range<Int>? {
        guard ranks.mesh.parts > 1 else { return nil }
        let entry = parameters.entries[index]
        return entry.elements(ofPart: part, of: ranks.mesh.parts, dividingRows: ranks.layout.context > 1)
    }

    private func isDivided(_ index: Int) -> Bool { elements(index, ofPart: 0) != nil }

    private func experts(_ index: Int) -> Int? { ranks.mesh.part(ofExpertsWith: parameters.entries[index]) }

    /// The bucket of the elements `range` of a run, cut among its lanes where the optimizer may cut.
    private func bucket(_ run: Range<Int>, _ range: Range<Int>, part: Int?) -> ParameterBucket {
        let places = run.flatMap { index in
            let count = parameters.shapes[index].elements
            let step = ranks.cutsParameters ? Tensor.pieceOfSquares : max(1, count)
            return stride(from: 0, to: count, by: step).map { parameters.offsets[index] + $0 }
        }
        let cuts = places.filter { range.lowerBound < $0 && $0 < range.upperBound }
        let experts = experts(run.lowerBound)
        let lanes = experts == nil ? ranks.mesh.lanes : ranks.mesh.lanes / ranks.mesh.experts
        return ParameterBucket(
            parameters: run, layer: layer(run.lowerBound),
            partition: Partition(range, among: lanes, at: [range.lowerBound] + cuts + [range.upperBound]),
            home: homes[run.lowerBound], part: part, experts: experts)
    }

    /// The pieces of sums of squares in which the parts of a divided matrix meet.
    func splitPieces(of buckets: [ParameterBucket]) -> [SplitPiece] {
        let step = Tensor.pieceOfSquares
        let divided = Dictionary(grouping: buckets.filter { $0.part != nil }) { $0.parameters.lowerBound }
        return divided.keys.sorted().flatMap { index -> [SplitPiece] in
            let (offset, count) = (parameters.offsets[index], parameters.shapes[index].elements)
            let parts = (divided[index] ?? []).sorted { ($0.part ?? 0) < ($1.part ?? 0) }
            let ends = parts.dropLast().map { $0.partition.whole.upperBound - offset }
            return Set(ends.filter { $0 % step != 0 }.map { $0 / step }).sorted().map { piece in
                let whole = offset + piece * step..<offset + min(count, (piece + 1) * step)
                let shares = parts.compactMap { bucket -> (elements: Range<Int>, rank: Int)? in
                    let own = bucket.partition.whole.clamped(to: whole)
                    guard !own.isEmpty else { return nil }
                    return (own, bucket.rank(of: own.lowerBound, in: ranks.mesh, isDivided: stage > 0))
                }
                return SplitPiece(parameter: index, piece: piece, shares: shares)
            }
        }
    }
}
