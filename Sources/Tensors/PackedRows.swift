import CMartletKernels
import MartletPlatform

/// The most rows for which products read packed weights of a type as they are; for more, a slice is unpacked for all
/// rows. Which is faster depends on the processor, so it is measured; either way gives the same bits.
package enum PackedRows {
    /// The limit of products with weights of `type` in this process.
    package static func limit(_ type: ElementType) -> Int { martlet_packed_rows(type.kernelType) }

    /// Sets the limit of products with weights of `type`, where the instruction set has tiles for packed rows.
    package static func set(_ rows: Int, _ type: ElementType) { martlet_set_packed_rows(type.kernelType, rows) }

    /// Measures the limit for weights of `type` on one thread, within some 20 ms, and sets it.
    package static func measure(_ type: ElementType) {
        guard limit(type) > 1 else { return }
        let before = limit(type)
        let product = SampleProduct(type)
        // Binary search among multiples of the tallest tile: what holds for some rows holds for fewer.
        var (paying, candidates) = (0, [6, 12, 18, 24, 30, 48, 66, 96, 126, 252][...])
        while !candidates.isEmpty {
            let middle = candidates.startIndex + candidates.count / 2
            if product.prefersPacked(rows: candidates[middle]) {
                paying = candidates[middle]
                candidates = candidates[(middle + 1)...]
            } else {
                candidates = candidates[..<middle]
            }
        }
        set(before, type)
        if paying > 0 { set(paying, type) }
    }
}

/// A small product of many panels, of which each call takes the next ones, as a model's layers do.
private struct SampleProduct {
    private let type: martlet_type
    private let weights: Storage
    private let activations: Storage
    private let y: Storage
    private static let (inputs, panels, rows) = (1024, 16, 252)
    /// The panels that one call multiplies.
    private static let share = 2

    init(_ type: ElementType) {
        self.type = type.kernelType
        let (inputs, panels, rows) = (SampleProduct.inputs, SampleProduct.panels, SampleProduct.rows)
        weights = Storage(bytes: panels * martlet_panel_bytes(self.type, inputs))
        activations = Storage(bytes: rows * martlet_activation_bytes(self.type, inputs))
        y = Storage(bytes: rows * SampleProduct.share * Int(MARTLET_PANEL) * MemoryLayout<Float>.size)
        // Zeros: no product's time depends on its numbers.
        for memory in [weights, activations] {
            unsafe memory.mutablePointer.initializeMemory(as: UInt8.self, repeating: 0, count: memory.bytes)
        }
    }

    /// Returns whether a product of so many rows is faster where it reads the weights packed. The shortest of several
    /// runs in turns decides: what else the machine does lengthens some of them.
    func prefersPacked(rows: Int) -> Bool {
        var (packed, unpacked) = (Duration.seconds(60), Duration.seconds(60))
        for round in 0..<5 {
            unpacked = min(unpacked, time(rows: rows, limit: 1, round))
            packed = min(packed, time(rows: rows, limit: SampleProduct.rows, round))
        }
        return packed <= unpacked
    }

    private func time(rows: Int, limit: Int, _ round: Int) -> Duration {
        let (inputs, panels, share) = (SampleProduct.inputs, SampleProduct.panels, SampleProduct.share)
        let (first, outputs) = (round * share % panels, share * Int(MARTLET_PANEL))
        martlet_set_packed_rows(type, limit)
        return ContinuousClock().measure {
            unsafe martlet_matmul(
                type, weights.pointer + first * martlet_panel_bytes(type, inputs), outputs, inputs, activations.pointer,
                rows, nil, y.mutablePointer.assumingMemoryBound(to: Float.self), outputs, false, 0, share)
        }
    }
}
