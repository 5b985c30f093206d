import CMartletKernels

extension Tensor {
    /// The transpose, `[rows, columns]` as `[columns, rows]`.
    package func transposed(on device: Device) -> Tensor {
        precondition(shape.rank == 2, "transposed: \(shape)")
        let (rows, columns) = (shape[0], shape[1])
        let result = device.make([columns, rows])
        device.parallel(columns, cost: rows, grain: 16) { range in
            unsafe martlet_transpose(floats, rows, columns, result.mutableFloats, range.lowerBound, range.upperBound)
        }
        guard let node else { return result }
        return result.recorded([self]) { gradient, flow in flow.add(gradient.transposed(on: flow.device), to: node) }
    }

    /// Columns `columns` of a stored `[inputs, outputs]` matrix as `[columns, inputs]`, of the same plain type.
    package func transposed(columns: Range<Int>, on device: Device) -> Tensor {
        precondition(
            shape.rank == 2 && !type.isBlockQuantized && columns.upperBound <= shape[1],
            "transposed: columns \(columns) of \(shape) \(type)")
        let (inputs, outputs) = (shape[0], shape[1])
        let result = Tensor(
            storage: Storage(bytes: columns.count * inputs * type.block.bytes), shape: [columns.count, inputs],
            type: type)
        device.parallel(columns.count, cost: inputs, grain: 16) { range in
            if type.block.bytes == 2 {
                let source = unsafe pointer.assumingMemoryBound(to: UInt16.self)
                let target = unsafe result.storage.mutablePointer.assumingMemoryBound(to: UInt16.self)
                for input in 0..<inputs {
                    for row in range {
                        unsafe target[row * inputs + input] = source[input * outputs + columns.lowerBound + row]
                    }
                }
            } else {
                let source = unsafe pointer.assumingMemoryBound(to: UInt32.self)
                let target = unsafe result.storage.mutablePointer.assumingMemoryBound(to: UInt32.self)
                for input in 0..<inputs {
                    for row in range {
                        unsafe target[row * inputs + input] = source[input * outputs + columns.lowerBound + row]
                    }
                }
            }
        }
        return result
    }

    /// Rows `range` of a matrix or vector as they would lie if it were not kept in `groups`: group g of the stored rows
    /// holds the g-th share of every part.
    package func rows(_ range: Range<Int>, groups: Int, on device: Device) -> Tensor {
        guard groups > 1 else { return rows(range) }
        precondition(
            groups <= range.count && shape[0] % groups == 0 && range.lowerBound % groups == 0
                && range.count % groups == 0,
            "rows \(range) of \(shape) in \(groups) groups")
        let (share, whole, first) = (range.count / groups, shape[0] / groups, range.lowerBound / groups)
        var extents = shape.array
        extents[0] = range.count
        let each = bytes / shape[0]
        let result = Tensor(storage: Storage(bytes: range.count * each), shape: Shape(extents), type: type)
        device.parallel(groups, cost: share * each) { range in
            for group in range {
                unsafe (result.storage.mutablePointer + group * share * each).copyMemory(
                    from: pointer + (group * whole + first) * each, byteCount: share * each)
            }
        }
        return result
    }

    /// Parts that share all extents but the first, row by row in one tensor; with `groups`, the first share of each,
    /// then the second share of each, and so on: the inverse of `rows(_:groups:on:)`.
    ///
    /// - Precondition: the parts have one type, and `groups` divides the rows of each.
    package static func joined(rowsOf parts: [Tensor], groups: Int = 1) -> Tensor {
        guard let first = parts.first else { preconditionFailure("joined: no parts") }
        precondition(
            parts.allSatisfy { part in
                part.type == first.type && part.shape.array.dropFirst() == first.shape.array.dropFirst()
                    && part.shape[0] % groups == 0
            }, "joined: \(parts.map(\.shape)) in \(groups) groups")
        var extents = first.shape.array
        extents[0] = parts.reduce(0) { $0 + $1.shape[0] }
        let result = Tensor(
            storage: Storage(bytes: parts.reduce(0) { $0 + $1.bytes }), shape: Shape(extents), type: first.type)
        var offset = 0
        for group in 0..<groups {
            for part in parts {
                let share = part.bytes / groups
                unsafe (result.storage.mutablePointer + offset).copyMemory(
                    from: part.pointer + group * share, byteCount: share)
                offset += share
            }
        }
        return result
    }

    /// Undoes the order in which GGUF keeps rotary heads: stored row 2i + j of a head is our row i + j · headWidth/2.
    ///
    /// Rows move whole, so block-quantized types stay as they are.
    package func unpairedRows(headWidth: Int, on device: Device) -> Tensor {
        reorderedRows(headWidth: headWidth, on: device) { row in
            let half = headWidth / 2
            return row < half ? 2 * row : 2 * (row - half) + 1
        }
    }

    /// The order in which GGUF keeps rotary heads: the inverse of `unpairedRows`.
    package func pairedRows(headWidth: Int, on device: Device) -> Tensor {
        reorderedRows(headWidth: headWidth, on: device) { row in row / 2 + row % 2 * (headWidth / 2) }
    }

    private func reorderedRows(headWidth: Int, on device: Device, source: (Int) -> Int) -> Tensor {
        precondition(
            shape[0] % headWidth == 0 && headWidth % 2 == 0, "reordered rows: \(shape) in heads of \(headWidth)")
        let result = Tensor(storage: Storage(bytes: bytes), shape: shape, type: type)
        let each = bytes / max(shape[0], 1)
        device.parallel(shape[0], cost: each) { range in
            for row in range {
                let from = row / headWidth * headWidth + source(row % headWidth)
                unsafe (result.storage.mutablePointer + row * each).copyMemory(
                    from: pointer + from * each, byteCount: each)
            }
        }
        return result
    }
}
