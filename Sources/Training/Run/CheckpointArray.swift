import MartletJSON
package import MartletTensors

/// An f32 array of a checkpoint, and what of it this rank holds.
package struct CheckpointArray: Sendable {
    package let name: String
    package let shape: Shape
    /// The pieces, ascending; each rank holds others, or every rank the whole.
    package let pieces: [Piece]
    /// True where the ranks hold disjoint pieces; else the leader's is written.
    package let isShared: Bool

    /// Elements of the array, from `first` on in row-major order.
    package struct Piece: Sendable {
        package let first: Int
        package let tensor: Tensor

        package init(first: Int, tensor: Tensor) { (self.first, self.tensor) = (first, tensor) }
    }

    package init(_ name: String, _ shape: Shape, _ pieces: [Piece], isShared: Bool) {
        (self.name, self.shape, self.pieces, self.isShared) = (name, shape, pieces, isShared)
    }

    /// An array that every rank holds whole.
    package init(_ name: String, _ tensor: Tensor) {
        self.init(name, tensor.shape, [Piece(first: 0, tensor: tensor)], isShared: false)
    }

    /// The whole array.
    ///
    /// - Precondition: this rank holds it.
    package var tensor: Tensor {
        guard pieces.count == 1, pieces[0].tensor.shape.elements == shape.elements else {
            preconditionFailure("\(name): a part of \(shape) alone is here")
        }
        return pieces[0].tensor.reshaped(shape)
    }

    /// Puts back what a checkpoint holds under this name.
    ///
    /// - Throws: ``RunError`` where that is nothing, or of another shape.
    package func restore(from stored: [String: Tensor]) throws(RunError) {
        guard let whole = stored[name], whole.shape == shape, whole.type == .f32 else {
            throw RunError("the checkpoint holds no \(name.quoted) of \(shape); is its recipe another one?")
        }
        for piece in pieces {
            let range = piece.first..<piece.first + piece.tensor.shape.elements
            piece.tensor.overwrite(with: whole.elements(range), adding: false)
        }
    }
}
