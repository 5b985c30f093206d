import MartletDistributed
import MartletLayers
import MartletModels
import MartletTensors

/// The traffic of a pass whose matrices ranks divide: the bytes that a rank sends for activations and their gradients.
///
/// A matrix `[outputs, inputs]` takes a gather of each rank's outputs and one of its inputs for every row that it
/// meets: one forwards and one backwards, or both of one way where what lies between two products is divided too.
///
/// Counts models all of whose parameters learn, in f32.
struct MatrixTraffic {
    private let parameters: TrainableParameters
    private let architecture: Architecture
    private let team: MatrixTeam
    /// True where a backward pass computes layers once more.
    private let isRecomputed: Bool
    /// The cut into stages, of which this rank is one; nil where it has all layers.
    private let stage: (cut: PipelineCut, number: Int)?
    /// The parts that experts are divided into, each a lane's.
    private let expertParts: Int

    init(
        _ parameters: TrainableParameters, _ architecture: Architecture, _ team: MatrixTeam, isRecomputed: Bool,
        stage: (cut: PipelineCut, number: Int)?, expertParts: Int
    ) {
        (self.parameters, self.architecture, self.team) = (parameters, architecture, team)
        (self.isRecomputed, self.stage, self.expertParts) = (isRecomputed, stage, expertParts)
    }

    private func hasLayer(_ layer: Int, of stack: ParameterPlace.Stack) -> Bool {
        stage.map { $0.cut.hasLayer(layer, of: stack, stage: $0.number) } ?? true
    }
    private var hasHead: Bool { stage.map { $0.number == $0.cut.mesh.stages - 1 } ?? true }

    /// The bytes of one pass over `batch`.
    func bytes(_ batch: Batch) -> Int {
        var (bytes, routed) = (0, [Int: Int]())
        for (index, entry) in parameters.entries.enumerated() where parameters.division(index) != nil {
            let (outputs, inputs) = (sent(entry.shape[0]), sent(entry.shape[1]))
            let each = outputs + inputs + again(entry, outputs: outputs, inputs: inputs)
            switch entry.use {
            case .lookedUp:
                bytes += inputs * lookups(entry, batch)
                if hasHead, isHead(entry) { bytes += (outputs + inputs) * targets(batch) }
            case .multiplied where entry.role == .head && entry.place == nil:
                bytes += (outputs + inputs) * targets(batch)
            case .multiplied(let kind): bytes += each * rows(kind, entry, batch) * readers(entry)
            case .routed(let active, let count):
                routed[count, default: 0] += each * rows(.own, entry, batch) * active * readers(entry)
            case .elementwise: break
            }
        }
        // Of experts that lanes divide, one part is here, which stands for all.
        return bytes + routed.reduce(0) { $0 + $1.value * expertParts / $1.key } + distances(batch)
    }

    /// The bytes that so many rows more take at the experts that are here, which are all alike.
    func bytes(ofRoutedRows rows: Int) -> Int {
        let experts = parameters.entries.indices.filter {
            parameters.entries[$0].expert != nil && parameters.division($0) != nil
        }
        guard let first = experts.first.map({ parameters.entries[$0] }) else { return 0 }
        return experts.map { parameters.entries[$0] }.reduce(0) { sum, entry in
            guard entry.place == first.place, entry.expert == first.expert else { return sum }
            let (outputs, inputs) = (sent(entry.shape[0]), sent(entry.shape[1]))
            return sum + rows * (outputs + inputs + again(entry, outputs: outputs, inputs: inputs))
        }
    }

    /// The bytes that a rank sends of a row of `width` to all others.
    private func sent(_ width: Int) -> Int { 4 * team.part(of: width).count * (team.count - 1) }

    // MARK: - Rows

    private func rows(_ kind: ParameterUse.Rows, _ entry: Inventory.Entry, _ batch: Batch) -> Int {
        let own = entry.place?.stack == .decoder ? batch.decoderRows ?? batch.rows : batch.rows
        return switch kind {
        case .own: own.count
        case .source: batch.rows.count
        case .perSequence: own.sequences.count
        case .fixed(let count): count * own.sequences.count
        }
    }

    private func targets(_ batch: Batch) -> Int { batch.targets.reduce(0) { $0 + ($1 >= 0 ? 1 : 0) } }

    private func lookups(_ entry: Inventory.Entry, _ batch: Batch) -> Int {
        let decoder = hasLayer(0, of: .decoder) ? batch.decoderRows?.count ?? 0 : 0
        if entry.name.hasPrefix("targetTokens") { return decoder }
        let first = layers(.encoder).isEmpty ? ParameterPlace.Stack.decoder : .encoder
        let own = hasLayer(0, of: first) ? batch.rows.count : 0
        return own + (architecture.embedding.targetVocabulary == nil ? decoder : 0)
    }

    /// Returns whether a token table is what logits are made by too.
    private func isHead(_ entry: Inventory.Entry) -> Bool {
        guard architecture.embedding.targetVocabulary == nil || entry.name.hasPrefix("targetTokens") else {
            return false
        }
        return switch architecture.head {
        case .tokens(let head), .pretraining(let head, _): head.weights == .tied
        default: false
        }
    }

    // MARK: - Layers

    private func layers(_ stack: ParameterPlace.Stack) -> [Architecture.Layer] {
        switch (architecture.body, stack) {
        case (.decoder(let found), .decoder), (.encoder(let found), .encoder),
            (.encoderDecoder(let found, _), .encoder),
            (.encoderDecoder(_, let found), .decoder):
            found.layers
        default: []
        }
    }

    /// The number of layers that read a parameter of one of them.
    private func readers(_ entry: Inventory.Entry) -> Int {
        guard let place = entry.place, let layer = place.layer else { return 1 }
        let layers = layers(place.stack)
        return layers.indices.filter { index in
            var owner = index
            while let next = layers[owner].sharesParametersOf { owner = next }
            return owner == layer && hasLayer(index, of: place.stack)
        }.count
    }

    /// The bytes that a layer's forward pass sends for a row of a matrix, where it runs twice.
    private func again(_ entry: Inventory.Entry, outputs: Int, inputs: Int) -> Int {
        guard isRecomputed, let place = entry.place, let layer = place.layer else { return 0 }
        let form = layers(place.stack)[layer]
        let isBetween: Bool
        switch entry.role {
        case .query, .key, .value, .output:
            let isAcross = entry.name.utf8.split(separator: 46).contains { $0.elementsEqual("crossAttention".utf8) }
            let attention = isAcross ? form.crossAttention ?? form.attention : form.attention
            isBetween = attention.headsAreDivided(among: team.count)
        default:
            isBetween =
                switch form.feedForward {
                case .plain, .gated: true
                case .expandedIntegral: false
                case .experts(let experts): experts.limit == nil
                }
        }
        guard isBetween else { return outputs }
        return entry.role == .output || entry.role == .down ? outputs + inputs : 0
    }

    /// The gradients of relative positions that each head has numbers of its own for.
    private func distances(_ batch: Batch) -> Int {
        [ParameterPlace.Stack.encoder, .decoder].reduce(0) { sum, stack in
            let rows = stack == .decoder ? batch.decoderRows ?? batch.rows : batch.rows
            let longest = rows.sequences.reduce(1) { max($0, $1.start + $1.rows.count) }
            return layers(stack).enumerated().reduce(sum) { sum, layer in
                let attention = layer.element.attention
                guard hasLayer(layer.offset, of: stack), attention.headsAreDivided(among: team.count) else {
                    return sum
                }
                switch attention.positions {
                case .buckets, .layerBuckets: return sum + sent(attention.queryHeads * (2 * longest - 1))
                default: return sum
                }
            }
        }
    }
}
