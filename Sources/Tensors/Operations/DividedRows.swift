/// The ranks that divide the rows of a pass among them (context parallelism), as operations see them.
///
/// Each computes what follows from its own rows. Sums over rows, which gradients of parameters are, take the rows of
/// all, in their order: a gradient is one sum on the rank that has it, as it is on one rank alone.
package protocol RowRanks: MatrixRanks {
    /// The rows of each rank among those of all, where this one has `own`: rows of the pass, or of one of its two
    /// stacks.
    func parts(ofOwn own: Int) -> [Range<Int>]

    /// Returns whether the gradient of a parameter is a sum over rows; else each rank has all of it.
    func dividesRows(ofLeaf leaf: Int) -> Bool

    /// The rows of all ranks that were gathered last, and what they were gathered from: several products have the same
    /// factor.
    var gathered: GatheredRows? { get set }
}

/// The rows of all ranks, and those of this one that were gathered.
package struct GatheredRows: Sendable {
    fileprivate let own, whole: Tensor
    fileprivate let parts: [Range<Int>]
}

extension RowRanks {
    /// The rows of each rank, where they divide `total`.
    package func parts(of total: Int) -> [Range<Int>] { (0..<count).map { part(of: total, rank: $0) } }

    /// The rows of all ranks, where each has its part of them (all-gather). Rows are as wide as they may be: what `own`
    /// has for each of its rows.
    package func whole(_ own: Tensor, _ parts: [Range<Int>], on device: Device) -> Tensor {
        let (mine, total) = (parts[rank].count, parts[count - 1].upperBound)
        precondition(mine > 0 && own.shape.elements % mine == 0, "rows: \(own.shape) for \(mine) of \(total) rows")
        let whole = device.make([total, own.shape.elements / mine], own.type)
        whole.rows(parts[rank]).copyElements(of: own)
        exchangeAll { target, origin in exchange(own, to: target, whole.rows(parts[origin]), from: origin) }
        return whole
    }

    /// The rows of all ranks, of the factor of a product; kept for as long as no other factor is gathered.
    func wholeFactor(_ own: Tensor, on device: Device) -> (rows: Tensor, parts: [Range<Int>]) {
        if let gathered, gathered.own.storage === own.storage, gathered.own.byteOffset == own.byteOffset,
            gathered.own.shape == own.shape
        {
            return (gathered.whole, gathered.parts)
        }
        let parts = parts(ofOwn: own.shape[0])
        let whole = whole(own, parts, on: device)
        gathered = GatheredRows(own: own.untracked, whole: whole, parts: parts)
        return (whole, parts)
    }

    /// This rank's columns of the rows of all `[rows, width]`, where each has its part of them (all-to-all).
    func ownColumns(_ own: Tensor, _ parts: [Range<Int>], on device: Device) -> Tensor {
        let width = own.shape.elements / max(own.shape[0], 1)
        let rows = own.reshaped([own.shape[0], width])
        let columns = device.make([parts[count - 1].upperBound, part(of: width).count], own.type)
        columns.rows(parts[rank]).copyElements(of: rows.columns(part(of: width), on: device))
        exchangeAll { target, origin in
            let sent = rows.columns(part(of: width, rank: target), on: device)
            exchange(sent, to: target, columns.rows(parts[origin]), from: origin)
        }
        return columns
    }

    /// This rank's rows `[own rows, width]`, where each rank has its columns of all rows `[rows, own columns]`.
    func ownRows(_ columns: Tensor, width: Int, on device: Device) -> Tensor {
        let parts = parts(of: columns.shape[0])
        let result = device.make([parts[rank].count, width], columns.type)
        result.setColumns(part(of: width), to: columns.rows(parts[rank]), on: device)
        exchangeAll { target, origin in
            let received = device.make([parts[rank].count, part(of: width, rank: origin).count], columns.type)
            exchange(columns.rows(parts[target]), to: target, received, from: origin)
            result.setColumns(part(of: width, rank: origin), to: received, on: device)
        }
        return result
    }

    /// Sends `sent` and receives `received`, tensors of whole elements, which live until both have been done.
    private func exchange(_ sent: Tensor, to target: Int, _ received: Tensor, from origin: Int) {
        withExtendedLifetime((sent.storage, received.storage)) {
            unsafe exchange(
                UnsafeRawBufferPointer(start: sent.pointer, count: sent.bytes), to: target,
                UnsafeMutableRawBufferPointer(
                    start: received.storage.mutablePointer + received.byteOffset, count: received.bytes), from: origin)
        }
    }
}

extension Tensor {
    /// Writes the elements of `other`, of the same type and as many, over these, which the caller owns.
    fileprivate func copyElements(of other: Tensor) {
        precondition(
            other.type == type && other.bytes == bytes, "copy: \(other.shape) \(other.type) to \(shape) \(type)")
        unsafe (storage.mutablePointer + byteOffset).copyMemory(from: other.pointer, byteCount: bytes)
    }

    /// The heads of this rank for the rows of all, `[rows, own heads, width]`, of this rank's part of `rows`, `[own
    /// rows, heads, width]`. - Precondition: the ranks divide the heads.
    package func byHeads(of ranks: any RowRanks, rows: Int) -> Tensor {
        let (device, heads, width) = (device(for: "byHeads"), shape[1], shape[2])
        let own: Shape = [rows, heads / ranks.count, width]
        let result = ranks.ownColumns(untracked, ranks.parts(of: rows), on: device).reshaped(own)
        guard let node else { return result }
        return result.recorded([self]) { gradient, flow in
            let columns = gradient.reshaped([rows, own.elements / rows])
            flow.add(ranks.ownRows(columns, width: heads * width, on: flow.device), to: node)
        }
    }

    /// This rank's rows of all heads, `[own rows, heads, width]`: the inverse of ``byHeads(of:rows:)``.
    package func byRows(of ranks: any RowRanks) -> Tensor {
        let (device, own) = (device(for: "byRows"), shape)
        let (parts, heads) = (ranks.parts(of: own[0]), own[1] * ranks.count)
        let columns = untracked.reshaped([own[0], own.elements / own[0]])
        let result = ranks.ownRows(columns, width: heads * own[2], on: device)
            .reshaped([parts[ranks.rank].count, heads, own[2]])
        guard let node else { return result }
        return result.recorded([self]) { gradient, flow in
            flow.add(ranks.ownColumns(gradient, parts, on: flow.device), to: node)
        }
    }

    /// The rows of all ranks, `[rows, width]`, of this rank's part of `rows`: gradients of all rows are here.
    package func wholeRows(of ranks: any RowRanks, rows: Int) -> Tensor {
        let parts = ranks.parts(of: rows)
        let result = ranks.whole(untracked, parts, on: device(for: "wholeRows"))
        guard let node else { return result }
        return result.recorded([self]) { gradient, flow in flow.add(gradient.rows(parts[ranks.rank]), to: node) }
    }
}

extension GradientFlow {
    /// The ranks that have other rows of what is summed for `node`: where it is a parameter whose gradient is a sum
    /// over rows.
    func rowRanks(for node: GradientNode) -> (any RowRanks)? {
        guard let dividedRows, let leaf = node.leaf, dividedRows.dividesRows(ofLeaf: leaf) else { return nil }
        return dividedRows
    }

    /// Adds gradientᵀ x over the rows of all ranks, of which `parts` are each one's: this rank's outputs of a matrix
    /// that they divide, or all.
    ///
    /// - Parameters: `gradient`: of this rank's part of the rows, or of all; `x`: the rows of all ranks.
    mutating func addProduct(
        ofColumns gradient: Tensor, withWhole x: Tensor, _ parts: [Range<Int>], as operands: ElementType,
        to node: GradientNode, _ ranks: any RowRanks
    ) {
        let (device, outputs) = (device, gradient.shape[1])
        let own = ownRows(of: node, of: outputs)
        let columns =
            if gradient.shape[0] == x.shape[0] {
                gradient.columns(own, on: device)
            } else if own == 0..<outputs {
                ranks.whole(gradient, parts, on: device)
            } else {
                ranks.ownColumns(gradient, parts, on: device)
            }
        accumulate(node) { target, holdsSum in
            let place = own == 0..<outputs ? target : target.rows(own)
            place.setProduct(
                columns, turned: true, x, .steps, adding: holdsSum, as: operands, streaming: true, on: device)
        }
    }

    /// The rows of a parameter of `rows` rows whose gradients are here.
    func ownRows(of node: GradientNode, of rows: Int) -> Range<Int> {
        guard let leaf = node.leaf else { return 0..<rows }
        let (held, width) = (gradients.held[leaf], gradients.shapes[leaf].elements / rows)
        return held.lowerBound / width..<held.upperBound / width
    }
}
