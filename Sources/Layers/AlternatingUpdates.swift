package import MartletTensors

/// The streams of a stack, made of token vectors before its first layer and merged behind its last (AltUp,
/// arXiv:2301.13310): rows of a stack with streams are `[rows, count · width]`.
package struct StreamsLayer: Sendable {
    private let beginnings, endings: [Linear]
    private let form: Architecture.Streams
    private let width: Int
    /// The least mean square that a row is taken to have.
    private static let floor: Float = 1e-5

    package init(_ form: Architecture.Streams, width: Int, _ scope: Scope) {
        (self.form, self.width) = (form, width)
        func projections(_ name: String) -> [Linear] {
            (0..<form.count - 1).map { Linear(width, width, bias: .absent, .stem, scope[name][$0]) }
        }
        (beginnings, endings) = (projections("beginnings"), projections("endings"))
    }

    /// Token vectors `[rows, width]` and their projections, as large as they.
    package func begun(_ x: Tensor) -> Tensor { begun(x, beginnings.map { $0(x) }) }

    private func begun(_ x: Tensor, _ projected: [Tensor]) -> Tensor {
        .joined(columnsOf: [x] + projected.map { $0.scaled(toMagnitudeOf: x, floor: StreamsLayer.floor) })
    }

    /// The mean of the streams `[rows, width]`, all as large as the first.
    package func ended(_ streams: Tensor) -> Tensor {
        let parts = form.parts(of: streams, width: width)
        return ended(parts[0], zip(parts.dropFirst(), endings).map { $1($0) })
    }

    private func ended(_ first: Tensor, _ projected: [Tensor]) -> Tensor {
        let sum = projected.reduce(first) { $0 + $1.scaled(toMagnitudeOf: first, floor: StreamsLayer.floor) }
        return sum * (1 / Float(form.count))
    }

    /// Adds the making of the streams to a decode step; nil where steps do not know a matrix.
    package func recordBeginning(in plan: StepPlan) -> StepRows? {
        let matrices = beginnings.compactMap(\.stepMatrix)
        guard matrices.count == beginnings.count else { return nil }
        let projected = matrices.enumerated().map { plan.multiply([($1, .streamProjection($0))])[0] }
        let streams = plan.rows(.streams, width: form.count * width)
        plan.compute { [unowned plan] rows in
            let x = plan.stream.tensor(rows, on: plan.serial)
            streams.set(begun(x, projected.map { $0.tensor(rows, on: plan.serial) }))
        }
        return streams
    }

    /// Adds the merging of the streams to a decode step; false where steps do not know a matrix.
    package func recordEnding(in plan: StepPlan, _ streams: StepRows) -> Bool {
        let matrices = endings.compactMap(\.stepMatrix)
        guard matrices.count == endings.count else { return false }
        let parts = (0..<form.count).map { plan.rows(.streamPart($0), width: width) }
        plan.compute { [unowned plan] rows in
            let made = form.parts(of: streams.tensor(rows, on: plan.serial), width: width)
            for (part, value) in zip(parts, made) { part.set(value) }
        }
        let projected = matrices.enumerated().map { plan.multiply([($1, .streamProjection($0))], of: parts[$0 + 1])[0] }
        plan.compute { [unowned plan] rows in
            let first = parts[0].tensor(rows, on: plan.serial)
            plan.stream.set(ended(first, projected.map { $0.tensor(rows, on: plan.serial) }))
        }
        return true
    }
}

extension Architecture.Streams {
    /// The streams one by one, `[rows, width]` each.
    fileprivate func parts(of streams: Tensor, width: Int) -> [Tensor] {
        (0..<count).map { streams.selecting(columns: $0 * width..<($0 + 1) * width) }
    }
}

/// A layer's prediction of all streams from all streams, and their correction by what the layer made of one of them
/// (AltUp, arXiv:2301.13310).
package struct AlternatingUpdates: Sendable {
    private let router, prediction, correction: Linear
    private let routerNorm: NormLayer
    private let scale: Parameter
    private let perLayer: PerLayerInput?
    private let form: Architecture.Streams
    private let width: Int

    /// - Parameter perLayer: what is made of the corrected stream and added to all but the first.
    init(
        _ form: Architecture.Streams, perLayer: PerLayerInput?, norm: Architecture.Norm, width: Int, _ scope: Scope
    ) {
        (self.form, self.width, self.perLayer) = (form, width, perLayer)
        router = Linear(width, form.count, bias: .absent, .router, scope["router"])
        routerNorm = NormLayer(norm, width: width, scope["routerNorm"])
        prediction = Linear(form.count, form.count * form.count, bias: .absent, .router, scope["prediction"])
        correction = Linear(form.count, form.count, bias: .absent, .router, scope["correction"])
        scale = scope.vector("scale", [width], .ones, .norm)
    }

    /// The index of the stream that layers compute with.
    var active: Int { form.active }

    /// The share of each stream, `[rows, count]`.
    private func routed(_ x: Tensor) -> Tensor { router(routerNorm(x) * (1 / Float(width))).activated(.tanh) }

    /// The predicted streams: each plus a mixture of all, as the active one wants.
    func predicted(_ streams: Tensor) -> [Tensor] {
        let parts = form.parts(of: streams, width: width)
        let shares = prediction(routed(parts[form.active]))
        return parts.indices.map { stream in
            parts.indices.reduce(parts[stream]) { sum, other in
                let column = stream * form.count + other
                return sum + parts[other].scaled(byRow: shares.selecting(columns: column..<column + 1))
            }
        }
    }

    /// The predicted streams, each moved by what the layer made of the active one, `x`.
    func corrected(_ predictions: [Tensor], by x: Tensor, _ perLayerVectors: Tensor?, layer: Int) -> Tensor {
        let innovation = x + predictions[form.active] * -1
        let shares = correction(routed(x))
        var parts = predictions.enumerated().map { index, prediction in
            prediction + innovation + innovation.scaled(byRow: shares.selecting(columns: index..<index + 1))
        }
        if let perLayer, let perLayerVectors {
            var active = parts[form.active]
            if form.scalesCorrection == .present {
                active = active.reshaped([x.shape[0], 1, width]).scaled(byHead: [scale.tensor]).reshaped(x.shape)
            }
            let addend = perLayer.addend(active, perLayerVectors, layer: layer)
            for index in parts.indices.dropFirst() { parts[index] = parts[index] + addend }
        }
        return .joined(columnsOf: parts)
    }

    /// Adds the prediction of the streams to a decode step, whose stream is then the active one.
    func recordPrediction(in plan: StepPlan, _ streams: StepRows) {
        let predictions = plan.rows(.predictions, width: form.count * width)
        plan.compute { [unowned plan] rows in
            let predicted = predicted(streams.tensor(rows, on: plan.serial))
            predictions.set(.joined(columnsOf: predicted))
            plan.stream.set(predicted[form.active])
        }
    }

    /// Adds the correction of what was predicted to a decode step.
    func recordCorrection(in plan: StepPlan, _ streams: StepRows, _ perLayerVectors: StepRows?, layer: Int) {
        let predictions = plan.rows(.predictions, width: form.count * width)
        plan.compute { [unowned plan] rows in
            let device = plan.serial
            let predicted = form.parts(of: predictions.tensor(rows, on: device), width: width)
            streams.set(
                corrected(
                    predicted, by: plan.stream.tensor(rows, on: device), perLayerVectors?.tensor(rows, on: device),
                    layer: layer))
        }
    }
}

/// A learned augmentation of a residual connection: x + norm(right(left(x))) of low rank (LAuReL, arXiv:2411.07501).
package struct AugmentedResidual: Sendable {
    private let left, right: Linear
    private let norm: NormLayer

    init(rank: Int, norm: Architecture.Norm, width: Int, _ scope: Scope) {
        left = Linear(width, rank, bias: .absent, .stem, scope["left"])
        right = Linear(rank, width, bias: .absent, .stem, scope["right"])
        self.norm = NormLayer(norm, width: width, scope["norm"])
    }

    func callAsFunction(_ x: Tensor) -> Tensor { x + norm(right(left(x))) }

    /// Adds what is made of before(x) to a decode step; nil where steps do not know a matrix.
    func record(in plan: StepPlan, before: NormLayer?) -> StepRows? {
        guard let left = left.stepMatrix, let right = right.stepMatrix else { return nil }
        let narrow = plan.multiply([(left, .augmentedNarrow)], norm: before?.stepNorm)[0]
        let augmented = plan.multiply([(right, .augmented)], of: narrow)[0]
        plan.compute { [unowned plan] rows in
            let x = plan.stream.tensor(rows, on: plan.serial)
            augmented.set((before?(x) ?? x) + norm(augmented.tensor(rows, on: plan.serial)))
        }
        return augmented
    }
}
