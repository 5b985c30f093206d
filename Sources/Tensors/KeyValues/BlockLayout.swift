import CMartletKernels

/// The layout of a KV block: 64 positions of all layers that have one reach, one layer behind the other.
///
/// Layers of one reach (all of the past, or a window of the same size) share a table of blocks: one block is the unit
/// in which keys and values are shared, copied and given back.
package struct BlockLayout: Sendable, Hashable {
    /// The block size in positions.
    package static let positions = Int(MARTLET_BLOCK)
    /// Element types that keys and values can be kept as.
    package static let types: [ElementType] = [.f32, .f16, .bf16, .q8_0]

    /// The layout of one layer: keys `[64, keyHeads, headWidth]` and values `[64, keyHeads, valueWidth]`.
    package struct Layer: Sendable, Hashable {
        package let keyHeads: Int
        package let headWidth: Int
        package let valueWidth: Int

        package init(keyHeads: Int, headWidth: Int, valueWidth: Int) {
            (self.keyHeads, self.headWidth, self.valueWidth) = (keyHeads, headWidth, valueWidth)
        }
    }

    /// The element type of keys and values: f32, f16, bf16, or q8_0, which asks for heads in multiples of 32.
    package let type: ElementType
    package let layers: [Layer]
    /// Bytes of a block before each layer.
    package let offsets: [Int]
    /// The size of one block in bytes.
    package let bytes: Int
    /// The attention window, the number of positions that a row sees, its own included; nil where it sees all before
    /// it.
    package let window: Int?

    package init(_ layers: [Layer], type: ElementType = .f32, window: Int? = nil) {
        (self.type, self.layers, self.window) = (type, layers, window)
        var (offsets, bytes) = ([Int](), 0)
        for layer in layers {
            precondition(
                BlockLayout.types.contains(type) && layer.headWidth % type.blockElements == 0
                    && layer.valueWidth % type.blockElements == 0,
                "BlockLayout: heads of \(layer.headWidth) and \(layer.valueWidth) as \(type)")
            offsets.append(bytes)
            bytes += martlet_block_bytes(type.kernelType, layer.keyHeads, layer.headWidth, layer.valueWidth)
        }
        (self.offsets, self.bytes) = (offsets, bytes)
    }

    /// The number of blocks that hold the positions before `end`.
    package static func blocks(for end: Int) -> Int { (end + positions - 1) / positions }
}
