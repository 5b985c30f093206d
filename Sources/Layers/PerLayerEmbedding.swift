package import MartletTensors

/// Per-layer embeddings: a vector per token and layer, from a table of its own and a projection of the token vectors
/// (Gemma 4).
package struct PerLayerEmbedding: Sendable {
    private let table: TokenTable
    private let projection: Linear
    private let norm: NormLayer
    private let form: Architecture.Embedding.PerLayer
    private let width: Int

    /// - Parameters:
    ///   - norm: of each layer's part of the projection.
    ///   - width: of the residual stream.
    package init(
        _ form: Architecture.Embedding.PerLayer, layers: Int, norm: Architecture.Norm, width: Int, _ scope: Scope
    ) {
        (self.form, self.width) = (form, width)
        table = TokenTable(form.vocabulary, layers * form.width, .perLayerTokens, scope)
        projection = Linear(width, layers * form.width, bias: .absent, .stem, scope["projection"])
        self.norm = NormLayer(norm, width: form.width, scope["norm"])
    }

    /// The vectors of all layers, `[rows, layers · width]`, for `tokens` whose vectors are `x` `[rows, width]`.
    package func callAsFunction(_ tokens: [Int32], _ x: Tensor, on device: Device) -> Tensor {
        // Tokens beyond the table, which stand for no text, have its first row.
        let tokens = tokens.map { $0 < form.vocabulary ? $0 : 0 }
        let known = table(tokens, scale: Float(form.width).squareRoot(), on: device)
        let shape = known.shape
        let projected = projection(x) * (1 / Float(width).squareRoot())
        let parts = norm(projected.reshaped([shape.elements / form.width, form.width]))
        return (parts.reshaped(shape) + known) * Float(0.5).squareRoot()
    }
}

/// A layer's use of its per-layer embedding v: x + norm(project(f(gate(x)) · v)).
package struct PerLayerInput: Sendable {
    private let gate, projection: Linear
    private let norm: NormLayer
    private let activation: Activation
    private let width: Int

    init(_ form: Architecture.Embedding.PerLayer, norm: Architecture.Norm, width: Int, _ scope: Scope) {
        (activation, self.width) = (form.activation, form.width)
        gate = Linear(width, form.width, bias: .absent, .stem, scope["gate"])
        projection = Linear(form.width, width, bias: .absent, .stem, scope["projection"])
        self.norm = NormLayer(norm, width: width, scope["norm"])
    }

    /// - Parameters: `x` `[rows, width]`; `vectors`: of all layers, as ``PerLayerEmbedding`` gives them; `layer`: the
    ///   number of this one.
    func callAsFunction(_ x: Tensor, _ vectors: Tensor, layer: Int) -> Tensor {
        x + addend(x, vectors, layer: layer)
    }

    /// What is added: norm(project(f(gate(x)) · v)).
    func addend(_ x: Tensor, _ vectors: Tensor, layer: Int) -> Tensor {
        let own = vectors.selecting(columns: layer * width..<(layer + 1) * width)
        return norm(projection(gate(x).activated(activation) * own))
    }
}
