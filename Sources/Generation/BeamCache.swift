import MartletLayers
import MartletModels
import MartletTensors

/// What the beams of several searches remember, in every layer: a beam that goes on where another one stood takes over that one's table of
/// where its positions are, and no key or value is copied.
struct BeamCache {
    /// The lanes of the beams of one search, for each layer.
    private var families: [[LaneBlocks]]
    /// For each sequence its family; its lane is its rank there.
    private(set) var rows: [(family: Int, lane: Int)]
    /// For each sequence and position, the lane that holds it; and memory for the next such table.
    private var origins, spare: Storage
    /// Positions that a row of the table has room for.
    private var room = 64
    private let capacity: Int
    /// Positions of every sequence.
    private(set) var length = 0
    private let device: Device

    /// - Parameters: `families` begin with one sequence each; there will be at most `capacity`.
    init(_ stack: Architecture.Stack, families count: Int, capacity: Int, on device: Device) {
        let empty = stack.layers.map { layer in
            let form = layer.attention
            return LaneBlocks(keyHeads: form.keyHeads, headWidth: form.headWidth, valueWidth: form.headWidth)
        }
        families = Array(repeating: empty, count: count)
        rows = (0..<count).map { ($0, 0) }
        (self.capacity, self.device) = (capacity, device)
        origins = Storage(bytes: capacity * room * 2)
        spare = Storage(bytes: capacity * room * 2)
    }

    /// Makes sequence i continue what sequence `parents[i]` was; those of one family follow one another.
    mutating func select(_ parents: [Int]) {
        precondition(parents.count <= capacity, "BeamCache: \(parents.count) of \(capacity) sequences")
        var next: [(family: Int, lane: Int)] = []
        for (row, parent) in parents.enumerated() {
            let family = rows[parent].family
            let lane = next.last.map { $0.family == family ? $0.lane + 1 : 0 } ?? 0
            next.append((family, lane))
            unsafe table(spare, row).update(from: table(origins, parent), count: length)
        }
        rows = next
        swap(&origins, &spare)
    }

    /// Makes room for one more position in each sequence, and tells `step`, which is about to write it.
    mutating func advance(_ step: DecoderStep) {
        reserve(length + 1)
        for (row, place) in rows.enumerated() {
            let own = unsafe table(origins, row)
            unsafe own[length] = UInt16(place.lane)
            for layer in families[place.family].indices {
                families[place.family][layer].reserve(length + 1, lanes: place.lane + 1, on: device)
            }
        }
        // Only when all lanes have their room do the tables of blocks stand still.
        for (row, place) in rows.enumerated() {
            for (layer, lanes) in families[place.family].enumerated() {
                unsafe step.setMemory(
                    layer: layer, row: row, lanes, origins: UnsafePointer(table(origins, row)), position: length)
            }
        }
        length += 1
    }

    private mutating func reserve(_ positions: Int) {
        guard positions > room else { return }
        let larger = Storage(bytes: capacity * room * 4)
        for row in rows.indices {
            let target = unsafe larger.mutablePointer.assumingMemoryBound(to: UInt16.self) + row * room * 2
            unsafe target.update(from: table(origins, row), count: length)
        }
        room *= 2
        (origins, spare) = (larger, Storage(bytes: capacity * room * 2))
    }

    private func table(_ storage: Storage, _ row: Int) -> UnsafeMutablePointer<UInt16> {
        unsafe storage.mutablePointer.assumingMemoryBound(to: UInt16.self) + row * room
    }
}

/// An encoder-decoder writing with several beams about each source, one token of all of them at a time.
struct BeamSteps {
    private let step: DecoderStep
    private var cache: BeamCache

    /// - Parameter rows: sequences at most.
    /// - Returns: nil for a model with a part that steps do not know.
    init?(_ model: EncoderDecoder, _ source: Source, rows: Int, on device: Device) {
        guard let step = DecoderStep(model, source: source, rows: rows, on: device) else { return nil }
        self.step = step
        cache = BeamCache(model.decoderStack, families: source.ranges.count, capacity: rows, on: device)
        tellSources()
    }

    /// Positions that have been read.
    var length: Int { cache.length }

    private func tellSources() { step.setSources(cache.rows.map(\.family)) }

    /// The logits of what follows each sequence, valid until the next call. - Precondition: all have one length, and have grown.
    mutating func logits(_ sequences: [[Int32]]) -> Tensor {
        let end = sequences.first?.count ?? 0
        precondition(
            sequences.count == cache.rows.count && end > cache.length && sequences.allSatisfy { $0.count == end },
            "BeamSteps: \(sequences.count) sequences of \(cache.rows.count), after \(cache.length) positions")
        while cache.length < end {
            let position = cache.length
            for (row, tokens) in sequences.enumerated() {
                step.set(row: row, token: tokens[position], position: position, extent: end)
            }
            cache.advance(step)
            step.run(rows: sequences.count)
        }
        return step.logits(rows: sequences.count)
    }

    mutating func select(_ parents: [Int]) {
        cache.select(parents)
        tellSources()
    }
}
