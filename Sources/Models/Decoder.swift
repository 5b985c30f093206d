package import MartletLayers
package import MartletTensors

/// A decoder-only model: token table, input positions, blocks, final norm, projection to the vocabulary.
///
/// Knows no file, no text and no sampling. The same value serves inference, training and the inventory; what differs is the `ParameterSource`
/// it was made from and the `AttentionState` it is given.
package struct Decoder: Sendable {
    package let architecture: Architecture
    private let input: InputLayer
    private let stack: BlockStack
    /// From the hidden states to the width of a narrower token table.
    private let narrowing: Linear?
    private let head: TokenHeadLayer

    /// - Throws: ``UnsupportedArchitecture`` where the description says more than this assembly runs.
    package init(_ architecture: Architecture, _ scope: Scope) throws(UnsupportedArchitecture) {
        guard case .decoder(let stack) = architecture.body, case .tokens(let head) = architecture.head else {
            throw UnsupportedArchitecture("a decoder-only model with a projection to its vocabulary is needed here")
        }
        self.architecture = architecture
        input = InputLayer(architecture, stack, scope["tokens"], scope["decoder"])
        self.stack = BlockStack(stack, width: architecture.width, scope["decoder"])
        narrowing = architecture.embedding.factorised.map {
            Linear(architecture.width, $0.width, bias: .absent, scope["head"]["narrowing"])
        }
        self.head = TokenHeadLayer(head, architecture, table: input.tokens, scope["head"])
    }

    /// The last hidden state of every row, after the final norm: `[rows, width]`, or of the token table's width where that is narrower.
    package func hidden(_ rows: Rows, _ state: inout some AttentionState, on device: Device) -> Tensor {
        let hidden = stack(input(rows, on: device), rows, &state)
        return narrowing?(hidden) ?? hidden
    }

    /// Hidden states to logits `[rows, vocabulary]`: of every row when training, of the last of each sequence when generating.
    package func logits(_ hidden: Tensor) -> Tensor { head(hidden) }
}

extension Architecture {
    /// The length beyond which keys that a cache holds are no longer those of an uncached pass, and the text must be read anew.
    package var rereadsBeyond: Int? {
        guard case .decoder(let stack) = body else { return nil }
        return stack.layers.compactMap { $0.attention.positions.rereadsBeyond }.min()
    }
}

/// A description that may be planned but not run, and why.
public struct UnsupportedArchitecture: Error, CustomStringConvertible, Equatable {
    public let description: String
    package init(_ description: String) { self.description = description }
}

/// Token vectors plus what positions and segments add: `[rows, width]`.
package struct InputLayer: Sendable {
    package let tokens: TokenTable
    private let form: Architecture.Embedding
    private let positions: PositionTable?
    private let segments: TokenTable?
    private let projection: Linear?
    private let norm: NormLayer?

    package init(_ architecture: Architecture, _ stack: Architecture.Stack, _ tokenScope: Scope, _ scope: Scope) {
        form = architecture.embedding
        let tokenWidth = form.factorised?.width ?? architecture.width
        let width = form.factorised?.order == .normThenProjection ? tokenWidth : architecture.width
        tokens = TokenTable(architecture.vocabulary, tokenWidth, tokenScope)
        positions = PositionTable(stack.positions, width: width, scope["positions"])
        segments = form.segments > 0 ? TokenTable(form.segments, width, scope["segments"]) : nil
        norm = stack.inputNorm.map { NormLayer($0, width: width, scope["inputNorm"]) }
        projection = form.factorised.map { Linear(tokenWidth, architecture.width, bias: $0.bias, scope["projection"]) }
    }

    package func callAsFunction(_ rows: Rows, on device: Device) -> Tensor {
        var x = tokens(rows.tokens, scale: form.scale, on: device)
        if let projection, form.factorised?.order == .projectionThenPositions { x = projection(x) }
        if let segments { x = x + segments(rows.segments, on: device) }
        if let positions { x = x + positions(rows.positions, on: device) }
        if let norm { x = norm(x) }
        if let projection, form.factorised?.order == .normThenProjection { x = projection(x) }
        return x
    }
}

/// The blocks of one stack and its final norm.
package struct BlockStack: Sendable {
    private let blocks: [Block]
    private let outputNorm: NormLayer?
    /// The distinct rotations of the stack, and which of them each layer uses.
    private let rotations: [RotaryFrequencies]
    private let rotationOfLayer: [Int?]

    package init(_ form: Architecture.Stack, width: Int, _ scope: Scope) {
        var blocks: [Block] = []
        for (index, layer) in form.layers.enumerated() {
            blocks.append(layer.sharesParametersOf.map { blocks[$0] } ?? Block(layer, width: width, scope[index]))
        }
        self.blocks = blocks
        outputNorm = form.outputNorm.map { NormLayer($0, width: width, scope["outputNorm"]) }
        var distinct: [Architecture.Rotary] = []
        rotationOfLayer = form.layers.map { layer in
            guard case .rotary(let rotary) = layer.attention.positions else { return nil }
            if let known = distinct.firstIndex(of: rotary) { return known }
            distinct.append(rotary)
            return distinct.count - 1
        }
        rotations = distinct.map { RotaryFrequencies($0) }
    }

    /// `[rows, width]` to the same shape.
    package func callAsFunction(_ x: Tensor, _ rows: Rows, _ state: inout some AttentionState) -> Tensor {
        let device = x.device(for: "stack")
        let tables = rotations.map { $0.table(positions: rows.positions, extents: rows.extents, on: device) }
        var x = x
        for (index, block) in blocks.enumerated() {
            x = block(x, rows, layer: index, rotation: rotationOfLayer[index].map { tables[$0] }, &state)
        }
        return outputNorm?(x) ?? x
    }
}

/// The projection to the vocabulary, with what a family does to its logits.
package struct TokenHeadLayer: Sendable {
    private let form: Architecture.TokenHead
    private let projection: Linear

    package init(_ form: Architecture.TokenHead, _ architecture: Architecture, table: TokenTable, _ scope: Scope) {
        self.form = form
        let tokenWidth = architecture.embedding.factorised?.width ?? architecture.width
        projection =
            switch form.weights {
            case .tied: Linear(tiedTo: table, bias: form.bias, scope)
            case .own: Linear(tokenWidth, architecture.vocabulary, bias: form.bias, scope)
            }
    }

    /// Hidden states to logits `[rows, vocabulary]`.
    package func callAsFunction(_ hidden: Tensor) -> Tensor {
        var logits = projection(hidden)
        if form.scale != 1 { logits = logits * form.scale }
        if let cap = form.cap { logits = logits.softCapped(cap) }
        return logits
    }
}
