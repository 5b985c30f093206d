import MartletFormats

/// An endless stream of batches that knows where it is: the same cursor, the same batches.
package protocol BatchStream: Sendable {
    /// The cursor behind the last batch.
    var cursor: DataCursor { get }

    /// - Throws: ``DataError`` where there is nothing more to learn from.
    mutating func next() throws(DataError) -> Batch
}

extension DataStream: BatchStream {
    package mutating func next() throws(DataError) -> Batch { try next(upTo: .max) }
}

/// Labelled examples in memory, in another order each epoch: batch and cursor are functions of the seed and the cursor
/// before.
package struct LabelledStream: BatchStream {
    /// The size of batches, and the seed of their order.
    package struct Settings: Sendable {
        /// The batch size in rows.
        package var rows: Int
        /// The maximum number of examples of a batch; nil: as many as there is room for.
        package var examples: Int?
        package var seed: UInt64

        package init(rows: Int, examples: Int? = nil, seed: UInt64) {
            (self.rows, self.examples, self.seed) = (rows, examples, seed)
        }
    }

    package private(set) var cursor: DataCursor
    private let examples: [Example]
    private let settings: Settings

    /// - Parameter cursor: nil begins at the beginning.
    /// - Throws: ``DataError`` without examples, for one that no batch holds, and for a cursor of other data.
    package init(_ examples: [Example], _ settings: Settings, from cursor: DataCursor?) throws(DataError) {
        guard !examples.isEmpty else { throw DataError("there is nothing to train on: the sources hold no example") }
        let longest = examples.reduce(0) { max($0, $1.rows) }
        guard longest <= settings.rows else {
            throw DataError("an example has \(longest) rows, a batch only \(settings.rows); raise batch.tokens")
        }
        guard cursor.map({ $0.places.count == 1 && $0.places[0].piece <= examples.count }) ?? true else {
            throw DataError("the checkpoint is one of other data: it has read beyond the \(examples.count) examples")
        }
        (self.examples, self.settings) = (examples, settings)
        self.cursor = cursor ?? DataCursor(sources: 1)
    }

    /// Examples of the shuffled order in turn, until the next one does not fit.
    package mutating func next() -> Batch {
        var batch = Batch()
        while batch.examples < settings.examples ?? .max {
            var place = cursor.places[0]
            if place.piece == examples.count { (place.epoch, place.piece) = (place.epoch + 1, 0) }
            let example = examples[order(place.epoch)[place.piece]]
            guard batch.hasRoom(for: example, rows: settings.rows) else { break }
            batch.append(example)
            place.piece += 1
            cursor.places[0] = place
            cursor.examples += 1
        }
        return batch
    }

    private func order(_ epoch: Int) -> Permutation {
        Permutation(count: examples.count, seed: Fingerprint.mixed(settings.seed ^ Fingerprint.mixed(UInt64(epoch))))
    }

    /// Each example once, in their order.
    package static func batches(of examples: [Example], _ settings: Settings) -> [Batch] {
        var batches: [Batch] = []
        var batch = Batch()
        for example in examples {
            let isFull =
                batch.examples >= settings.examples ?? .max || !batch.hasRoom(for: example, rows: settings.rows)
            if isFull && batch.examples > 0 {
                batches.append(batch)
                batch = Batch()
            }
            batch.append(example)
        }
        return batch.examples > 0 ? batches + [batch] : batches
    }
}
