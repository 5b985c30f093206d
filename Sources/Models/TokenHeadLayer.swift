package import MartletLayers
package import MartletTensors

/// The projection to the vocabulary, with what a family does to its logits.
package struct TokenHeadLayer: Sendable {
    private let form: Architecture.TokenHead
    private let projection: Linear
    /// The dense layer from hidden states to the width of the token table.
    private let transform: TransformLayer?
    private let constant: Parameter?

    package init(_ form: Architecture.TokenHead, _ architecture: Architecture, table: TokenTable, _ scope: Scope) {
        self.form = form
        let (vocabulary, tokenWidth) = (table.weight.shape[0], table.weight.shape[1])
        transform = form.transform.map {
            TransformLayer($0, width: architecture.width, .headTransform, scope["transform"])
        }
        let bias: Architecture.Presence = form.bias == .present ? .present : .absent
        projection =
            switch form.weights {
            case .tied: Linear(tiedTo: table, bias: bias, scope)
            case .own: Linear(form.transform?.width ?? tokenWidth, vocabulary, bias: bias, .head, scope)
            }
        constant = form.bias == .constant ? scope.constant("constant", [1, vocabulary], .head) : nil
    }

    /// The logits of hidden states, from `[rows, width]` to `[rows, vocabulary]`.
    package func callAsFunction(_ hidden: Tensor) -> Tensor {
        let hidden = transform?(hidden) ?? hidden
        return finished(projection(hidden))
    }

    /// The projection for a step, with the constant for its bias where nothing stands between the two; nil where more
    /// stands before it.
    var stepMatrix: StepMatrix? {
        guard transform == nil, let matrix = projection.stepMatrix else { return nil }
        return StepMatrix(matrix.matrix, bias: matrix.bias ?? (form.scale == 1 ? constant?.tensor : nil))
    }

    /// The finished logits, after what follows the projection: scale, constant and cap; for rows or a single one.
    func finished(_ logits: Tensor, afterStep: Bool = false) -> Tensor {
        var logits = logits
        if form.scale != 1 { logits = logits * form.scale }
        if let constant, !(afterStep && form.scale == 1) { logits = logits.adding(toEachRow: constant.tensor) }
        if let cap = form.cap { logits = logits.softCapped(cap) }
        return logits
    }

    /// The losses of `hidden` `[rows, width]`, with the gradients of their sum times `factor` in `flow`, which then
    /// runs from the root.
    ///
    /// - Parameter ranks: the ranks that have other rows of the pass, whose targets are here too.
    package func loss(
        _ hidden: Tensor, among ranks: (any RowRanks)? = nil, _ targets: [Int32], _ form: LossForm, factor: Float = 1,
        _ flow: inout GradientFlow
    ) -> (sums: LossSums, root: GradientNode?) {
        let own = transform?(hidden) ?? hidden
        let rows = ranks.map { own.wholeRows(of: $0, rows: targets.count) } ?? own
        return flow.crossEntropy(rows, logitProjection, targets, form, factor: factor)
    }

    /// The losses of `hidden` `[rows, width]`, without gradients.
    package func loss(_ hidden: Tensor, _ targets: [Int32], _ form: LossForm) -> LossSums {
        let chosen = targets.indices.filter { targets[$0] >= 0 }
        let rows = chosen.count == targets.count ? hidden : hidden.selecting(rows: chosen)
        return (transform?(rows) ?? rows).crossEntropy(logitProjection, chosen.map { targets[$0] }, form)
    }

    private var logitProjection: LogitProjection {
        LogitProjection(projection.lowered, scale: form.scale, constant: constant?.tensor, cap: form.cap)
    }
}

/// The transform of a head, norm(f(W x + b)).
package struct TransformLayer: Sendable {
    private let form: Architecture.Transform
    private let dense: Linear
    private let norm: NormLayer?

    package init(
        _ form: Architecture.Transform, width: Int, _ role: ParameterRole, _ scope: Scope
    ) {
        self.form = form
        dense = Linear(width, form.width, bias: form.bias, role, scope)
        norm = form.norm.map { NormLayer($0, width: form.width, scope["norm"]) }
    }

    /// The transformed rows, from `[rows, width]` to `[rows, form.width]`.
    package func callAsFunction(_ x: Tensor) -> Tensor {
        let y = dense(x).activated(form.activation)
        return norm?(y) ?? y
    }
}
