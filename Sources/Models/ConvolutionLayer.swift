import MartletLayers
import MartletTensors

/// A convolution layer, norm(y + f(W · neighbours(x) + b)): a convolution over the rows of each sequence (DeBERTa v2).
///
/// The weight is `[width, width, size]`, so a row's neighbours lie element by element: column i · size + k is element i
/// of neighbour k.
struct ConvolutionLayer: Sendable {
    private let form: Architecture.Convolution
    private let weight: Linear
    private let norm: NormLayer

    init(_ form: Architecture.Convolution, width: Int, _ scope: Scope) {
        self.form = form
        weight = Linear(convolving: width, size: form.size, scope)
        norm = NormLayer(form.norm, width: width, scope["norm"])
    }

    /// The output of the layer, from `x`, `y` `[rows, width]` to the same shape.
    func callAsFunction(_ x: Tensor, addedTo y: Tensor, _ rows: Rows) -> Tensor {
        let neighbours = x.neighbours(form.size, within: rows.sequences.map(\.rows))
        return norm(y + weight(neighbours).activated(form.activation))
    }
}
