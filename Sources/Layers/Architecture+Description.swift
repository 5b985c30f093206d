extension Architecture {
    /// The model layer by layer, layers that are alike in one line: what a reader of a family file can check against
    /// the paper.
    package var summary: String {
        var lines = ["vocabulary \(vocabulary), width \(width)" + (context.map { ", context \($0)" } ?? "")]
        if let sourceContext { lines.append("sources up to \(sourceContext)") }
        if let reader { lines.append("sources of width \(reader.width), token vectors × \(reader.scale)") }
        if embedding.scale != 1 { lines.append("token vectors × \(embedding.scale)") }
        if embedding.tasks > 0 { lines.append("the first of \(embedding.tasks) tasks") }
        if let perLayer = embedding.perLayer {
            lines.append("per-layer embeddings of \(perLayer.width), vocabulary \(perLayer.vocabulary)")
        }
        if embedding.segments > 0 { lines.append("\(embedding.segments) segments") }
        if let factorised = embedding.factorised {
            lines.append("token vectors of \(factorised.width), projected to \(width)")
        }
        for (role, stack) in stacks { lines += [role.rawValue] + Architecture.lines(stack) }
        lines.append("head: \(Architecture.words(head))")
        return lines.joined(separator: "\n")
    }

    private static func lines(_ stack: Stack) -> [String] {
        var lines: [String] = []
        if stack.positions != .none { lines.append("  positions: \(stack.positions)") }
        if let norm = stack.inputNorm { lines.append("  input norm: \(words(norm))") }
        var first = 0
        for index in stack.layers.indices {
            let next = index + 1
            guard next == stack.layers.count || stack.layers[next] != stack.layers[index] else { continue }
            let numbers = first == index ? "layer \(first)" : "layers \(first)–\(index)"
            lines += ["  \(numbers): \(stack.layers[index].arrangement), \(words(stack.layers[index].norm))"]
            lines.append("    attention: \(words(stack.layers[index].attention))")
            if let cross = stack.layers[index].crossAttention { lines.append("    cross-attention: \(words(cross))") }
            lines.append("    feed-forward: \(words(stack.layers[index].feedForward))")
            if let deviations = stack.layers[index].gateDeviations {
                lines.append("    gates beyond \(deviations) standard deviations alone")
            }
            if stack.layers[index].outputScale == .present { lines.append("    output × a stored number") }
            first = next
        }
        if let streams = stack.streams {
            lines.append(
                "  \(streams.count) streams, stream \(streams.active) computed with, augmentations of rank \(streams.augmentationRank)"
                    + (streams.scalesCorrection == .present ? ", corrections scaled" : ""))
        }
        if let convolution = stack.convolution {
            lines.append("  convolution over the first layer: \(convolution.size) rows, \(convolution.activation)")
        }
        if let norm = stack.outputNorm { lines.append("  output norm: \(words(norm))") }
        return lines
    }

    private static func words(_ norm: Norm) -> String {
        switch norm {
        case .layer(let epsilon): "layer norm, epsilon \(epsilon)"
        case .layerWithoutBias(let epsilon): "layer norm without bias, epsilon \(epsilon)"
        case .unweighted(let epsilon): "layer norm without weights, epsilon \(epsilon)"
        case .unweightedRMS(let epsilon): "RMS norm without weights, epsilon \(epsilon)"
        case .rms(let epsilon, let offset): "RMS norm, epsilon \(epsilon)" + (offset == 0 ? "" : ", weight + \(offset)")
        }
    }

    private static func words(_ attention: Attention) -> String {
        var words = ["\(attention.queryHeads) query and \(attention.keyHeads) key heads of \(attention.headWidth)"]
        words.append(Architecture.words(attention.reach))
        if let positions = Architecture.words(attention.positions) { words.append(positions) }
        if attention.bias != .none { words.append("bias \(attention.bias)") }
        if attention.queryKeyNorm != nil {
            let span = attention.queryKeyNormSpan
            words.append("query and key norms" + (span == .head ? "" : " over \(span)"))
        }
        if let growth = attention.queryGrowth {
            let position = growth.first == 0 ? "position" : "(position + \(growth.first))"
            words.append("queries × 1 + \(growth.factor) ln(1 + \(position) / \(growth.every))")
        }
        if let latent = attention.latent {
            words.append(
                "keys and values from \(latent.keyValue), \(latent.rotated) of each key shared, values of \(latent.valueWidth)"
                    + (latent.query.map { ", queries from \($0)" } ?? ""))
        }
        if attention.sinks == .present { words.append("a sink per head") }
        if let limit = attention.inputLimit { words.append("projections cut off at ± \(limit)") }
        if attention.valueRotation == .present { words.append("values rotated") }
        if attention.valueNorm != nil { words.append("value norms") }
        if let keyValues = Architecture.words(attention.keyValues) { words.append(keyValues) }
        if let cap = attention.scoreCap { words.append("scores capped at \(cap)") }
        return words.joined(separator: ", ") + ", scale \(attention.scale)"
    }

    private static func words(_ reach: Reach) -> String {
        switch reach {
        case .all: "all keys"
        case .past: "past keys"
        case .window(let size): "the last \(size) keys"
        case .chunk(let size): "past keys of its chunk of \(size)"
        case .around(let size): "\(size) keys on either side"
        case .aroundAndSums(let size, let block): "\(size) keys on either side and the sums of every \(block) rows"
        case .aroundAndGlobal(let size, let first):
            "\(size) keys on either side and the global ones, by default the first \(first)"
        }
    }

    private static func words(_ positions: ScorePositions) -> String? {
        switch positions {
        case .none: nil
        case .rotary(let rotary):
            "rotary \(rotary.width) of base \(rotary.base), \(rotary.pairing), scaling \(rotary.scaling)"
        case .linearBias(let order): "linear bias \(order)"
        case .layerBuckets(let count, let farthest): "\(count) buckets of its own up to \(farthest)"
        case .buckets(let count, let farthest): "\(count) buckets up to \(farthest)"
        case .disentangled(let form):
            "disentangled, \(form.terms), \(form.projections) projections, \(form.span) distances"
        }
    }

    private static func words(_ keyValues: KeyValueSource) -> String? {
        switch keyValues {
        case .own: nil
        case .keysAsValues: "values from the projection of keys"
        case .layer(let layer): "keys and values of layer \(layer)"
        }
    }

    private static func words(_ feedForward: FeedForward) -> String {
        switch feedForward {
        case .plain(let hidden, let activation, let bias):
            "\(hidden) \(activation)" + (bias == .present ? ", biases" : "")
        case .gated(let hidden, let activation, let bias):
            "\(hidden) gated \(activation)"
                + (bias == .absent ? "" : bias == .present ? ", biases" : ", a bias of the output")
        case .expandedIntegral(let hidden): "\(hidden) xIELU"
        case .experts(let experts):
            "\(experts.active) of \(experts.count) experts of \(experts.hidden)"
                + (experts.gate == .present ? " gated" : "") + " \(experts.activation)"
                + (experts.limit.map { " cut off at \($0)" } ?? "") + (experts.bias == .present ? " with biases" : "")
                + (experts.ownNorms == nil ? "" : " with norms of their own")
                + ", \(words(experts.routing))"
                + (experts.shared.map {
                    ", and a shared one of \($0.hidden)" + ($0.gate == .present ? "" : " without a gate")
                } ?? "")
        }
    }

    private static func words(_ routing: Routing) -> String {
        var words = ["\(routing.weights)"]
        if routing.scores != .softmax { words.append("\(routing.scores) scores") }
        if routing.correction == .present { words.append("corrected for the choice") }
        if let groups = routing.groups {
            words.append("\(groups.active) of \(groups.count) groups by \(groups.measure)")
        }
        if let capacity = routing.capacity { words.append("at most \(capacity) rows of a sequence for each") }
        if routing.factor != 1 { words.append("× \(routing.factor)") }
        if routing.target == .inputs { words.append("of inputs") }
        return words.joined(separator: ", ")
    }

    private static func words(_ head: Head) -> String {
        switch head {
        case .none: "none"
        case .tokens(let head): words(head)
        case .pooled(let transform): "pooled, \(words(transform))"
        case .nextSentence(let transform): "next sentence, \(words(transform))"
        case .pretraining(let head, let transform): "\(words(head)); next sentence, \(words(transform))"
        case .sequence(let transform, let labels, let row):
            "\(labels) labels of the sequence, from \(words(row))" + (transform.map { ", \(words($0))" } ?? "")
        case .rows(let transform, let labels):
            "\(labels) labels of each row" + (transform.map { ", \(words($0))" } ?? "")
        case .answers(let transform): "start and end of an answer" + (transform.map { ", \(words($0))" } ?? "")
        }
    }

    private static func words(_ row: SequenceRow) -> String {
        switch row {
        case .first: "its first row"
        case .last(nil): "its last row"
        case .last(let token?): "its last row that is not token \(token)"
        case .lastOf(let token): "its last token \(token)"
        case .mean: "the mean of its rows"
        case .meanOfLabels: "the mean over its rows' own"
        }
    }

    private static func words(_ head: TokenHead) -> String {
        "\(head.weights) projection to the vocabulary" + (head.bias == .absent ? "" : ", bias \(head.bias)")
            + (head.scale == 1 ? "" : ", × \(head.scale)") + (head.cap.map { ", capped at \($0)" } ?? "")
            + (head.transform.map { ", \(words($0))" } ?? "")
    }

    private static func words(_ transform: Transform) -> String {
        "after \(transform.width) \(transform.activation)" + (transform.bias == .present ? "" : " without bias")
            + (transform.norm.map { ", \(words($0))" } ?? "")
    }
}
