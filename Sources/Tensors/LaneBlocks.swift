/// The keys and values of sequences that branch off one another (the beams of a search) in one layer, in blocks of 64 positions for each lane.
///
/// What a lane has written stays where it is: that a beam goes on where another one stood is said by a table of origins, which for each of its
/// positions names the lane that holds it. Elements are f32.
package struct LaneBlocks: Sendable {
    private let blockBytes: Int
    private var lanes: [[Storage]] = []
    /// Pointers to blocks, `[lanes][blocksPerLane]`.
    private var pointers: Storage?
    package private(set) var blocksPerLane = 0

    package init(keyHeads: Int, headWidth: Int, valueWidth: Int) {
        blockBytes = KeyValueBlocks(keyHeads: keyHeads, headWidth: headWidth, valueWidth: valueWidth).blockBytes
    }

    /// Makes room for `positions` in each of the first `count` lanes.
    package mutating func reserve(_ positions: Int, lanes count: Int, on device: Device) {
        let blocks = max(blocksPerLane, (positions + KeyValueBlocks.positions - 1) / KeyValueBlocks.positions)
        guard blocks > blocksPerLane || count > lanes.count else { return }
        while lanes.count < count { lanes.append([]) }
        for lane in lanes.indices {
            while lanes[lane].count < blocks { lanes[lane].append(device.scratch(bytes: blockBytes)) }
        }
        blocksPerLane = blocks
        let table = Storage(bytes: lanes.count * blocks * MemoryLayout<Int>.stride)
        let places = unsafe table.mutablePointer.assumingMemoryBound(to: UnsafeRawPointer?.self)
        for (index, block) in lanes.joined().enumerated() { unsafe places[index] = block.pointer }
        pointers = table
    }

    /// Where the pointers to blocks begin; nil where no room has been made.
    var table: UnsafePointer<UnsafeRawPointer?>? {
        unsafe pointers?.pointer.assumingMemoryBound(to: UnsafeRawPointer?.self)
    }
}
