package import MartletLayers
package import MartletTensors

/// The blocks of one stack and its final norm.
package struct BlockStack: Sendable {
    let blocks: [Block]
    let outputNorm: NormLayer?
    let positions: StackPositions
    let convolution: ConvolutionLayer?
    /// For each block, whose parameters it has: its own layer's, or that of an earlier one.
    private let owners: [Int]
    private let stack: ParameterPlace.Stack?
    /// What a pass begins with.
    private let shared: SharedKeyValues

    /// - Parameters:
    ///   - sourceWidth: of the rows that cross-attention reads; nil where it is the stack's own.
    ///   - perLayer: the model's per-layer embeddings, where it has any.
    package init(
        _ form: Architecture.Stack, width: Int, sourceWidth: Int? = nil,
        perLayer: Architecture.Embedding.PerLayer? = nil, _ scope: Scope
    ) {
        var (blocks, owners): ([Block], [Int]) = ([], [])
        for (index, layer) in form.layers.enumerated() {
            blocks.append(
                layer.sharesParametersOf.map { blocks[$0] }
                    ?? Block(
                        layer, width: width, sourceWidth: sourceWidth, perLayer: perLayer, scope.layer(index)))
            owners.append(layer.sharesParametersOf.map { owners[$0] } ?? index)
        }
        (self.blocks, self.owners, stack) = (blocks, owners, scope.stack)
        shared = SharedKeyValues(form.layers)
        outputNorm = form.outputNorm.map { NormLayer($0, width: width, scope["outputNorm"]) }
        positions = StackPositions(form.layers, width: width, scope)
        convolution = form.convolution.map { ConvolutionLayer($0, width: width, scope["convolution"]) }
    }

    /// `[rows, width]` to the same shape.
    ///
    /// - Parameters:
    ///   - source: what cross-attention reads, where the stack has any.
    ///   - perLayer: per-layer embeddings `[rows, layers · width]`, where the model has them.
    ///   - observe: called with each layer's output, from layer 0 on.
    package func callAsFunction(
        _ x: Tensor, _ rows: Rows, source: Source? = nil, perLayer: Tensor? = nil, _ state: inout some AttentionState,
        observe: (Int, Tensor) -> Void = { _, _ in }
    ) -> Tensor {
        let positions = positions(rows, on: x.device(for: "stack"))
        let input = x
        var (x, shared) = (x, shared)
        // A layer that is computed again alone has not the keys and values of another.
        let recomputes = rows.training?.recomputation == .byLayer && !shared.isUsed
        for (index, block) in blocks.enumerated() {
            let visit = visit(index, rows)
            x = visit?.begun(x) ?? x
            let inputs = LayerInputs(positions: positions[index], source: source, perLayer: perLayer)
            x =
                recomputes
                ? block.recomputed(x, rows, layer: index, inputs)
                : block(x, rows, layer: index, inputs, shared: &shared, &state)
            x = visit?.ended(x) ?? x
            if index == 0, let convolution { x = convolution(input, addedTo: x, rows) }
            observe(index, x)
        }
        return outputNorm?(x) ?? x
    }

    private func visit(_ index: Int, _ rows: Rows) -> LayerVisit? {
        guard let visitor = rows.visitor, let stack else { return nil }
        return LayerVisit(
            visitor, ParameterPlace(stack, layer: owners[index]), isOwner: owners[index] == index)
    }
}
