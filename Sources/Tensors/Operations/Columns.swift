extension Tensor {
    /// Columns `columns` of `[rows, width]`, as a tensor of their own.
    package func selecting(columns: Range<Int>) -> Tensor {
        let result = self.columns(columns, on: device(for: "selecting"))
        guard let node else { return result }
        return result.recorded([self]) { [shape] gradient, flow in
            let whole = flow.device.make(shape).filled(with: 0)
            whole.setColumns(columns, to: gradient, on: flow.device)
            flow.add(whole, to: node)
        }
    }

    /// A copy of columns `range` of `[rows, width]`; untracked.
    package func columns(_ range: Range<Int>, on device: Device) -> Tensor {
        precondition(
            shape.rank == 2 && range.lowerBound >= 0 && range.upperBound <= shape[1], "columns: \(range) of \(shape)")
        let part = device.make([shape[0], range.count], type)
        let (bytes, first) = (part.rowBytes, range.lowerBound * part.rowBytes / max(1, range.count))
        device.parallel(shape[0], cost: range.count) { rows in
            for row in rows {
                unsafe (part.storage.mutablePointer + part.byteOffset + row * bytes).copyMemory(
                    from: pointer + row * rowBytes + first, byteCount: bytes)
            }
        }
        return part
    }

    /// Writes `part` over columns `range` of self `[rows, width]`, a tensor that the caller owns.
    package func setColumns(_ range: Range<Int>, to part: Tensor, on device: Device) {
        precondition(
            part.shape == [shape[0], range.count] && part.type == type && range.upperBound <= shape[1],
            "setColumns: \(part.shape) into columns \(range) of \(shape)")
        let (bytes, first) = (part.rowBytes, range.lowerBound * part.rowBytes / max(1, range.count))
        device.parallel(shape[0], cost: range.count) { rows in
            for row in rows {
                unsafe (storage.mutablePointer + byteOffset + row * rowBytes + first).copyMemory(
                    from: part.pointer + row * bytes, byteCount: bytes)
            }
        }
    }

    /// Tensors `[rows, width]` side by side, `[rows, parts · width]`.
    package static func joined(columnsOf parts: [Tensor]) -> Tensor {
        guard let first = parts.first else { preconditionFailure("joined: no parts") }
        let (rows, width) = (first.shape.rows, first.shape.width)
        precondition(parts.allSatisfy { $0.shape == first.shape }, "joined: \(parts.map(\.shape))")
        let result = first.device(for: "joined").make([rows, parts.count * width])
        for (index, part) in parts.enumerated() {
            for row in 0..<rows {
                let target = unsafe result.mutableFloats + (row * parts.count + index) * width
                unsafe target.update(from: part.floats + row * width, count: width)
            }
        }
        let nodes = parts.map(\.node)
        return result.recorded(parts) { gradient, flow in
            for (index, node) in nodes.enumerated() {
                guard let node else { continue }
                flow.add(gradient.selecting(columns: index * width..<(index + 1) * width), to: node)
            }
        }
    }
}
