import CMartletKernels

extension Tensor {
    /// The index of the largest element, the first of equals; NaN is never the largest.
    package func argmax() -> Int { unsafe martlet_argmax(floats, shape.elements) }

    /// What a search wants to know of each row: its largest elements and log Σ exp.
    ///
    /// - Parameter count: how many of the largest.
    package func rowSummaries(largest count: Int) -> [RowSummary] {
        let (device, width, rows) = (device(for: "rowSummaries"), shape.width, shape.rows)
        let count = min(count, width)
        let words = count + 3
        let storage = device.scratch(bytes: max(1, rows * words) * 4)
        let numbers = unsafe storage.mutablePointer.assumingMemoryBound(to: UInt32.self)
        device.parallel(rows, cost: width * 16) { range in
            for row in range {
                let (x, own) = unsafe (floats + row * width, numbers + row * words)
                var largest: Float = 0
                let total = unsafe martlet_exponential_sum(x, width, &largest)
                unsafe (own[0], own[1]) = (largest.bitPattern, total.bitPattern)
                unsafe own[2] = UInt32(martlet_largest(x, width, count, own + 3))
            }
        }
        return (0..<rows).map { row in
            let own = unsafe numbers + row * words
            let found = Int(unsafe own[2])
            return RowSummary(
                maximum: unsafe Float(bitPattern: own[0]), total: unsafe Float(bitPattern: own[1]),
                largest: (0..<found).map { place in
                    let index = Int(unsafe own[3 + place])
                    return (index, unsafe floats[row * width + index])
                })
        }
    }
}

/// One row of a tensor in short.
package struct RowSummary: Sendable {
    package let maximum: Float
    /// Σ exp(x − maximum).
    package let total: Float
    /// In descending order, the first of equals first; neither NaN nor −∞.
    package let largest: [(index: Int, value: Float)]
}
