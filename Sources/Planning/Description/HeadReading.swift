internal import MartletLayers

extension Blueprint.Head {
    /// What reads the last hidden states of a model that can be described.
    init(_ architecture: Architecture) {
        switch architecture.head {
        case .none: self.init(.none, width: architecture.width)
        case .tokens(let form): self.init(form, architecture)
        case .pretraining(let form, let pooler):
            self.init(form, architecture)
            before += Blueprint.Head.labels("nextSentence", pooler, 2, architecture.width, rows: .perSequence)
        case .pooled(let pooler):
            let dense = Blueprint.Head.transform("pooled", pooler, architecture.width, .pooler, rows: .perSequence)
            self.init(.none, width: architecture.width, before: dense)
        case .nextSentence(let pooler):
            let labels = Blueprint.Head.labels("nextSentence", pooler, 2, architecture.width, rows: .perSequence)
            self.init(.none, width: architecture.width, before: labels)
        case .sequence(let pooler, let count, _):
            var bias = Architecture.Presence.present
            if case .decoder = architecture.body { bias = .absent }
            let labels = Blueprint.Head.labels(
                "sequence", pooler, count, architecture.width, rows: .perSequence, bias: bias)
            self.init(.none, width: architecture.width, before: labels)
        case .rows(let transform, let count):
            let labels = Blueprint.Head.labels("rows", transform, count, architecture.width, rows: .own)
            self.init(.none, width: architecture.width, before: labels)
        case .answers:
            let labels = Blueprint.Head.labels("answers", nil, 2, architecture.width, rows: .own)
            self.init(.none, width: architecture.width, before: labels)
        }
    }

    /// The projection to the vocabulary, from the width of its table or of the transform before it.
    private init(_ form: Architecture.TokenHead, _ architecture: Architecture) {
        let bias: Architecture.Presence = form.bias == .present ? .present : .absent
        let projection: Projection = form.weights == .tied ? .tied(bias: bias) : .own(bias: bias)
        if let transform = form.transform {
            let dense = Blueprint.Head.transform("head", transform, architecture.width, .headTransform, rows: .own)
            self.init(projection, width: transform.width, before: dense)
            return
        }
        let narrow = architecture.embedding.factorised?.width
        self.init(
            projection, width: narrow ?? architecture.width,
            before: narrow.map { MartletPlanning.projection("head.narrowing", $0, architecture.width, .headTransform) }
                ?? [])
    }

    /// norm(f(W x + b)) under the name that the model gives it.
    private static func transform(
        _ name: String, _ form: Architecture.Transform, _ width: Int, _ part: ParameterTensor.Part,
        rows: ParameterTensor.Rows
    ) -> [ParameterTensor] {
        MartletPlanning.projection("\(name).transform", form.width, width, part, bias: .present, rows: rows)
            + (form.norm.map { Blueprint.Norm("norm", form.width, $0.vectors).tensors("\(name).transform") } ?? [])
    }

    /// Classes of rows or of whole sequences, behind a transform where there is one.
    private static func labels(
        _ name: String, _ form: Architecture.Transform?, _ count: Int, _ width: Int, rows: ParameterTensor.Rows,
        bias: Architecture.Presence = .present
    ) -> [ParameterTensor] {
        (form.map { transform(name, $0, width, .headTransform, rows: rows) } ?? [])
            + MartletPlanning.projection(name, count, form?.width ?? width, .head, bias: bias, rows: rows)
    }
}
