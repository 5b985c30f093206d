import CMartletKernels

/// Block types of ggml that files come in and products do not take: repacked as a type that they do when they are
/// loaded.
///
/// Source: the block structures of ggml; decoded bit for bit as the gguf package does.
package enum ForeignBlocks {
    /// The element type that blocks of ggml's type `number` are loaded as: q6_K where its sub-blocks hold the very same
    /// numbers, f32 for plain elements, else q8_0. That is exact for types with one scale to a block; the others are
    /// rounded to 1/127 of the largest of 32.
    package static func loadedType(_ number: UInt32) -> ElementType {
        switch number {
        case UInt32(MARTLET_GGML_Q3_K): .q6_K
        case UInt32(MARTLET_GGML_I8), UInt32(MARTLET_GGML_I16), UInt32(MARTLET_GGML_I64), UInt32(MARTLET_GGML_F64): .f32
        default: .q8_0
        }
    }

    /// Quantized blocks in a file: their ggml type and the place where they lie.
    package struct Source: Sendable {
        let number: UInt32
        let block: BlockSize
        let storage: Storage
        let byteOffset: Int

        package init(_ number: UInt32, _ block: BlockSize, storage: Storage, byteOffset: Int) {
            (self.number, self.block, self.storage, self.byteOffset) = (number, block, storage, byteOffset)
        }

        fileprivate func row(_ row: Int, width: Int) -> UnsafeRawPointer {
            unsafe storage.pointer + byteOffset + row * block.bytes(of: width)
        }
    }

    /// The blocks repacked, in memory of their own.
    ///
    /// - Precondition: rows of `shape` fill whole blocks of both types.
    package static func tensor(_ source: Source, shape: Shape, on device: Device? = nil) -> Tensor {
        let type = loadedType(source.number)
        let (rows, width) = (shape.rows, shape.width)
        precondition(
            width % source.block.elements == 0 && width % type.blockElements == 0,
            "ForeignBlocks: rows of \(shape) do not fill blocks of \(source.block.elements)")
        let rowBytes = type.block.bytes(of: width)
        let result = Tensor(storage: Storage(bytes: rows * rowBytes), shape: shape, type: type)
        func fill(_ range: Range<Int>) {
            var values: [Float] = []
            for row in range {
                let blocks = width / source.block.elements
                let target = unsafe result.storage.mutablePointer + row * rowBytes
                let stored = unsafe source.row(row, width: width)
                if type != .f32, unsafe martlet_repack_foreign(source.number, stored, target, blocks) { continue }
                if values.isEmpty { values = Array(repeating: 0, count: width) }
                _ = unsafe martlet_decode_foreign(source.number, stored, &values, blocks)
                _ = unsafe martlet_encode(type.kernelType, values, target, width)
            }
        }
        if let device { device.parallel(rows, cost: width * 4, fill) } else { fill(0..<rows) }
        return result
    }

    /// The numbers of the blocks, exactly.
    package static func values(_ source: Source, shape: Shape) -> [Float] {
        let (rows, width) = (shape.rows, shape.width)
        var values = [Float](repeating: 0, count: rows * width)
        unsafe values.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            for row in 0..<rows {
                _ = unsafe martlet_decode_foreign(
                    source.number, source.row(row, width: width), base + row * width, width / source.block.elements)
            }
        }
        return values
    }
}
