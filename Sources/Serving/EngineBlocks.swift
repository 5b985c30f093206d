import MartletGeneration
import MartletLayers
import MartletPlatform
import MartletTensors

/// The memory behind the blocks that a scheduler's ledger numbers.
struct EngineBlocks {
    private let layout: KeyValueLayout
    private let device: Device
    /// The memory, of which the searches' forks take theirs too.
    let pool: BlockPool
    /// The maximum number of blocks of each table of the layout.
    let capacity: [Int]
    /// The blocks of each table, by number, once they have been needed.
    private var blocks: [[KeyValueBlock?]]

    /// The number of positions that all sequences of an engine without a limit in bytes may have together.
    private static let positions = 1 << 22
    /// Sequences that a search about a source is taken to have.
    private static let beams = 8

    init(_ layout: KeyValueLayout, _ capacity: [Int], limit: Int?, on device: Device) {
        (self.layout, self.device, self.capacity) = (layout, device, capacity)
        pool = BlockPool(limit: limit)
        blocks = capacity.map { Array(repeating: nil, count: $0) }
    }

    /// The maximum number of blocks of each table of the layout.
    ///
    /// - Parameter draft: the layout of a draft model, which may have as many.
    static func capacity(
        _ layout: KeyValueLayout, draft: KeyValueLayout?, _ options: EngineOptions, context: Int?
    ) -> [Int] {
        let single = BlockLayout.blocks(for: min(context ?? 4_096, 4_096)) + 4
        let sequences = options.maximumSequences * (layout.source == nil ? 1 : EngineBlocks.beams)
        let (most, overflow) = sequences.multipliedReportingOverflow(by: context ?? .max)
        let wanted = BlockLayout.blocks(for: overflow ? EngineBlocks.positions : min(most, EngineBlocks.positions))
        let whole = wanted + 4 * sequences
        // Every table gets the same number: the one with the longest reach is the one that fills.
        let bytes = max(1, layout.blockBytes + (draft?.blockBytes ?? 0))
        let fitting = options.cacheBytes.map { $0 / bytes } ?? max(single, SystemMemory.available.bytes / 4 / bytes)
        return layout.tables.map { _ in min(whole, fitting) }
    }

    /// The block of a number.
    ///
    /// - Precondition: the number is below the table's capacity.
    mutating func block(_ number: Int, of table: Int) -> KeyValueBlock {
        if let known = blocks[table][number] { return known }
        guard let made = pool.take(bytes: layout.tables[table].bytes) else {
            preconditionFailure("EngineBlocks: block \(number) does not fit \(pool.limit ?? 0) bytes")
        }
        blocks[table][number] = made
        return made
    }

    /// Gives the memory of a number back to the pool, for somebody who has reserved the number and takes blocks by
    /// himself.
    mutating func release(_ number: Int, of table: Int) { blocks[table][number] = nil }

    /// The first positions of one block into another.
    mutating func copy(_ copy: StepSchedule.Copy) {
        let source = block(copy.source, of: copy.group)
        block(copy.target, of: copy.group).copy(copy.positions, of: source, layout.tables[copy.group], on: device)
    }
}
