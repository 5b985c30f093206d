import CMartletKernels

/// Block types of ggml that files are written in and products do not take, as the reference quantizers make them
/// without an importance matrix.
// swift-format-ignore: AlwaysUseLowerCamelCase
package enum WrittenBlocks: String, Sendable, Hashable, CaseIterable {
    case q2_K, q3_K
    case iq4_NL = "iq4_nl"
    case iq4_XS = "iq4_xs"

    /// ggml's number of the type.
    package var number: UInt32 {
        switch self {
        case .q2_K: UInt32(MARTLET_GGML_Q2_K)
        case .q3_K: UInt32(MARTLET_GGML_Q3_K)
        case .iq4_NL: UInt32(MARTLET_GGML_IQ4_NL)
        case .iq4_XS: UInt32(MARTLET_GGML_IQ4_XS)
        }
    }

    package var block: BlockSize {
        switch self {
        // 16 × 2 × 4 bits of scales and minima, 256 × 2 bits, 2 × f16
        case .q2_K: BlockSize(elements: 256, bytes: 84)
        // 32 + 64 bytes of 3-bit values, 16 × 6 bits of scales, f16
        case .q3_K: BlockSize(elements: 256, bytes: 110)
        case .iq4_NL: BlockSize(elements: 32, bytes: 18)  // f16 scale, 32 × 4 bits
        case .iq4_XS: BlockSize(elements: 256, bytes: 136)  // f16 scale, 8 × 6 bits of scales, 256 × 4 bits
        }
    }

    /// The blocks of `tensor`.
    ///
    /// - Precondition: its rows fill whole ones.
    package func encoded(_ tensor: Tensor, on device: Device) -> Storage {
        let values = tensor.decoded(on: device)
        let (rows, width) = (values.shape.rows, values.shape.width)
        precondition(
            width % block.elements == 0, "WrittenBlocks: rows of \(values.shape) do not fill blocks of \(self)")
        let result = Storage(bytes: block.bytes(of: values.shape.elements))
        let (rowBytes, blocks) = (block.bytes(of: width), width / block.elements)
        device.parallel(rows, cost: width * 64) { range in
            for row in range {
                _ = unsafe martlet_encode_foreign(
                    number, values.floats + row * width, result.mutablePointer + row * rowBytes, blocks)
            }
        }
        return result
    }

    private func source(_ encoded: Storage) -> ForeignBlocks.Source {
        .init(number, block, storage: encoded, byteOffset: 0)
    }

    /// The numbers that blocks hold, in f32.
    package func values(_ encoded: Storage, shape: Shape) -> Tensor {
        Tensor(ForeignBlocks.values(source(encoded), shape: shape), shape: shape)
    }

    /// The tensor that encoded blocks become when they are loaded from a file.
    package func loaded(_ encoded: Storage, shape: Shape, on device: Device) -> Tensor {
        ForeignBlocks.tensor(source(encoded), shape: shape, on: device)
    }
}
