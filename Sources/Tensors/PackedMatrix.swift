package import CMartletKernels

/// A weight `[outputs, inputs]` in the layout that products stream: panels of 64 outputs, interleaved by column.
///
/// Packed once at load, and the same for one row and for many, so that both have the same bits.
package struct PackedMatrix: Sendable {
    package let outputs: Int
    package let inputs: Int
    package let type: ElementType
    package let storage: Storage
    /// The slice of a larger matrix that this one is, where its other outputs are elsewhere (tensor parallelism).
    package var part: MatrixPart?

    /// Packs `matrix` `[outputs, inputs]`, its panels shared among the threads of `device`.
    ///
    /// - Parameter type: the type that it is converted to; its own when nil.
    package init(_ matrix: Tensor, as type: ElementType? = nil, on device: Device) {
        self.init(reservedFor: matrix, as: type ?? matrix.type, on: device)
        let packed = self
        device.parallel(panels, cost: Int(MARTLET_PANEL) * inputs) { packed.pack(matrix, panels: $0, on: device) }
    }

    /// Memory for `matrix`, which ``pack(_:panels:on:)`` is yet to fill.
    init(reservedFor matrix: Tensor, as type: ElementType, on device: Device) {
        precondition(matrix.shape.rank == 2, "PackedMatrix: \(matrix.shape) is not a matrix")
        (outputs, inputs, self.type) = (matrix.shape[0], matrix.shape[1], type)
        storage = device.weights.take(bytes: PackedMatrix.bytes(outputs: outputs, inputs: inputs, type: type))
    }

    /// Packs some panels of the matrix that this was made for. Where it has another type, their rows are converted
    /// first, so that never more of it is there twice.
    func pack(_ matrix: Tensor, panels: Range<Int>, on device: Device) {
        let bytes = martlet_panel_bytes(type.kernelType, inputs)
        guard matrix.type == type else {
            let rows = panels.lowerBound * Int(MARTLET_PANEL)..<min(outputs, panels.upperBound * Int(MARTLET_PANEL))
            let part = PackedMatrix(
                outputs: rows.count, inputs: inputs, type: type,
                packed: Storage(part: panels.lowerBound * bytes..<panels.upperBound * bytes, of: storage))
            return part.pack(
                matrix.rows(rows).converted(to: type, on: device), panels: 0..<panels.count, on: device)
        }
        storage.populate(panels.lowerBound * bytes..<panels.upperBound * bytes)
        unsafe martlet_pack(
            type.kernelType, matrix.pointer, matrix.rowBytes, outputs, inputs, storage.mutablePointer,
            panels.lowerBound, panels.upperBound)
    }

    var panels: Int { (outputs + Int(MARTLET_PANEL) - 1) / Int(MARTLET_PANEL) }

    package var bytes: Int { storage.bytes }

    /// The size in bytes of a packed matrix `[outputs, inputs]`.
    package static func bytes(outputs: Int, inputs: Int, type: ElementType) -> Int {
        (outputs + Int(MARTLET_PANEL) - 1) / Int(MARTLET_PANEL) * martlet_panel_bytes(type.kernelType, inputs)
    }
}

extension ElementType {
    /// The C side numbers types as `allCases` lists them.
    package var kernelType: martlet_type {
        switch self {
        case .f32: MARTLET_F32
        case .f16: MARTLET_F16
        case .bf16: MARTLET_BF16
        case .i32: MARTLET_I32
        case .q8_0: MARTLET_Q8_0
        case .q4_0: MARTLET_Q4_0
        case .q4_1: MARTLET_Q4_1
        case .q5_0: MARTLET_Q5_0
        case .q5_1: MARTLET_Q5_1
        case .q4_K: MARTLET_Q4_K
        case .q5_K: MARTLET_Q5_K
        case .q6_K: MARTLET_Q6_K
        }
    }
}
