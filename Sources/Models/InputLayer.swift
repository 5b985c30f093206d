package import MartletLayers
package import MartletTensors

/// The input embeddings, token vectors plus what positions and segments add: `[rows, width]`.
package struct InputLayer: Sendable {
    package let tokens: TokenTable
    let form: Architecture.Embedding
    let positions: PositionTable?
    let segments: TokenTable?
    let tasks: TokenTable?
    let projection: Linear?
    let norm: NormLayer?

    /// - Parameter tokens: the table that this stack shares with another one, if it does.
    package init(
        _ architecture: Architecture, _ stack: Architecture.Stack, tokens: TokenTable, segments: Int, _ scope: Scope
    ) {
        form = architecture.embedding
        let tokenWidth = form.factorised?.width ?? architecture.width
        let positionWidth = form.factorised?.order == .projectionThenPositions ? architecture.width : tokenWidth
        let normWidth = form.factorised?.order == .normThenProjection ? tokenWidth : architecture.width
        self.tokens = tokens
        positions = PositionTable(stack.positions, width: positionWidth, scope["positions"])
        self.segments = segments > 0 ? TokenTable(segments, positionWidth, .segments, scope["segments"]) : nil
        tasks = form.tasks > 0 ? TokenTable(form.tasks, positionWidth, .segments, scope["tasks"]) : nil
        norm = stack.inputNorm.map { NormLayer($0, width: normWidth, scope["inputNorm"]) }
        projection = form.factorised.map {
            Linear(tokenWidth, architecture.width, bias: $0.bias, .stem, scope["projection"])
        }
    }

    /// The hidden states [rows, width] that enter the stack.
    package func callAsFunction(_ rows: Rows, on device: Device) -> Tensor {
        made(rows, on: device).dropped(rows.training?.dropout(layer: -1, 0))
    }

    private func made(_ rows: Rows, on device: Device) -> Tensor {
        let x = tokens(rows.tokens, scale: form.scale, on: device)
        switch form.factorised?.order {
        case nil: return normed(placed(x, rows, on: device))
        case .normThenProjection: return projected(normed(placed(x, rows, on: device)))
        case .projectionThenNorm: return normed(projected(placed(x, rows, on: device)))
        case .projectionThenPositions: return normed(placed(projected(x), rows, on: device))
        }
    }

    private func placed(_ x: Tensor, _ rows: Rows, on device: Device) -> Tensor {
        var x = x
        if let segments { x = x + segments(rows.segments, on: device) }
        if let tasks { x = x + tasks(rows.tokens.map { _ in 0 }, on: device) }
        if let positions { x = x + positions(positionNumbers(rows), on: device) }
        return x
    }

    /// The position of every row. A token without one has the number before the first, and what follows it closes up.
    private func positionNumbers(_ rows: Rows) -> [Int32] {
        guard let token = form.tokenWithoutPosition, rows.tokens.contains(token) else { return rows.positions }
        var numbers = rows.positions
        for sequence in rows.sequences {
            var next = Int32(sequence.start)
            for row in sequence.rows {
                numbers[row] = rows.tokens[row] == token ? -1 : next
                if rows.tokens[row] != token { next += 1 }
            }
        }
        return numbers
    }

    private func normed(_ x: Tensor) -> Tensor { norm?(x) ?? x }
    private func projected(_ x: Tensor) -> Tensor { projection?(x) ?? x }
}

extension TokenTable {
    /// The table of an architecture's tokens, of the width that it has for them.
    package init(_ architecture: Architecture, vocabulary: Int, _ scope: Scope) {
        self.init(vocabulary, architecture.embedding.factorised?.width ?? architecture.width, .tokens, scope)
    }
}
