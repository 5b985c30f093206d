import MartletDistributed
import MartletLayers
import MartletModels
import MartletTensors

/// The ranks that divide the rows of each pass of a lane (context parallelism), and the messages that this takes.
///
/// A rank has all weights; of each matrix the gradients and optimizer's states of its own outputs, and of experts those
/// that it computes for all.
final class RowTeam: RankTeam, RowRanks, @unchecked Sendable {
    var gathered: GatheredRows?
    /// The rows of the present pass, of all ranks: those of the only stack, or of each of two.
    private var rows: [Int] = []
    /// Parameters whose gradients are no sums over rows: biases by distance, which each rank gathers of all heads.
    private let undivided: Set<Int>

    /// - Parameter entries: the parameters that learn.
    init(_ team: any Communicator, _ entries: [Inventory.Entry]) {
        undivided = Set(entries.indices.filter { entries[$0].role == .relativePositions })
        super.init(team, for: .activations)
    }

    /// Begins a pass of so many rows in each stack.
    ///
    /// - Throws: ``RunError`` where there is not a row for each rank.
    func begin(_ rows: [Int]) throws(RunError) {
        if let few = rows.first(where: { $0 < count }) {
            throw RunError("context=\(count) divides the rows of a pass, but one has only \(few): leave out context=")
        }
        (self.rows, gathered) = (rows, nil)
    }

    /// Returns whether ranks tell each other how many rows they have: where two stacks have different ones, a rank's do
    /// not say which stack's they are.
    static func tellCounts(_ rows: [Int]) -> Bool { Set(rows).count > 1 }

    func parts(ofOwn own: Int) -> [Range<Int>] {
        guard RowTeam.tellCounts(rows) else { return parts(of: rows[0]) }
        var counts = [Int32](repeating: Int32(own), count: count)
        let sent = Int32(own)
        exchangeAll { target, origin in
            unsafe withUnsafeBytes(of: sent) { sent in
                unsafe withUnsafeMutableBytes(of: &counts[origin]) { received in
                    unsafe exchange(sent, to: target, received, from: origin)
                }
            }
        }
        var first = 0
        return counts.map { count in
            defer { first += Int(count) }
            return first..<first + Int(count)
        }
    }

    /// The rows that this rank has of a stack's.
    func part(of rows: Rows) -> Rows { rows.part(part(of: rows.count)) }

    func dividesRows(ofLeaf leaf: Int) -> Bool { !undivided.contains(leaf) }

    /// Brings the weights here that other ranks have changed.
    ///
    /// - Throws: ``CommunicationError``.
    func shareWeights(of parameters: TrainableParameters) throws(CommunicationError) {
        let usual = purpose
        purpose = .weights
        defer { purpose = usual }
        for index in parameters.names.indices where parameters.isDivided(index) {
            let (entry, whole) = (parameters.entries[index], parameters[index])
            func learnt(by rank: Int) -> Tensor {
                whole.elements(entry.elements(ofPart: rank, of: count, dividingRows: true) ?? 0..<0)
            }
            let own = learnt(by: rank)
            exchangeAll { target, origin in
                let received = learnt(by: origin)
                unsafe exchange(
                    UnsafeRawBufferPointer(start: own.pointer, count: own.bytes), to: target,
                    UnsafeMutableRawBufferPointer(start: received.mutableFloats, count: received.bytes), from: origin)
            }
        }
        try check()
    }

    /// The number of bytes that this rank sends in one ``shareWeights(of:)``.
    func weightBytes(of parameters: TrainableParameters) -> Int {
        parameters.names.indices.filter(parameters.isDivided).reduce(0) { sum, index in
            sum + 4 * parameters.learnt[index].count * (count - 1)
        }
    }
}

extension Architecture {
    /// The obstacle to dividing the rows of a pass among so many ranks; nil where nothing does.
    func undividedRows(among ranks: Int) -> String? {
        if embedding.tokenWithoutPosition != nil { return "positions count the tokens before a row" }
        if let joint = ModelRuns.joins(self) { return joint }
        let stacks: [Stack] =
            switch body {
            case .decoder(let only), .encoder(let only): [only]
            case .encoderDecoder(let first, let second): [first, second]
            }
        return stacks.lazy.compactMap { $0.undividedRows(among: ranks) }.first
    }
}

extension Architecture.Stack {
    fileprivate func undividedRows(among ranks: Int) -> String? {
        if convolution != nil || streams != nil { return "rows are made of their neighbours, or of streams" }
        for (index, layer) in layers.enumerated() {
            if case .experts(let experts) = layer.feedForward,
                experts.ownNorms != nil || experts.routing.capacity != nil
            {
                return "the experts of layer \(index) take so many rows of a sequence, or have norms of their own"
            }
            let attentions = [layer.attention] + (layer.crossAttention.map { [$0] } ?? [])
            guard attentions.allSatisfy({ $0.headsAreExchanged(among: ranks) }) else {
                return
                    "the heads of layer \(index) are not divided by \(ranks), or their positions, sinks or latent rows are shared"
            }
        }
        return nil
    }
}
