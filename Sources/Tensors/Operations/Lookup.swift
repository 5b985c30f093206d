import CMartletKernels

extension Tensor {
    /// The rows of a table that `indices` name, times `scale`, as f32 on `device`.
    ///
    /// - Parameters: `self` `[count, width]` of any type. Every index lies in `0 ..< count`.
    /// - Returns: `[indices, width]`.
    package func lookup(_ indices: [Int32], scale: Float = 1, on device: Device) -> Tensor {
        precondition(shape.rank == 2, "lookup: \(shape) is not a table")
        let (count, width) = (shape[0], shape[1])
        let result = device.make([indices.count, width])
        device.parallel(indices.count, cost: width) { range in
            for row in range {
                let index = Int(indices[row])
                precondition(index >= 0 && index < count, "lookup: row \(index) of \(count)")
                let target = unsafe result.mutableFloats + row * width
                unsafe martlet_decode(type.kernelType, pointer + index * rowBytes, target, width)
                if scale != 1 { unsafe martlet_scale(target, scale, target, width) }
            }
        }
        guard let node else { return result }
        return result.recorded([self]) { gradient, flow in
            flow.scatter(gradient, to: indices, factor: scale, node)
        }
    }

    /// Returns the elements decoded to f32, on `device`: a copy unless they are f32 already.
    package func decoded(on device: Device) -> Tensor {
        guard type != .f32 else { return device.adopt(self) }
        let result = device.make(shape)
        let width = shape.width
        device.parallel(shape.rows, cost: width) { range in
            for row in range {
                unsafe martlet_decode(
                    type.kernelType, pointer + row * rowBytes, result.mutableFloats + row * width, width)
            }
        }
        return result
    }

    /// Returns the tensor converted to another element type, each number rounded to it; the tensor itself when it has
    /// this type. Lives in memory of its own.
    ///
    /// - Precondition: rows fill whole blocks of `type`, which is not i32.
    package func converted(to type: ElementType, on device: Device) -> Tensor {
        guard type != self.type else { return self }
        precondition(
            shape.width % type.blockElements == 0 && type != .i32, "converted: \(shape) \(self.type) to \(type)")
        let values = decoded(on: device)
        let width = shape.width
        let rowBytes = type.block.bytes(of: width)
        let result = Tensor(storage: Storage(bytes: shape.rows * rowBytes), shape: shape, type: type)
        device.parallel(shape.rows, cost: width * 4) { range in
            for row in range {
                let isKnown = unsafe martlet_encode(
                    type.kernelType, values.floats + row * width, result.storage.mutablePointer + row * rowBytes, width)
                precondition(isKnown, "converted: \(type) cannot be written")
            }
        }
        return result
    }

    /// Rows `indices` of `self` `[rows, width]`, in their order.
    package func selecting(rows indices: [Int]) -> Tensor {
        let device = device(for: "selecting")
        let width = shape.width
        let result = device.make([indices.count, width])
        for (target, source) in indices.enumerated() {
            precondition(source >= 0 && source < shape.rows, "selecting: row \(source) of \(shape)")
            unsafe (result.mutableFloats + target * width).update(from: floats + source * width, count: width)
        }
        guard let node else { return result }
        return result.recorded([self]) { gradient, flow in
            flow.scatter(gradient, to: indices.map { Int32($0) }, factor: 1, node)
        }
    }

    /// Writes row i of `source` over row `indices[i]` of self `[rows, …]`, a tensor that the caller is making.
    package func replace(rows indices: [Int], with source: Tensor) {
        let width = shape.elements / max(shape[0], 1)
        precondition(
            source.shape.elements == indices.count * width,
            "replace: \(indices.count) rows of \(shape) by \(source.shape)")
        for (index, target) in indices.enumerated() {
            precondition(target >= 0 && target < shape[0], "replace: row \(target) of \(shape)")
            unsafe (mutableFloats + target * width).update(from: source.floats + index * width, count: width)
        }
    }

    /// The rows `[rows, …]` with row i of `source` in place of row `indices[i]`.
    package func replacing(rows indices: [Int], with source: Tensor) -> Tensor {
        let result = device(for: "replacing", or: source).make(shape)
        result.overwrite(with: self, adding: false)
        result.replace(rows: indices, with: source)
        if node == nil && source.node == nil { return result }
        let (node, sourceNode) = (node, source.node)
        return result.recorded([self, source]) { [shape] gradient, flow in
            let rows = gradient.reshaped([shape[0], shape.elements / max(shape[0], 1)])
            let others = flow.device.make(rows.shape)
            others.overwrite(with: rows, adding: false)
            others.replace(rows: indices, with: flow.device.make([indices.count, rows.shape[1]]).filled(with: 0))
            flow.add(others, to: node)
            flow.add(rows.selecting(rows: indices), to: sourceNode)
        }
    }
}

extension GradientFlow {
    /// Adds row i of `gradient`, times `factor`, to row indices[i] of the gradient of a table: rows in order, columns
    /// shared among threads.
    ///
    /// - Parameter rows: those of the table that are there, of which `indices` count from the first; all when nil.
    mutating func scatter(
        _ gradient: Tensor, to indices: [Int32], factor: Float, _ node: GradientNode, rows: Range<Int>? = nil
    ) {
        if rows == nil, let ranks = rowRanks(for: node) {
            let parts = ranks.parts(ofOwn: indices.count)
            let all = ranks.whole(gradient, parts, on: device)
            let bits = device.tensor(
                indices.map { Float(bitPattern: UInt32(bitPattern: $0)) }, shape: [indices.count])
            let own = ownRows(of: node, of: node.shape[0])
            let names = ranks.whole(bits, parts, on: device).values.map { Int(Int32(bitPattern: $0.bitPattern)) }
            let chosen = names.indices.filter { own.contains(names[$0]) }
            return scatter(
                all.selecting(rows: chosen), to: chosen.map { Int32(names[$0] - own.lowerBound) }, factor: factor, node,
                rows: own)
        }
        // Of the rows chosen: the node may be that of a view under another shape.
        let (device, width) = (device, gradient.shape.width)
        accumulate(node) { target, holdsSum in
            let target = rows.map { target.rows($0) } ?? target
            if !holdsSum { _ = target.filled(with: 0) }
            device.parallel(width, cost: indices.count * 2, grain: 16) { range in
                unsafe indices.withUnsafeBufferPointer { indices in
                    unsafe martlet_scatter_rows(
                        gradient.floats, indices.baseAddress, factor, target.mutableFloats, indices.count, width,
                        range.lowerBound, range.upperBound)
                }
            }
        }
    }
}
