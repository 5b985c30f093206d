import MartletDistributed
import MartletJSON
import MartletLayers
import MartletTensors

/// The sharding of the trained parameters among the ranks of a run (ZeRO: arXiv:1910.02054), and the messages that this
/// takes: the optimizer's states are divided from stage 1 on, the gradients from stage 2, the weights at stage 3.
///
/// A divided parameter keeps its place in the memory of all; pages that belong to other ranks are given back to the
/// system. From stage 2 on each layer is a bucket of its own: its gradients are summed over the ranks when the backward
/// pass leaves it, and at stage 3 its weights are gathered when a pass comes to it. Everything outside of layers is
/// there for the whole pass.
///
/// Where ranks are stages of a pipeline, or divide matrices or experts, each divides what it has with the ranks of
/// other lanes that have the same.
///
/// Used by one thread at a time, that of the pass.
final class ParameterSharding: LayerVisitor, @unchecked Sendable {
    let stage: Int
    /// The ranks that hold the same parameters, and all ranks.
    let communicator: any Communicator
    private let all: any Communicator
    /// The ranks among them that hold the same experts.
    private let replicas: any Communicator
    private let mesh: RankMesh
    /// The parts that this rank's optimizer steps on.
    let parts: ParameterParts
    private let parameters: TrainableParameters
    private let gradients: Gradients
    private let buckets: [ParameterBucket]
    /// The buckets of all stages.
    private let everywhere: [ParameterBucket]
    /// Passes that a rank computes in a step, from stage 2 on.
    private let rounds: Int
    private let splitPieces: [SplitPiece]
    /// The sums of each bucket over the passes of this step, where there are several.
    private var trees: [GradientTree]
    private var isClosed: [Bool]
    private var isLearning = false
    private var isIdle = false
    private var failure: CommunicationError?

    /// - Parameter homes: for each parameter the stage that steps on it.
    init(_ parameters: TrainableParameters, _ gradients: Gradients, _ ranks: ModelLearner.Ranks, homes: [Int]) {
        (self.parameters, self.gradients, all, mesh) = (parameters, gradients, ranks.communicator, ranks.mesh)
        let own = mesh.stage(of: all.rank)
        let communicator =
            mesh.stages * mesh.parts == 1 ? all : Subgroup(mesh.group(of: all.rank), of: all) as any Communicator
        let replicas =
            mesh.experts == 1 ? communicator : Subgroup(mesh.replicas(of: all.rank), of: all) as any Communicator
        (self.communicator, self.replicas) = (communicator, replicas)
        let zero = mesh.lanes > 1 ? ranks.layout.zero : 0
        stage = zero
        rounds = max(1, ranks.passes / mesh.lanes)
        let layout = BucketLayout(parameters, stage: zero, ranks, homes: homes)
        everywhere = layout.buckets()
        let (part, experts) = (mesh.part(of: all.rank), mesh.experts(of: all.rank))
        buckets = everywhere.filter {
            $0.home == own && ($0.part ?? part) == part && ($0.experts ?? experts) == experts
        }
        splitPieces = mesh.parts == 1 ? [] : layout.splitPieces(of: everywhere)
        let isWhole = stage == 0 && mesh.stages * mesh.parts == 1
        let ranges = buckets.map { bucket in
            zero == 0
                ? bucket.partition.whole
                : bucket.partition[bucket.experts == nil ? communicator.rank : replicas.rank]
        }.ordered
        // Lanes that hold the same write it once.
        parts =
            isWhole
            ? ParameterParts(parameters)
            : ParameterParts(parameters, in: ranges) { [mesh, all] index in
                (zero > 0 || mesh.lane(of: all.rank) == 0) && (part == 0 || parameters.isDivided(index))
            }
        trees = Array(repeating: GradientTree(), count: buckets.count)
        isClosed = Array(repeating: false, count: buckets.count)
        if stage == 3 { for bucket in buckets { discardWeights(bucket) } }
    }

    /// True where other ranks step on some of the parameters.
    private var isDivided: Bool { stage > 0 || mesh.stages * mesh.parts > 1 }

    /// The part of all weights that this rank holds between two passes.
    var held: ParameterParts {
        guard stage < 3 else { return parts }
        guard mesh.stages * mesh.parts * mesh.experts > 1 else { return ParameterParts(parameters) }
        let held = zip(parameters.offsets, parameters.held).map { $0 + $1.lowerBound..<$0 + $1.upperBound }
        return ParameterParts(parameters, in: held.filter { !$0.isEmpty })
    }

    // MARK: - Passes

    /// A pass over the whole model.
    ///
    /// - Parameters:
    ///   - learning: whether gradients come of it.
    ///   - isIdle: whether they count nothing: the pass only keeps those of other ranks company.
    /// - Throws: ``RunError`` for a model whose gradients do not come layer by layer, ``CommunicationError``.
    func pass<Result>(learning: Bool, isIdle: Bool = false, _ body: () throws -> Result) throws -> Result {
        guard stage >= 2 else { return try body() }
        (isLearning, self.isIdle) = (learning, isIdle)
        if learning { gradients.open(parameters.names.indices, anew: true) }
        forEachBucket(of: nil) { gatherWeights(buckets[$0]) }
        let result = try body()
        if learning {
            for bucket in buckets.indices where !isClosed[bucket] { close(bucket) }
            isClosed = isClosed.map { _ in false }
        }
        forEachBucket(of: nil) { discardWeights(buckets[$0]) }
        if let failure { throw failure }
        if let late = gradients.late {
            throw RunError(
                "zero=\(stage) cannot train this model: the gradient of \(parameters.names[late].quoted) goes on after its layer; use zero=1"
            )
        }
        return result
    }

    func enters(_ place: ParameterPlace) { forEachBucket(of: place) { gatherWeights(buckets[$0]) } }
    func leaves(_ place: ParameterPlace) { forEachBucket(of: place) { discardWeights(buckets[$0]) } }
    func finishes(_ place: ParameterPlace) { forEachBucket(of: place) { close($0) } }

    private func forEachBucket(of place: ParameterPlace?, _ body: (Int) -> Void) {
        for bucket in buckets.indices where buckets[bucket].layer == place { body(bucket) }
    }

    /// Sums the gradients of a bucket over the ranks, and keeps this rank's.
    private func close(_ index: Int) {
        let bucket = buckets[index]
        isClosed[index] = true
        gradients.close(bucket.parameters)
        // What other ranks' rows have brought to experts counts.
        if isIdle, bucket.experts == nil { _ = gradients.elements(bucket.partition.whole).filled(with: 0) }
        communicate { () throws(CommunicationError) in
            try unsafe holders(of: bucket).scatterSums(
                floats(gradients.elements(0..<gradients.count)), bucket.partition, .gradients)
        }
        let own = ownRange(of: bucket)
        if rounds > 1 { trees[index].take([gradients.elements(own)], on: parameters.device) }
        let kept = rounds > 1 ? own.lowerBound..<own.lowerBound : own
        for range in bucket.partition.whole.without(kept) {
            gradients.storage.discard(range.lowerBound * 4..<range.upperBound * 4)
        }
    }

    /// The passes of all ranks that nothing is learnt from.
    func skipRound() {
        for (index, bucket) in buckets.enumerated() {
            gradients.open(bucket.parameters, anew: true)
            gradients.close(bucket.parameters)
            guard rounds > 1 else { continue }
            trees[index].take([gradients.elements(ownRange(of: bucket))], on: parameters.device)
        }
    }

    /// The ranks that hold what is in a bucket, and this one's range of it.
    private func holders(of bucket: ParameterBucket) -> any Communicator {
        bucket.experts == nil ? communicator : replicas
    }
    private func ownRange(of bucket: ParameterBucket) -> Range<Int> { bucket.partition[holders(of: bucket).rank] }

    private func gatherWeights(_ bucket: ParameterBucket) {
        guard stage == 3 else { return }
        communicate { () throws(CommunicationError) in try gather(bucket, isLearning ? .weights : .evaluation) }
    }

    private func gather(_ bucket: ParameterBucket, _ purpose: Purpose) throws(CommunicationError) {
        try unsafe holders(of: bucket).gatherRanges(floats(parameters.all), bucket.partition, purpose)
    }

    private func discardWeights(_ bucket: ParameterBucket) {
        guard stage == 3 else { return }
        for range in bucket.partition.whole.without(ownRange(of: bucket)) { parameters.discard(range) }
    }

    /// Sends and receives, unless that has failed before in this pass: a rule of a backward pass cannot throw.
    private func communicate(_ body: () throws(CommunicationError) -> Void) {
        guard failure == nil else { return }
        do throws(CommunicationError) { try body() } catch { failure = error }
    }

    private func floats(_ memory: Tensor) -> UnsafeMutableBufferPointer<Float> {
        unsafe UnsafeMutableBufferPointer(start: memory.mutableFloats, count: memory.shape.elements)
    }

    // MARK: - Steps

    /// Makes the gradients of this rank's parts those of all ranks' shards.
    func sumGradients() throws(CommunicationError) {
        guard communicator.size > 1 else { return }
        switch stage {
        case 0, 1:
            let memory = unsafe floats(gradients.elements(0..<gradients.count))
            for bucket in buckets {
                gradients.complete(bucket.parameters)
                try unsafe communicator.scatterSums(memory, bucket.partition, .gradients)
                if stage == 0 { try unsafe communicator.gatherRanges(memory, bucket.partition, .gradients) }
            }
        default:
            guard rounds > 1 else { return }
            for (index, bucket) in buckets.enumerated() {
                trees[index].give(to: [gradients.elements(ownRange(of: bucket))])
            }
        }
    }

    /// Brings the weights that other ranks have stepped on here, where weights are whole.
    func gatherWeights() throws(CommunicationError) {
        guard stage == 1 || stage == 2 else { return }
        for bucket in buckets { try gather(bucket, .weights) }
    }

    /// Runs `body` while all of a parameter's elements that ranks with the same part hold together are here.
    func withWeights(of parameter: Int, _ body: () -> Void) throws(CommunicationError) {
        let gathered = stage == 3 ? buckets.filter { $0.parameters.contains(parameter) } : []
        for bucket in gathered { try gather(bucket, .weights) }
        body()
        for bucket in gathered { discardWeights(bucket) }
    }

    func forgetGradients() {
        gradients.open(parameters.names.indices, anew: true)
        trees = trees.map { _ in GradientTree() }
    }

    /// The gradient norm √Σ gradient² over all parameters, added in the order in which one rank adds.
    func gradientNorm() throws(CommunicationError) -> Double {
        let piece = Tensor.pieceOfSquares
        let counts = parameters.shapes.map { ($0.elements + piece - 1) / piece }
        var firsts: [Int] = []
        var sums: [Double] = []
        for count in counts {
            firsts.append(sums.count)
            sums += Array(repeating: 0, count: count)
        }
        for part in parts.indices where gradients.holds(parts.parameter(part)) {
            let (index, elements) = (parts.parameter(part), parts.elements(part))
            // Whole pieces alone: others are split among ranks.
            let begin = (elements.lowerBound + piece - 1) / piece
            let isEnd = elements.upperBound == parameters.shapes[index].elements
            let end = isEnd ? counts[index] : elements.upperBound / piece
            guard begin < end else { continue }
            let inner = begin * piece..<min(end * piece, elements.upperBound)
            let own = gradients[index].elements(inner).sumsOfSquares()
            sums.replaceSubrange(firsts[index] + begin..<firsts[index] + end, with: own)
        }
        for split in splitPieces {
            if let sum = try sumOfSquares(split) { sums[firsts[split.parameter] + split.piece] = sum }
        }
        if isDivided {
            let owners = zip(parameters.offsets, counts).flatMap { offset, count in
                (0..<count).map { owner(of: offset + $0 * piece) }
            }
            sums = try all.shared(sums, .agreement) { owners[$0] }
        }
        let squares = zip(firsts, counts).map { sums[$0..<$0 + $1].reduce(0, +) }
        return squares.reduce(0, +).squareRoot()
    }

    /// The rank that has an element's gradient.
    private func owner(of element: Int) -> Int {
        guard let bucket = everywhere.first(where: { $0.partition.whole.contains(element) }) else { return 0 }
        return bucket.rank(of: element, in: mesh, isDivided: stage > 0)
    }

    /// The sum of squares of a piece that several ranks have shares of, on the rank that has its first element.
    private func sumOfSquares(_ split: SplitPiece) throws(CommunicationError) -> Double? {
        let first = split.shares[0]
        guard split.shares.contains(where: { $0.rank == all.rank }), gradients.holds(split.parameter) else {
            return nil
        }
        let last = split.shares[split.shares.count - 1]
        let piece = parameters.device.make([last.elements.upperBound - first.elements.lowerBound])
        for share in split.shares {
            let place = piece.elements(
                share.elements.lowerBound - first.elements.lowerBound..<share.elements.upperBound
                    - first.elements.lowerBound)
            if share.rank == all.rank { place.overwrite(with: gradients.elements(share.elements), adding: false) }
            guard share.rank != first.rank else { continue }
            let bytes = unsafe UnsafeMutableRawBufferPointer(start: place.mutableFloats, count: place.bytes)
            let nothing = unsafe UnsafeMutableRawBufferPointer(start: nil, count: 0)
            if share.rank == all.rank {
                try unsafe all.exchange(
                    UnsafeRawBufferPointer(bytes), to: first.rank, nothing, from: nil, .gradients)
            } else if first.rank == all.rank {
                try unsafe all.exchange(UnsafeRawBufferPointer(nothing), to: nil, bytes, from: share.rank, .gradients)
            }
        }
        return first.rank == all.rank ? piece.sumOfSquares() : nil
    }

    /// The first of all ranks' parts, as numbers of parameters, whose gradient is not finite, and the first whose
    /// weights are not.
    func firstNonFinite() throws(CommunicationError) -> (gradient: Int?, weight: Int?) {
        let gradient = parts.indices.first {
            gradients.holds(parts.parameter($0)) && !parts.gradient($0, in: gradients).isFinite
        }
        let weight = parts.indices.first { !parts.weight($0).isFinite }
        let own = [gradient, weight].map { $0.map { Double(parts.parameter($0)) } ?? .infinity }
        guard isDivided else { return (gradient.map(parts.parameter), weight.map(parts.parameter)) }
        let size = all.size
        let found = try all.shared(Array(repeating: own, count: size).flatMap(\.self), .agreement) { $0 / 2 }
        let least = (0..<2).map { kind in (0..<size).reduce(Double.infinity) { min($0, found[$1 * 2 + kind]) } }
        return (least[0].isFinite ? Int(least[0]) : nil, least[1].isFinite ? Int(least[1]) : nil)
    }

    /// The number of bytes that this rank sends in one step for gradients and for weights: what the collectives
    /// themselves run by.
    var plannedTraffic: (gradients: Int, weights: Int) {
        let scattered = buckets.reduce(0) { $0 + $1.partition.scatteredBytes(by: holders(of: $1).rank) }
        let gathered = buckets.reduce(0) { $0 + gatheredBytes($1) }
        let split = splitPieces.reduce(0) { sum, piece in
            piece.shares.dropFirst().reduce(sum) { $0 + ($1.rank == all.rank ? 4 * $1.elements.count : 0) }
        }
        switch stage {
        case 0: return (scattered + gathered + split, 0)
        case 1: return (scattered + split, gathered)
        case 2: return (rounds * scattered + split, gathered)
        default:
            let inLayers = buckets.reduce(0) { $0 + ($1.layer == nil ? 0 : gatheredBytes($1)) }
            return (rounds * scattered + split, rounds * (gathered + inLayers))
        }
    }

    /// The number of bytes that this rank sends in one step while each divided matrix is gathered for its columns.
    var columnTraffic: Int {
        guard stage == 3 else { return 0 }
        return buckets.reduce(0) { $0 + ($1.part == nil ? 0 : gatheredBytes($1)) }
    }

    private func gatheredBytes(_ bucket: ParameterBucket) -> Int {
        bucket.partition.gatheredBytes(by: holders(of: bucket).rank)
    }
}

extension Range<Int> {
    /// The ranges left and right of `other`, which lies inside.
    fileprivate func without(_ other: Range<Int>) -> [Range<Int>] {
        [lowerBound..<other.lowerBound, other.upperBound..<upperBound]
    }
}

extension [Range<Int>] {
    fileprivate var ordered: [Range<Int>] { sorted { $0.lowerBound < $1.lowerBound } }
}
