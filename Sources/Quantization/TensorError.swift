package import MartletTensors

/// The relative error of one quantized tensor: √(Σ w (x − rounded)² / Σ w x²), with w = 1 and with the columns'
/// weights.
package struct TensorError: Sendable, Equatable {
    package let name: String
    /// The element type of the quantized tensor, by ggml's name.
    package let type: String
    /// The number of elements, and their bytes.
    package private(set) var elements: Int
    package private(set) var bytes: Int
    /// The sums Σ (x − rounded)², Σ x², and both with weights.
    private var sums: [Double]
    private let hasWeights: Bool

    /// - Parameters:
    ///   - blocks: what the file stores, where `rounded` is what that decodes to.
    ///   - weights: one row per equal share of the rows, as `Tensor.rounded(to:weights:on:)` takes them.
    package init(
        _ name: String, _ original: Tensor, _ rounded: Tensor, as blocks: WrittenBlocks? = nil, weights: [Float]?,
        on device: Device
    ) {
        (self.name, type, bytes) = (name, blocks?.rawValue ?? rounded.type.rawValue, rounded.bytes)
        if let blocks { bytes = blocks.block.bytes(of: rounded.shape.elements) }
        elements = rounded.shape.elements
        hasWeights = weights != nil
        sums = [0, 0, 0, 0]
        let (rows, width) = (original.shape.rows, original.shape.width)
        let (x, y) = (original.reshaped([rows, width]), rounded.reshaped([rows, width]))
        let shares = (weights?.count ?? width) / max(width, 1)
        for slice in stride(from: 0, to: rows, by: 256) {
            let range = slice..<min(slice + 256, rows)
            let values = x.rows(range).decoded(on: device), stored = y.rows(range).decoded(on: device)
            var parts = [Double](repeating: 0, count: range.count * 4)
            unsafe parts.withUnsafeMutableBufferPointer { parts in
                let parts = unsafe parts
                device.parallel(range.count, cost: width * 2) { own in
                    for row in own {
                        let share = (range.lowerBound + row) * shares / rows * width
                        let first = row * width
                        for column in 0..<width {
                            let value = unsafe Double(values.floats[first + column])
                            let difference = unsafe value - Double(stored.floats[first + column])
                            let weight = weights.map { Double($0[share + column]) } ?? 0
                            unsafe parts[row * 4] += difference * difference
                            unsafe parts[row * 4 + 1] += value * value
                            unsafe parts[row * 4 + 2] += weight * difference * difference
                            unsafe parts[row * 4 + 3] += weight * value * value
                        }
                    }
                }
            }
            for (index, part) in parts.enumerated() { sums[index % 4] += part }
        }
    }

    package var relative: Double { sums[1] > 0 ? (sums[0] / sums[1]).squareRoot() : 0 }
    /// The relative error with the columns' weights; nil where they have none.
    package var weighted: Double? { hasWeights ? (sums[3] > 0 ? (sums[2] / sums[3]).squareRoot() : 0) : nil }

    /// Adds the error of another part of the same tensor.
    mutating func add(_ other: TensorError) {
        elements += other.elements
        bytes += other.bytes
        for index in sums.indices { sums[index] += other.sums[index] }
    }

    /// The relative error of all tensors together.
    package static func relative(_ errors: [TensorError]) -> Double {
        let (error, size) = errors.reduce((0.0, 0.0)) { ($0.0 + $1.sums[0], $0.1 + $1.sums[1]) }
        return size > 0 ? (error / size).squareRoot() : 0
    }
}
