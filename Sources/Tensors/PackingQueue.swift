import CMartletKernels

/// Stored matrices that are to be packed, all in one go: every thread takes pieces of any of them, so that none waits for the last piece
/// of each matrix.
///
/// What has been added is not to be read before `run` has returned.
package final class PackingQueue {
    private struct Piece: Sendable {
        let matrix: PackedMatrix
        let stored: Tensor
        let panels: Range<Int>
    }

    private var pieces: [Piece] = []

    package init() {}

    /// About as much as stays in a second-level cache between the system's clearing of the memory and our writing to it.
    private static let pieceBytes = 512 << 10

    /// The matrix that `stored` `[outputs, inputs]` will be packed into.
    package func add(_ stored: Tensor, on device: Device) -> PackedMatrix {
        let matrix = PackedMatrix(reservedFor: stored, on: device)
        let step = max(1, PackingQueue.pieceBytes / max(1, Int(MARTLET_PANEL) * stored.rowBytes))
        for first in stride(from: 0, to: matrix.panels, by: step) {
            pieces.append(Piece(matrix: matrix, stored: stored, panels: first..<min(first + step, matrix.panels)))
        }
        return matrix
    }

    /// Packs all that has been added.
    package func run(on device: Device) {
        let pieces = pieces
        self.pieces = []
        device.pool.run(chunks: pieces.count) { index in
            let piece = pieces[index]
            piece.matrix.pack(piece.stored, panels: piece.panels)
        }
    }
}
