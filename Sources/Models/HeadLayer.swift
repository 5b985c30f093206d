package import MartletLayers
package import MartletTensors

/// The head of a model with its weights, which reads the last hidden states of a stack.
package enum HeadLayer: Sendable {
    case none
    case tokens(TokenHeadLayer)
    case pooled(TransformLayer)
    case nextSentence(TransformLayer, Linear)
    case pretraining(TokenHeadLayer, TransformLayer, Linear)
    case sequence(TransformLayer?, Linear, Architecture.SequenceRow)
    case rows(TransformLayer?, Linear)
    case answers(TransformLayer?, Linear)

    /// - Parameter width: the width of the hidden states, where that is not the architecture's.
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
        case .answers(let form):
            let answers = scope["answers"]
            self = .answers(form.map { transform($0, .headTransform, answers) }, labels(2, form, answers))
        }
    }

    /// The logits of a head that labels: `[sequences, labels]` of whole sequences, `[rows, labels]` of rows, `[rows,
    /// 2]` of answers; nil of all other heads.
    ///
    /// - Parameter dropout: of what the last projection reads, as transformers' `classifier_dropout`.
    package func labelLogits(_ hidden: Tensor, _ rows: Rows, dropout: Dropout? = nil) -> Tensor? {
        func project(_ x: Tensor, _ transform: TransformLayer?, _ projection: Linear) -> Tensor {
            projection((transform?(x) ?? x).dropped(dropout))
        }
        switch self {
        case .none, .tokens, .pooled, .pretraining: return nil
        case .nextSentence(let transform, let projection):
            return project(rows.standIns(.first, in: hidden), transform, projection)
        case .sequence(let transform, let projection, .meanOfLabels):
            return project(hidden, transform, projection).averaged(over: rows.sequences.map(\.rows))
        case .sequence(let transform, let projection, let row):
            return project(rows.standIns(row, in: hidden), transform, projection)
        case .rows(let transform, let projection): return project(hidden, transform, projection)
        case .answers(let transform, let projection): return project(hidden, transform, projection)
        }
    }

    /// The outputs of the head for `[rows, width]`, everything that it computes by name; with one entry per sequence.
    ///
    /// `rows` are those of the text, also where a decoder read it behind a start token.
    /// `logits` are `[rows, vocabulary]`, `[rows, labels]` or, of whole sequences, `[labels]`; `next_sentence` `[2]`;
    /// `pooled` `[width]`; `start_logits` and `end_logits` `[rows]`.
    package func callAsFunction(_ hidden: Tensor, _ rows: Rows) -> [(name: String, tensors: [Tensor])] {
        func firstRows() -> Tensor { rows.standIns(.first, in: hidden) }
        func bySequence(_ values: Tensor) -> [Tensor] {
            rows.sequences.indices.map { values.rows($0..<$0 + 1).reshaped([values.shape[1]]) }
        }
        func byRow(_ values: Tensor) -> [Tensor] { rows.sequences.map { values.rows($0.rows) } }
        let labels = labelLogits(hidden, rows)
        switch self {
        case .none: return []
        case .tokens(let head): return [("logits", byRow(head(hidden)))]
        case .pooled(let transform): return [("pooled", bySequence(transform(firstRows())))]
        case .nextSentence(let transform, _):
            return [
                ("logits", labels.map(bySequence) ?? []), ("pooled", bySequence(transform(firstRows()))),
            ]
        case .pretraining(let head, let transform, let projection):
            let pooled = transform(firstRows())
            return [
                ("logits", byRow(head(hidden))), ("next_sentence", bySequence(projection(pooled))),
                ("pooled", bySequence(pooled)),
            ]
        case .sequence: return [("logits", labels.map(bySequence) ?? [])]
        case .rows: return [("logits", labels.map(byRow) ?? [])]
        case .answers:
            guard let ends = labels else { return [] }
            return (0..<2).map { index in
                let values = ends.selecting(columns: index..<index + 1)
                return (["start_logits", "end_logits"][index], byRow(values.reshaped([values.shape[0]])))
            }
        }
    }
}

extension Rows {
    /// The vectors that stand for each sequence: `[sequences, width]` of `hidden` `[rows, width]`.
    package func standIns(_ row: Architecture.SequenceRow, in hidden: Tensor) -> Tensor {
        row == .mean ? hidden.averaged(over: sequences.map(\.rows)) : hidden.selecting(rows: indices(of: row))
    }

    /// The row that stands for each sequence; the last one where no token is as wanted.
    private func indices(of row: Architecture.SequenceRow) -> [Int] {
        sequences.map { sequence in
            let last = sequence.rows.upperBound - 1
            return switch row {
            case .first, .mean, .meanOfLabels: sequence.rows.lowerBound
            case .last(nil): last
            case .last(let padding?): sequence.rows.last { tokens[$0] != padding } ?? last
            case .lastOf(let token): sequence.rows.last { tokens[$0] == token } ?? last
            }
        }
    }
}
