import MartletFormats
import MartletLayers
import MartletTensors

/// An endless, seeded stream of batches from a mixture of sources.
///
/// Batch and cursor are functions of the seed and the cursor before, and of nothing else: not of threads, nor of what
/// was prefetched.
package struct DataStream: Sendable {
    /// Tokens that pieces are drawn from.
    package struct Source: Sendable {
        package let view: TokenView
        /// The weight with which it is drawn from, beside the others.
        package let weight: Double
        /// The resampling of the same text for an epoch, where tokens differ from epoch to epoch.
        package let resampled: Resampled?

        package typealias Resampled = @Sendable (_ epoch: Int) throws(DataError) -> TokenView

        package init(_ view: TokenView, weight: Double, resampled: Resampled? = nil) {
            (self.view, self.weight, self.resampled) = (view, weight, resampled)
        }
    }

    /// The size of batches, the seed of their order, and how often the data are read.
    package struct Settings: Sendable {
        /// The longest sequence.
        package var length: Int
        /// The batch size in rows, on either side.
        package var rows: Int
        package var augmentation = Augmentation()
        package var seed: UInt64
        /// Every piece of that many epochs once, in whichever order, and then nothing more; nil: without end, sources
        /// by their weights.
        package var epochs: Int?

        package init(length: Int, rows: Int, seed: UInt64) {
            (self.length, self.rows, self.seed) = (length, rows, seed)
        }
    }

    package private(set) var cursor: DataCursor
    private let sources: [Source]
    private let objective: any Objective
    private let settings: Settings
    private let total: Double
    /// The two epochs of each source that were read last: a batch may end just before the second.
    private var orders: [[Order]]
    private let vocabulary: Int
    /// The number of pieces before each epoch of each source, and that of all.
    private var piecesBefore: [[Int]] = []

    /// The pieces of an epoch and their order.
    private struct Order: Sendable {
        let epoch: Int
        let pieces: Pieces
        let permutation: Permutation
    }

    /// - Parameters:
    ///   - vocabulary: no token reaches it.
    ///   - cursor: nil begins at the beginning.
    /// - Throws: ``DataError`` for sources from which nothing can be learnt.
    package init(
        _ sources: [Source], _ objective: any Objective, _ settings: Settings, vocabulary: Int, from cursor: DataCursor?
    ) throws(DataError) {
        guard !sources.isEmpty, sources.allSatisfy({ $0.weight > 0 }) else {
            throw DataError("there is nothing to train on: give sources, each with a weight above 0")
        }
        guard settings.rows >= settings.length else {
            throw DataError("a batch of \(settings.rows) rows does not hold a sequence of \(settings.length)")
        }
        if let cursor, cursor.places.count != sources.count {
            throw DataError("the checkpoint has \(cursor.places.count) sources, the recipe \(sources.count)")
        }
        (self.sources, self.objective, self.settings) = (sources, objective, settings)
        self.cursor = cursor ?? DataCursor(sources: sources.count)
        self.vocabulary = vocabulary
        total = sources.reduce(0) { $0 + $1.weight }
        orders = Array(repeating: [], count: sources.count)
        for (index, source) in sources.enumerated() {
            guard source.view.sides.count == objective.sides else {
                throw DataError(
                    "source \(index) has \(source.view.sides.count) sides, but the objective reads \(objective.sides)")
            }
            guard try order(index, epoch: self.cursor.places[index].epoch).pieces.count > 0 else {
                throw DataError("source \(index) has no piece that is long enough to learn from")
            }
        }
        if let epochs = settings.epochs { piecesBefore = try countedPieces(epochs) }
    }

    private mutating func countedPieces(_ epochs: Int) throws(DataError) -> [[Int]] {
        var counts: [[Int]] = []
        for index in sources.indices {
            var before = [0]
            for epoch in 0..<epochs {
                before.append((before.last ?? 0) + (try order(index, epoch: epoch).pieces.count))
            }
            counts.append(before)
        }
        return counts
    }

    /// The pieces of all epochs; nil where there is no end.
    package var end: Int? { piecesBefore.isEmpty ? nil : piecesBefore.reduce(0) { $0 + ($1.last ?? 0) } }

    /// The pieces of every source's first epoch together.
    package mutating func piecesOfFirstEpoch() throws(DataError) -> Int {
        var count = 0
        for index in sources.indices { count += try order(index, epoch: 0).pieces.count }
        return count
    }

    /// The next batch: examples in turn, until the next one does not fit, or `limit` have been drawn since the
    /// beginning.
    ///
    /// - Throws: ``DataError`` when a source holds a token that the model does not have, or nothing to learn from.
    package mutating func next(upTo limit: Int = .max) throws(DataError) -> Batch {
        var batch = Batch()
        var barren = 0
        let limit = min(limit, end ?? .max)
        while cursor.examples < limit {
            var after = cursor
            guard let example = try draw(&after) else {
                barren += 1
                guard barren < 100_000 else {
                    throw DataError("100,000 pieces in turn gave no example: they are too long or too short")
                }
                cursor = after
                continue
            }
            guard batch.hasRoom(for: example, rows: settings.rows) else {
                if batch.examples > 0 { return batch }
                cursor = after  // longer than a whole batch
                barren += 1
                continue
            }
            batch.append(example)
            cursor = after
            if batch.rows.count == settings.rows { return batch }
        }
        return batch
    }

    /// Draws one example and moves `cursor` behind it.
    private mutating func draw(_ cursor: inout DataCursor) throws(DataError) -> Example? {
        let number = UInt64(cursor.examples)
        var random = Random(seed: settings.seed, stream: number &* 2 &+ 1)
        let index = choice(random.uniform(), cursor)
        var place = cursor.places[index]
        var order = try order(index, epoch: place.epoch)
        if place.piece >= order.pieces.count {
            (place.epoch, place.piece) = (place.epoch + 1, 0)
            order = try self.order(index, epoch: place.epoch)
        }
        guard order.pieces.count > 0 else { throw DataError("source \(index) has an epoch without a piece") }
        let piece = order.pieces[order.permutation[place.piece]]
        place.piece += 1
        cursor.places[index] = place
        cursor.examples += 1
        return try example(piece, order.pieces.view, &random)
    }

    private func example(
        _ piece: Pieces.Piece, _ view: TokenView, _ random: inout Random
    ) throws(DataError) -> Example? {
        let limit = settings.length + objective.overlap
        let sides = view.sides.indices.map { side in
            side == 0
                ? view.tokens(of: piece.document, piece.tokens)
                : view.tokens(of: piece.document, side: side, limit: limit)
        }
        for side in sides {
            if let token = side.first(where: { $0 < 0 || Int($0) >= vocabulary }) {
                throw DataError("the data hold token \(token), but the model has \(vocabulary) tokens")
            }
        }
        guard var example = objective.example(sides, &random) else { return nil }
        if !settings.augmentation.isNothing { settings.augmentation.apply(&example, &random) }
        return example
    }

    private func choice(_ uniform: Double, _ cursor: DataCursor) -> Int {
        guard piecesBefore.isEmpty else {
            // Whatever is left of each source, so that all end together.
            let remaining = piecesBefore.indices.map { index in
                let place = cursor.places[index]
                return (piecesBefore[index].last ?? 0)
                    - piecesBefore[index][min(place.epoch, piecesBefore[index].count - 1)]
                    - place.piece
            }
            var left = min(Int(uniform * Double(remaining.reduce(0, +))), remaining.reduce(0, +) - 1)
            for (index, count) in remaining.enumerated() {
                left -= count
                if left < 0 { return index }
            }
            return sources.count - 1
        }
        var left = uniform * total
        for (index, source) in sources.enumerated() {
            left -= source.weight
            if left < 0 { return index }
        }
        return sources.count - 1
    }

    private mutating func order(_ index: Int, epoch: Int) throws(DataError) -> Order {
        if let order = orders[index].first(where: { $0.epoch == epoch }) { return order }
        let length = objective.pieceLength(rows: settings.length)
        var random = Random(seed: settings.seed, stream: UInt64(index) << 32 | UInt64(epoch) << 1)
        let phase = random.below(length)
        let pieces = Pieces(
            try sources[index].resampled?(epoch) ?? sources[index].view, length: length, overlap: objective.overlap,
            least: 1 + objective.overlap, phase: phase,
            isWhole: objective.takesWholeDocuments)
        let seed = Fingerprint.mixed(settings.seed ^ Fingerprint.mixed(UInt64(index) << 32 | UInt64(epoch)))
        let order = Order(epoch: epoch, pieces: pieces, permutation: Permutation(count: pieces.count, seed: seed))
        orders[index] = orders[index].suffix(1) + [order]
        return order
    }

    /// Weights by temperature: ∝ tokens^(1/T). T = 1 is proportional to size, higher is more even (arXiv:1907.05019).
    package static func weights(tokens: [Int], temperature: Double) -> [Double] {
        precondition(temperature > 0, "DataStream: a temperature of \(temperature)")
        return tokens.map { power(Double($0), 1 / temperature) }
    }
}
