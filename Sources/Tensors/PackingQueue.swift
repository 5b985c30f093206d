import CMartletKernels

/// Stored matrices that are to be packed, all in one go: every thread takes pieces of any of them, so that none waits
/// for the last piece of each matrix.
///
/// A matrix that has been added is not to be read before `run` has returned.
package final class PackingQueue {
    /// Some panels of a matrix that is to be packed.
    private struct Piece: Sendable {
        let matrix: PackedMatrix
        let stored: Tensor
        let panels: Range<Int>

        func pack(on device: Device) { matrix.pack(stored, panels: panels, on: device) }

        /// The byte range of this piece in the storage of `stored`.
        var source: Range<Int> {
            let panel = Int(MARTLET_PANEL) * stored.rowBytes
            let lower = stored.byteOffset + panels.lowerBound * panel
            return lower..<min(stored.byteOffset + stored.bytes, lower + panels.count * panel)
        }
    }

    private var pieces: [Piece] = []

    package init() {}

    /// About as much as stays in a second-level cache between the system's clearing of the memory and our writing to
    /// it.
    private static let pieceBytes = 512 << 10

    /// The number of pieces whose source is let go together: it interrupts all threads.
    private static let together = 8

    /// The matrix that `stored` `[outputs, inputs]` will be packed into.
    ///
    /// - Parameter type: the type that it will be converted to; its own when nil.
    package func add(_ stored: Tensor, as type: ElementType? = nil, on device: Device) -> PackedMatrix {
        let matrix = PackedMatrix(reservedFor: stored, as: type ?? stored.type, on: device)
        let step = max(1, PackingQueue.pieceBytes / max(1, Int(MARTLET_PANEL) * stored.rowBytes))
        for first in stride(from: 0, to: matrix.panels, by: step) {
            pieces.append(Piece(matrix: matrix, stored: stored, panels: first..<min(first + step, matrix.panels)))
        }
        return matrix
    }

    /// Packs all that has been added. A mapped file's pages are let go soon after they have been read, so that no large
    /// model is in memory twice.
    package func run(on device: Device) {
        let (pieces, together) = (pieces, PackingQueue.together)
        self.pieces = []
        device.pool.run(chunks: pieces.count) { index in
            pieces[index].pack(on: device)
            // The group before: a piece of it that is still being read comes back by itself.
            guard (index + 1) % together == 0, index >= together else { return }
            PackingQueue.release(pieces[(index + 1 - 2 * together)..<(index + 1 - together)])
        }
        PackingQueue.release(pieces[max(0, (pieces.count / together - 1) * together)...])
    }

    /// Lets the sources of some pieces go, neighbours in one call.
    private static func release(_ pieces: ArraySlice<Piece>) {
        let sorted = pieces.sorted { $0.source.lowerBound < $1.source.lowerBound }
        guard var (storage, range) = sorted.first.map({ ($0.stored.storage, $0.source) }) else { return }
        for piece in sorted.dropFirst() {
            if piece.stored.storage === storage, piece.source.lowerBound - range.upperBound < pieceBytes {
                range = range.lowerBound..<max(range.upperBound, piece.source.upperBound)
            } else {
                storage.release(range)
                (storage, range) = (piece.stored.storage, piece.source)
            }
        }
        storage.release(range)
    }
}
