package import MartletLayers
package import MartletTensors

/// The blocks of one stack and its final norm.
package struct BlockStack: Sendable {
    let blocks: [Block]
    let outputNorm: NormLayer?
    let positions: StackPositions
    let convolution: ConvolutionLayer?
    let streams: StreamsLayer?
    /// The index of the block whose parameters each block has: its own layer's, or that of an earlier one.
    private let owners: [Int]
    private let stack: ParameterPlace.Stack?
    /// The state of shared keys and values at the beginning of a pass.
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
                        layer, width: width, sourceWidth: sourceWidth, perLayer: perLayer, streams: form.streams,
                        scope.layer(index)))
            owners.append(layer.sharesParametersOf.map { owners[$0] } ?? index)
        }
        (self.blocks, self.owners, stack) = (blocks, owners, scope.stack)
        shared = SharedKeyValues(form.layers)
        outputNorm = form.outputNorm.map { NormLayer($0, width: width, scope["outputNorm"]) }
        positions = StackPositions(form.layers, width: width, scope)
        streams = form.streams.map { StreamsLayer($0, width: width, scope["streams"]) }
        convolution = form.convolution.map { ConvolutionLayer($0, width: width, scope["convolution"]) }
    }

    /// The output of the stack, from `[rows, width]` to the same shape.
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
        return pass(blocks.indices, x, rows, positions, source, perLayer: perLayer, &state, observe: observe)
    }

    /// Some layers of the stack in turn, and the final norm behind the last.
    private func pass(
        _ layers: Range<Int>, _ input: Tensor, _ rows: Rows, _ positions: [PassPositions], _ source: Source?,
        perLayer: Tensor? = nil, _ state: inout some AttentionState, observe: (Int, Tensor) -> Void = { _, _ in }
    ) -> Tensor {
        var (x, shared) = (layers.lowerBound == 0 ? streams?.begun(input) ?? input : input, shared)
        // A layer that is computed again alone has not the keys and values of another.
        let recomputes = rows.training?.recomputation == .byLayer && !shared.isUsed
        for index in layers {
            let block = blocks[index]
            let visit = visit(index, rows)
            x = visit?.begun(x) ?? x
            // What is beside the layer adds to the same gradient, visited or not.
            let begun = x
            let inputs = LayerInputs(positions: positions[index], source: source, perLayer: perLayer)
            x =
                recomputes
                ? block.recomputed(x, rows, layer: index, inputs)
                : block(x, rows, layer: index, inputs, shared: &shared, &state)
            x = visit?.ended(x) ?? x
            if index == 0, let convolution { x = convolution(begun, addedTo: x, rows) }
            observe(index, x)
        }
        guard layers.upperBound == blocks.count else { return x }
        x = streams?.ended(x) ?? x
        return outputNorm?(x) ?? x
    }

    /// Layers `layers` alone, from what those before them hand on to what those behind them need: the rows, and
    /// positions that layers of both sides share. Behind the last layer the normed rows alone.
    ///
    /// - Parameters:
    ///   - input: what the run before gave; nothing where `layers` begin the stack.
    ///   - first: makes the rows that the stack begins with.
    func run(
        _ layers: Range<Int>, _ input: [Tensor], _ rows: Rows, source: Source? = nil, on device: Device,
        from first: () -> Tensor
    ) -> [Tensor] {
        let shared = positions.kinds(sharedAcross: layers.lowerBound)
        let handed = Dictionary(uniqueKeysWithValues: zip(shared, input.dropFirst()))
        let made = positions.made(rows, for: layers, handed: handed, on: device)
        var state = Uncached()
        let x = pass(
            layers, input.first ?? first(), rows, positions.kindOfLayer.map { made[$0] }, source, &state)
        guard layers.upperBound < blocks.count else { return [x] }
        return [x] + positions.kinds(sharedAcross: layers.upperBound).compactMap { made[$0].learned }
    }

    /// The shapes of what ``run(_:_:_:source:on:from:)`` hands on in front of `layer`, from 1 to the number of layers.
    func shapes(before layer: Int, _ rows: Rows, width: Int) -> [Shape] {
        let x: Shape = [rows.count, width]
        guard layer < blocks.count else { return [x] }
        return [x] + positions.kinds(sharedAcross: layer).compactMap { positions.shape(of: $0, rows) }
    }

    /// True where a layer from `layer` on reads a source.
    func readsSource(from layer: Int) -> Bool { blocks[layer...].contains(where: \.readsSource) }

    private func visit(_ index: Int, _ rows: Rows) -> LayerVisit? {
        guard let visitor = rows.visitor, let stack else { return nil }
        return LayerVisit(
            visitor, ParameterPlace(stack, layer: owners[index]), isOwner: owners[index] == index)
    }
}
