package import MartletLayers
package import MartletTensors

/// What reads the last hidden states of a stack.
package enum HeadLayer: Sendable {
    case none
    case tokens(TokenHeadLayer)
    case pooled(TransformLayer)
    case nextSentence(TransformLayer, Linear)
    case pretraining(TokenHeadLayer, TransformLayer, Linear)
    case sequence(TransformLayer?, Linear, Architecture.SequenceRow)
    case rows(TransformLayer?, Linear)
    case answers(Linear)

    /// - Parameter width: of the hidden states, where that is not the architecture's.
    init(_ architecture: Architecture, width: Int? = nil, table: TokenTable, _ scope: Scope) {
        let width = width ?? architecture.width
        func transform(
            _ form: Architecture.Transform, _ role: ParameterRole, _ scope: Scope
        ) -> TransformLayer { TransformLayer(form, width: width, role, scope["transform"]) }
        func labels(
            _ count: Int, _ form: Architecture.Transform?, _ scope: Scope, bias: Architecture.Presence = .present
        ) -> Linear {
            Linear(form?.width ?? width, count, bias: bias, .head, scope)
        }
        func tokens(_ form: Architecture.TokenHead) -> TokenHeadLayer {
            TokenHeadLayer(form, architecture, table: table, scope["head"])
        }
        let whole = scope.multiplying(.perSequence)
        let (next, sequence, rows) = (whole["nextSentence"], whole["sequence"], scope["rows"])
        switch architecture.head {
        case .none: self = .none
        case .tokens(let form): self = .tokens(tokens(form))
        case .pooled(let form): self = .pooled(transform(form, .pooler, whole["pooled"]))
        case .nextSentence(let form): self = .nextSentence(transform(form, .headTransform, next), labels(2, form, next))
        case .pretraining(let head, let form):
            self = .pretraining(tokens(head), transform(form, .headTransform, next), labels(2, form, next))
        case .sequence(let form, let count, let row):
            var bias = Architecture.Presence.present
            if case .decoder = architecture.body { bias = .absent }
            self = .sequence(
                form.map { transform($0, .headTransform, sequence) }, labels(count, form, sequence, bias: bias), row)
        case .rows(let form, let count):
            self = .rows(form.map { transform($0, .headTransform, rows) }, labels(count, form, rows))
        case .answers: self = .answers(labels(2, nil, scope["answers"]))
        }
    }

    /// Everything the head computes from `[rows, width]`, by name; with one entry per sequence.
    ///
    /// `rows` are those of the text, also where a decoder read it behind a start token.
    /// `logits` are `[rows, vocabulary]`, `[rows, labels]` or, of whole sequences, `[labels]`; `next_sentence` `[2]`; `pooled`
    /// `[width]`; `start_logits` and `end_logits` `[rows]`.
    package func callAsFunction(_ hidden: Tensor, _ rows: Rows) -> [(name: String, tensors: [Tensor])] {
        func firstRows() -> Tensor { selected(.first) }
        func selected(_ row: Architecture.SequenceRow) -> Tensor { hidden.selecting(rows: rows.indices(of: row)) }
        func bySequence(_ values: Tensor) -> [Tensor] {
            rows.sequences.indices.map { values.rows($0..<$0 + 1).reshaped([values.shape[1]]) }
        }
        func byRow(_ values: Tensor) -> [Tensor] { rows.sequences.map { values.rows($0.rows) } }
        switch self {
        case .none: return []
        case .tokens(let head): return [("logits", byRow(head(hidden)))]
        case .pooled(let transform): return [("pooled", bySequence(transform(firstRows())))]
        case .nextSentence(let transform, let projection):
            let pooled = transform(firstRows())
            return [("logits", bySequence(projection(pooled))), ("pooled", bySequence(pooled))]
        case .pretraining(let head, let transform, let projection):
            let pooled = transform(firstRows())
            return [
                ("logits", byRow(head(hidden))), ("next_sentence", bySequence(projection(pooled))),
                ("pooled", bySequence(pooled)),
            ]
        case .sequence(let transform, let projection, let row):
            let chosen = selected(row)
            return [("logits", bySequence(projection(transform?(chosen) ?? chosen)))]
        case .rows(let transform, let projection):
            return [("logits", byRow(projection(transform?(hidden) ?? hidden)))]
        case .answers(let projection):
            let ends = projection(hidden)
            return (0..<2).map { index in
                let values = ends.selecting(columns: index..<index + 1)
                return (["start_logits", "end_logits"][index], byRow(values.reshaped([values.shape[0]])))
            }
        }
    }
}

extension Rows {
    /// For each sequence the row that stands for it; the last one where no token is as wanted.
    fileprivate func indices(of row: Architecture.SequenceRow) -> [Int] {
        sequences.map { sequence in
            let last = sequence.rows.upperBound - 1
            return switch row {
            case .first: sequence.rows.lowerBound
            case .last(nil): last
            case .last(let padding?): sequence.rows.last { tokens[$0] != padding } ?? last
            case .lastOf(let token): sequence.rows.last { tokens[$0] == token } ?? last
            }
        }
    }
}
