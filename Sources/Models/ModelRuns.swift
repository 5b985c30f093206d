package import MartletLayers
package import MartletTensors

/// A model cut between its layers into runs, one behind the other: the parts that stages of a pipeline compute. What
/// stands before the first layer of a stack belongs to that layer's run, norms and heads behind the last to its.
///
/// The layers of an encoder-decoder are counted through both stacks, the encoder's first.
package struct ModelRuns: Sendable {
    /// A stack among all of the model.
    private struct Part: Sendable {
        let place: ParameterPlace.Stack
        let form: Architecture.Stack
        /// The number of its first layer among all.
        let first: Int
    }

    private let architecture: Architecture
    private let stacks: [Part]
    private let cuts: [Range<Int>]

    /// The whole model in one run.
    package init(_ architecture: Architecture) {
        self.init(architecture) { [0..<$0] }
    }

    /// - Parameter cut: the runs of so many layers: ascending, none empty, all layers among them.
    package init(_ architecture: Architecture, cut: (_ layers: Int) -> [Range<Int>]) {
        self.architecture = architecture
        var first = 0
        stacks = architecture.stacks.map { role, stack in
            defer { first += stack.layers.count }
            return Part(place: role, form: stack, first: first)
        }
        cuts = cut(ModelRuns.layerCount(architecture))
    }

    /// Layers of all stacks.
    package static func layerCount(_ architecture: Architecture) -> Int { architecture.layers.count }

    /// The reason why layers cannot be cut into runs: something is shared besides the rows handed on; nil: none.
    package static func joins(_ architecture: Architecture) -> String? {
        if architecture.embedding.perLayer != nil { return "each layer reads a part of the per-layer embeddings" }
        guard case .decoder(let stack) = architecture.body else { return nil }
        let isShared = stack.layers.contains { !$0.attention.keepsKeyValues }
        return isShared ? "layers attend to the keys and values of earlier ones" : nil
    }

    package var count: Int { cuts.count }

    /// The layers of stack `index` that run `run` has; empty at the end where it comes before, or behind it.
    func layers(_ run: Int, ofStack index: Int) -> Range<Int> {
        let part = stacks[index]
        let whole = part.first..<part.first + part.form.layers.count
        let own = cuts[run].clamped(to: whole)
        return own.lowerBound - part.first..<own.upperBound - part.first
    }

    /// The run that has layer `layer` of a stack; nil where the model has no such stack.
    package func run(ofLayer layer: Int, in stack: ParameterPlace.Stack) -> Int? {
        stacks.first { $0.place == stack }.map { run(ofLayer: $0.first + layer) }
    }

    private func run(ofLayer layer: Int) -> Int { cuts.firstIndex { $0.contains(layer) } ?? cuts.count - 1 }

    // MARK: - Parameters

    /// The runs that read a parameter, ascending; nil where that is not known.
    package func readers(of entry: ParameterDescription) -> [Int]? {
        if let place = entry.place {
            guard let part = stacks.first(where: { $0.place == place.stack }) else { return nil }
            if let layer = place.layer { return runs(readingLayer: layer, part) }
            return [run(ofLayer: part.first + layer(of: entry, part))]
        }
        let last = cuts.count - 1
        let firsts = stacks.map { run(ofLayer: $0.first) }
        var runs: Set<Int>
        switch entry.name.split(separator: ".").first.map(String.init) {
        case "tokens": runs = Set(architecture.embedding.targetVocabulary == nil ? firsts : [firsts[0]])
        case "targetTokens": runs = Set(firsts.suffix(1))
        case "head", "pooled", "nextSentence", "sequence", "rows", "answers": return [last]
        default: return nil
        }
        let readsTable = entry.name.hasPrefix("targetTokens") || architecture.embedding.targetVocabulary == nil
        if architecture.hasTiedHead, readsTable {
            runs.insert(last)
        }
        return runs.sorted()
    }

    private func runs(readingLayer layer: Int, _ part: Part) -> [Int] {
        let readers = part.form.layers.indices.filter { index in
            var owner = index
            while let next = part.form.layers[owner].sharesParametersOf { owner = next }
            return owner == layer
        }
        return Set(readers.map { run(ofLayer: part.first + $0) }).sorted()
    }

    /// The layer beside which a parameter stands that belongs to the stack as a whole.
    private func layer(of entry: ParameterDescription, _ part: Part) -> Int {
        let name = entry.name.dropFirst(part.place.rawValue.count + 1)
        if name.hasPrefix("outputNorm") { return max(0, part.form.layers.count - 1) }
        guard entry.role == .relativePositions || name.hasPrefix("relative") else { return 0 }
        return part.form.layers.firstIndex { layer in
            switch layer.attention.positions {
            case .buckets, .disentangled: true
            default: false
            }
        } ?? 0
    }
}

extension Architecture {
    /// True where the projection to the vocabulary is the token table.
    package var hasTiedHead: Bool {
        switch head {
        case .tokens(let head), .pretraining(let head, _): head.weights == .tied
        default: false
        }
    }
}

extension Model {
    /// One run of a pass: from what the run before hands on to what the next one needs. The first takes nothing, the
    /// last gives the last hidden states of every row alone.
    ///
    /// - Parameter rows: of the pass, and those of an encoder-decoder's decoder.
    /// - Returns: also the node of an encoder's hidden states where they are made in this run: gradients come to it
    ///   from a whole decoder before they go on.
    package func run(
        _ run: Int, of runs: ModelRuns, _ handed: [Tensor], _ rows: (reading: Rows, writing: Rows), on device: Device
    ) -> (handed: [Tensor], source: GradientNode?) {
        switch self {
        case .decoder(let model):
            return (model.run(runs.layers(run, ofStack: 0), handed, rows.reading, on: device), nil)
        case .encoder(let model):
            return (model.run(runs.layers(run, ofStack: 0), handed, rows.reading, on: device), nil)
        case .encoderDecoder(let model):
            return model.run(
                encoder: runs.layers(run, ofStack: 0), decoder: runs.layers(run, ofStack: 1), handed, rows.reading,
                rows.writing, on: device)
        }
    }

    /// The shapes of what ``run(_:of:_:_:on:)`` hands on behind `run`, which is not the last.
    package func shapes(behind run: Int, of runs: ModelRuns, _ rows: (reading: Rows, writing: Rows)) -> [Shape] {
        switch self {
        case .decoder(let model): model.shapes(before: runs.layers(run, ofStack: 0).upperBound, rows.reading)
        case .encoder(let model): model.shapes(before: runs.layers(run, ofStack: 0).upperBound, rows.reading)
        case .encoderDecoder(let model):
            model.shapes(
                encoder: runs.layers(run, ofStack: 0).upperBound, decoder: runs.layers(run, ofStack: 1).upperBound,
                rows.reading, rows.writing)
        }
    }

    /// The rows that both stacks read, where there are two; an encoder-decoder with nothing to write reads its source
    /// once more.
    package func rows(
        _ reading: Rows, _ writing: Rows?, _ training: TrainingPass?, _ visitor: (any LayerVisitor)? = nil
    ) -> (reading: Rows, writing: Rows) {
        var reading = reading
        (reading.training, reading.visitor) = (training, visitor)
        guard case .encoderDecoder(let model) = self else { return (reading, Rows()) }
        var writing = writing ?? model.rereading(reading)
        (writing.training, writing.visitor) = (training, visitor)
        writing.training?.stack = 1
        return (reading, writing)
    }
}
