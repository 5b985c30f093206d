import MartletJSON
import MartletLayers
import MartletModels
import MartletTensors

/// The traffic of a pass whose rows ranks divide: the bytes that a rank sends for activations and their gradients.
///
/// Counts models all of whose parameters learn, in f32.
struct RowTraffic {
    /// The rows of one stack in a pass: of all ranks, and this one's.
    private struct Rows {
        let total, own: Int
        /// The distances, both ways, that biases have numbers for.
        let distances: Int
    }

    private let parameters: TrainableParameters
    private let architecture: Architecture
    private let stacks: [Architecture.Stack]
    private let hidden: Int
    private let team: RowTeam
    /// True where a backward pass computes layers once more.
    private let isRecomputed: Bool

    init(
        _ parameters: TrainableParameters, _ architecture: Architecture, _ team: RowTeam, isRecomputed: Bool
    ) {
        (self.parameters, self.architecture, self.team) = (parameters, architecture, team)
        self.isRecomputed = isRecomputed
        hidden = architecture.embedding.factorised?.width ?? architecture.width
        switch architecture.body {
        case .decoder(let stack), .encoder(let stack): stacks = [stack]
        case .encoderDecoder(let first, let second): stacks = [first, second]
        }
    }

    private var others: Int { team.count - 1 }

    /// The bytes of one pass over `batch`.
    func bytes(_ batch: Batch) -> Int {
        let (first, last) = (rows(batch.rows), rows(batch.decoderRows ?? batch.rows))
        let targets = batch.targets.reduce(0) { $0 + ($1 >= 0 ? 1 : 0) }
        let inLayers = zip(stacks, stacks.count == 1 ? [last] : [first, last]).reduce(0) { sum, stack in
            stack.0.layers.reduce(sum) { $0 + exchanged($1, stack.1, source: first) }
        }
        let gradients = parameters.entries.reduce((numbers: 0, gathers: 0)) { sum, entry in
            let (numbers, gathers) = gradient(entry)
            let rows = rows(of: entry, first, last)
            return (
                sum.numbers + numbers * rows.reduce(0) { $0 + $1.own }, sum.gathers + gathers * rows.count
            )
        }
        let told = RowTeam.tellCounts([first.total, last.total]) ? others * gradients.gathers : 0
        return 4 * (inLayers + gradients.numbers + told + loss(last.own, targets))
    }

    private func rows(_ rows: MartletLayers.Rows) -> Rows {
        let longest = rows.sequences.reduce(1) { max($0, $1.start + $1.rows.count) }
        return Rows(total: rows.count, own: team.part(of: rows.count).count, distances: 2 * longest - 1)
    }

    // MARK: - Attention

    private func exchanged(_ layer: Architecture.Layer, _ rows: Rows, source: Rows) -> Int {
        exchanged(layer.attention, rows, keys: rows)
            + (layer.crossAttention.map { exchanged($0, rows, keys: source) } ?? 0)
    }

    /// The numbers that attention sends: of own rows the heads of others in queries, keys and values; of others' rows
    /// the own heads of results; and gradients the other way, with those of biases by distance.
    private func exchanged(_ form: Architecture.Attention, _ queries: Rows, keys: Rows) -> Int {
        let query = form.queryWidth / team.count
        let (key, value) = (form.keyWidth / team.count, form.keyHeads * form.valueWidth / team.count)
        let made = form.queryHeads * form.valueWidth / team.count
        let toHeads = others * (queries.own * query + keys.own * (key + value)) + (queries.total - queries.own) * made
        let toRows =
            (queries.total - queries.own) * query + (keys.total - keys.own) * (key + value) + queries.own * others
            * made
        var biases = 0
        switch form.positions {
        case .buckets, .layerBuckets: biases = others * form.queryHeads / team.count * queries.distances
        default: break
        }
        return (isRecomputed ? 2 : 1) * toHeads + toRows + biases
    }

    // MARK: - Gradients

    /// The rows that a parameter is read by, in each stack that reads it.
    private func rows(of entry: Inventory.Entry, _ first: Rows, _ last: Rows) -> [Rows] {
        if case .multiplied(.source) = entry.use { return [first] }
        guard let place = entry.place else {
            guard entry.use == .lookedUp, stacks.count > 1 else { return [last] }
            if architecture.embedding.targetVocabulary == nil { return [first, last] }
            return [entry.name.hasPrefix("targetTokens") ? last : first]
        }
        return [place.stack == .encoder ? first : last]
    }

    /// The numbers of a row that the gradient of a parameter takes, and how often rows are gathered for it.
    private func gradient(_ entry: Inventory.Entry) -> (numbers: Int, gathers: Int) {
        switch entry.use {
        case .lookedUp:
            return entry.role == .relativePositions ? (0, 0) : (others * (entry.shape[1] + 1), 1)
        case .multiplied where entry.role == .head && entry.place == nil: return (0, 0)
        case .multiplied:
            // Products of the same rows gather them once.
            let outputs = entry.isDivided(among: team.count) ? elsewhere(entry.shape[0]) : others * entry.shape[0]
            return isFirst(entry) ? (others * entry.shape[1] + outputs, 1) : (outputs, 0)
        case .elementwise where entry.role == .head && entry.place == nil: return (0, 0)
        case .elementwise:
            guard entry.role == .norm, entry.name.utf8.suffix(6).elementsEqual("weight".utf8) else {
                return (others * entry.shape.elements, 1)
            }
            let hasBias = parameters.names.contains { $0.hasSameBytes(as: entry.name.dropLast(6) + "bias") }
            return (others * (2 * entry.shape.elements + (hasBias ? 2 : 1)), 1)
        case .routed: return (0, 0)
        }
    }

    /// Returns whether the rows that a matrix multiplies are gathered for it, not for another one before.
    private func isFirst(_ entry: Inventory.Entry) -> Bool {
        switch entry.role {
        case .value: return false
        case .key: return entry.use == .multiplied(.source)
        case .up:
            guard let layer = entry.layer else { return true }
            let stack = entry.place?.stack == .encoder ? stacks[0] : stacks[stacks.count - 1]
            if case .plain = stack.layers[layer].feedForward { return true }
            return false
        default: return true
        }
    }

    private func elsewhere(_ width: Int) -> Int { width - team.part(of: width).count }

    /// The numbers that losses take, and the gradients of the head.
    private func loss(_ own: Int, _ targets: Int) -> Int {
        let heads = parameters.entries.filter { $0.role == .head && $0.place == nil }
        let matrix = heads.first { $0.shape.rank == 2 } ?? parameters.entries.first { $0.role == .tokens }
        guard targets >= team.count, let vocabulary = matrix?.shape[0] else { return others * own * hidden }
        let biases = others * vocabulary * heads.reduce(0) { $0 + ($1.shape.rank == 1 ? 1 : 0) }
        return others * own * hidden
            + team.part(of: targets).count * (others * (3 + hidden) + elsewhere(vocabulary) + biases)
    }
}
