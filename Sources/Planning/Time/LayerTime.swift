internal import MartletLayers

/// Seconds of one microbatch in one layer on one device of a layout.
struct LayerTime: Sendable {
    var forward = 0.0
    var backward = 0.0
    /// The seconds of the scores, which selective recomputation computes again.
    var scores = 0.0
    /// The seconds of tensor parallelism's exchange, a part of `forward` and of `backward` each.
    var exchange = 0.0
    /// True where matrices get gradients of their own; beside adapters they are frozen.
    private let trainsMatrices: Bool

    /// The time of a layer with `kernel`, dropout and element size from the recipe; `rows` are those of the microbatch
    /// on this device.
    init(
        _ layer: Blueprint.Layer, width: Int, sequences: Double, tokens: Double, sourceTokens: Double,
        layout: ParallelLayout, activations: Activations, trainsMatrices: Bool = true, model: ExecutionModel
    ) {
        let tensor = Double(layout.tensor)
        let rows = sequences * tokens / Double(layout.context)
        let spread = layout.sequenceParallel == .present ? tensor : 1
        self.trainsMatrices = trainsMatrices
        addMatrices(layer, rows: rows, sourceRows: sequences * sourceTokens, layout, model)
        var sublayers = 1.0
        addScores(layer.attention, sequences, tokens, keys: tokens, layout, activations, model)
        sublayers += 1
        if let cross = layer.crossAttention {
            addScores(cross, sequences, tokens, keys: sourceTokens, layout, activations, model)
            sublayers += 1
        }
        addElementwise(
            layer, width: Double(width), rows: rows, spread: spread, sublayers: sublayers, tensor, activations, model)
        // An all-reduce after each sublayer, forward and backward; with rows split, the same bytes as a gather and a
        // scatter.
        let bytes = Double(activations.elementBytes) * rows * Double(width)
        exchange = sublayers * model.link(for: layout.tensor).allReduce(bytes, devices: layout.tensor)
        if case .experts(_, let active, _, _) = layer.feedForward, layout.expert > 1 {
            let link = model.link(for: layout.tensor * layout.expert)
            exchange += 2 * link.allToAll(bytes * Double(active), devices: layout.expert)
        }
        if layout.context > 1 { addRowsExchange(layer, rows: rows, bytes: bytes, layout, activations, model) }
        forward += exchange
        backward += exchange
    }

    /// The exchange among devices that divide rows: heads for rows before attention and back behind it
    /// (arXiv:2309.14509), rows for their experts; and for the gradient of each matrix all rows that it has multiplied.
    ///
    /// - Parameter bytes: of the rows of a device.
    private mutating func addRowsExchange(
        _ layer: Blueprint.Layer, rows: Double, bytes: Double, _ layout: ParallelLayout, _ activations: Activations,
        _ model: ExecutionModel
    ) {
        let (attention, devices, tensor) = (layer.attention, layout.context, Double(layout.tensor))
        let link = model.link(for: layout.tensor * devices)
        let element = Double(activations.elementBytes)
        let heads = attention.queryWidth + attention.keyWidth + attention.valuesWidth
        exchange += link.allToAll(element * rows * Double(heads) / tensor, devices: devices)
        exchange += link.allToAll(element * rows * Double(attention.outputWidth) / tensor, devices: devices)
        if case .experts(_, let active, _, _) = layer.feedForward {
            exchange += 2 * link.allToAll(bytes * Double(active), devices: devices)
        }
        guard trainsMatrices else { return }
        for part in MatrixGroup.of(layer) where part.count == 1 {
            let split = part.splits ? tensor : 1
            let (inner, columns) =
                part.splitsInner ? (part.inner / split, part.columns) : (part.inner, part.columns / split)
            backward += link.allGather(element * rows * Double(devices) * inner, devices: devices)
            backward += link.allToAll(element * rows * columns, devices: devices)
        }
    }

    private mutating func addMatrices(
        _ layer: Blueprint.Layer, rows: Double, sourceRows: Double, _ layout: ParallelLayout, _ model: ExecutionModel
    ) {
        for part in MatrixGroup.of(layer) {
            let split = part.splits ? Double(layout.tensor) : 1
            let (inner, columns) =
                part.splitsInner ? (part.inner / split, part.columns) : (part.inner, part.columns / split)
            let rows = part.fromSource ? sourceRows : rows * part.rowShare
            let count = part.count
            forward += model.product(rows: rows, inner: inner, columns: columns, count: count)
            backward += model.product(rows: rows, inner: columns, columns: inner, count: count)
            if trainsMatrices { backward += model.product(rows: inner, inner: rows, columns: columns, count: count) }
        }
    }

    private mutating func addScores(
        _ attention: Blueprint.Attention, _ sequences: Double, _ tokens: Double, keys: Double, _ layout: ParallelLayout,
        _ activations: Activations, _ model: ExecutionModel
    ) {
        let count = sequences * Double(attention.queryHeads) / Double(layout.tensor)
        let rows = tokens / Double(layout.context)
        // Flash kernels skip what a query may not see; plain products do not.
        let seen = Double(attention.reach.seenPairs(rows: Int(tokens))) / max(tokens * tokens, 1)
        let share = activations.kernel == .flash && keys == tokens ? seen : 1
        let products =
            share
            * (model.product(rows: rows, inner: Double(attention.headWidth), columns: keys, count: count)
                + model.product(rows: rows, inner: keys, columns: Double(attention.valueWidth), count: count))
        var passes = (forward: 0.0, backward: 0.0)
        if activations.kernel == .plain {
            let bytes = Double(activations.elementBytes) * count * rows * keys
            let dropped = activations.dropout == .present ? model.pass(bytes: 2.5 * bytes) : 0
            passes = (model.pass(bytes: 2 * bytes) + dropped, model.pass(bytes: 3 * bytes) + dropped)
        }
        scores += products + passes.forward
        forward += products + passes.forward
        // A flash kernel computes the scores once more on the way back: 5 products for 4.
        backward += (activations.kernel == .flash ? 2.5 : 2) * products + passes.backward
    }

    private mutating func addElementwise(
        _ layer: Blueprint.Layer, width: Double, rows: Double, spread: Double, sublayers: Double, _ tensor: Double,
        _ activations: Activations, _ model: ExecutionModel
    ) {
        let e = Double(activations.elementBytes)
        let stream = e * rows * width / spread
        let mask = activations.dropout == .present ? 0.5 : 0
        for _ in 0..<layer.norms {
            forward += model.pass(bytes: 2 * stream)
            backward += model.pass(bytes: 4 * stream)
        }
        forward += sublayers * model.pass(bytes: (3 + mask) * stream)
        backward += sublayers * model.pass(bytes: (2 + mask) * stream)
        let hidden: Double
        switch layer.feedForward {
        case .plain(let width): hidden = 2 * Double(width)
        case .gated(let width): hidden = 3 * Double(width)
        case .experts(_, let active, let width, let shared): hidden = 3 * Double(active * width + shared)
        }
        forward += model.pass(bytes: e * rows * hidden / tensor)
        backward += model.pass(bytes: 1.5 * e * rows * hidden / tensor)
    }
}

/// The matrices of a layer, fused as engines fuse them: queries, keys and values in one product, gate and up in
/// another.
struct MatrixGroup: Sendable {
    var inner: Double
    var columns: Double
    /// Tensor parallelism splits the inner side of output and down projections, the columns of the others.
    var splitsInner = false
    var splits = true
    var fromSource = false
    /// Products of the same shape side by side: experts.
    var count = 1.0
    /// The part of the rows that goes through each of them.
    var rowShare = 1.0

    static func of(_ layer: Blueprint.Layer) -> [MatrixGroup] {
        var groups: [String: MatrixGroup] = [:]
        var order: [String] = []
        for tensor in layer.tensors where tensor.isMatrix {
            let (key, group) = group(tensor)
            if groups[key] != nil {
                groups[key]?.columns += group.columns
            } else {
                groups[key] = group
                order.append(key)
            }
        }
        return order.compactMap { groups[$0] }
    }

    /// The group of matrices that a matrix is multiplied together with: those of its module that read the same rows.
    private static func group(_ tensor: ParameterTensor) -> (String, MatrixGroup) {
        let sides = tensor.shape.suffix(2).map(Double.init)
        let columns = sides.first ?? 0
        var group = MatrixGroup(inner: sides.last ?? 0, columns: columns)
        var key: String
        switch tensor.role {
        case .query, .key, .value, .queryKeyValue: key = "qkv"
        case .gate, .up, .gateUp: key = "up"
        case .output, .down: (key, group.splitsInner) = (tensor.role.rawValue, true)
        case .router: (key, group.splits) = ("router", false)
        default: key = tensor.name
        }
        key += ".\(tensor.module)"
        if case .multiplied(.source) = tensor.use { (key, group.fromSource) = (key + ".source", true) }
        if case .routed(let active, let count) = tensor.use {
            group.count = Double(count)
            group.rowShare = Double(active) / Double(count)
        }
        key += ".\(Int(group.splitsInner ? columns : group.inner))"
        return (key, group)
    }
}
