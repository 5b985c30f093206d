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
    private init(
        _ form: Architecture.Embedding.PerLayer, layers: Int, norm: Architecture.Norm, width: Int, _ scope: Scope
    ) {
        (self.form, self.width) = (form, width)
        table = TokenTable(form.vocabulary, layers * form.width, .perLayerTokens, scope)
        projection = Linear(width, layers * form.width, bias: .absent, .stem, scope["projection"])
        self.norm = NormLayer(norm, width: form.width, scope["norm"])
    }

    /// The per-layer embeddings of `stack`; nil in a model without.
    package init?(of architecture: Architecture, _ stack: Architecture.Stack, _ scope: Scope) {
        guard let form = architecture.embedding.perLayer, let first = stack.layers.first else { return nil }
        self.init(
            form, layers: stack.layers.count, norm: first.norm, width: architecture.width, scope["perLayer"])
    }

    /// The vectors of all layers, `[rows, layers · width]`, for `tokens` whose vectors are `x` `[rows, width]`.
    package func callAsFunction(_ tokens: [Int32], _ x: Tensor, on device: Device) -> Tensor {
        vectors(tokens, projected: projection(x), on: device)
    }

    private func vectors(_ tokens: [Int32], projected: Tensor, on device: Device) -> Tensor {
        // Tokens beyond the table, which stand for no text, have its first row.
        let tokens = tokens.map { $0 < form.vocabulary ? $0 : 0 }
        let known = table(tokens, scale: Float(form.width).squareRoot(), on: device)
        let shape = known.shape
        let projected = projected * (1 / Float(width).squareRoot())
        let parts = norm(projected.reshaped([shape.elements / form.width, form.width]))
        return (parts.reshaped(shape) + known) * Float(0.5).squareRoot()
    }

    /// Adds the phases of all layers' vectors to a decode step; nil where the projection is none that steps know.
    package func record(in plan: StepPlan) -> StepRows? {
        guard let matrix = projection.stepMatrix else { return nil }
        let vectors = plan.multiply([(matrix, .perLayer)])[0]
        plan.compute { [unowned plan] rows in
            let tokens = Array(plan.tokens.prefix(rows))
            vectors.set(self.vectors(tokens, projected: vectors.tensor(rows, on: plan.serial), on: plan.serial))
        }
        return vectors
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

    /// The addend: norm(project(f(gate(x)) · v)).
    func addend(_ x: Tensor, _ vectors: Tensor, layer: Int) -> Tensor {
        norm(projection(gated(gate(x), vectors, layer: layer)))
    }

    private func gated(_ gate: Tensor, _ vectors: Tensor, layer: Int) -> Tensor {
        gate.activated(activation) * vectors.selecting(columns: layer * width..<(layer + 1) * width)
    }

    /// Adds its phases to a decode step; false where its matrices are none that steps know.
    func record(in plan: StepPlan, _ vectors: StepRows, layer: Int) -> Bool {
        guard let gate = gate.stepMatrix, let projection = projection.stepMatrix else { return false }
        let rows = plan.multiply([(gate, .perLayerGate)])[0]
        plan.compute { [unowned plan] count in
            let device = plan.serial
            rows.set(gated(rows.tensor(count, on: device), vectors.tensor(count, on: device), layer: layer))
        }
        plan.addProduct(projection, of: rows, join: norm.stepNorm)
        return true
    }
}
