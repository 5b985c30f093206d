import MartletPlatform
package import MartletTensors

/// What positions do to the attention of one layer in one pass.
package enum PassPositions: Sendable {
    case none
    /// The angles of each row; whether pairs are neighbours.
    case rotation(RotationTable, neighbours: Bool)
    case distances(DistanceBias)
    /// The table of relative positions, `[2 · span, width]`.
    case relative(Tensor)
}

extension Architecture.ScorePositions {
    /// Whether every layer has parameters of its own for them.
    fileprivate var isOfOneLayer: Bool { if case .layerBuckets = self { true } else { false } }
}

/// The score positions of a stack: what its layers share, made once per pass.
package struct StackPositions: Sendable {
    enum Kind: Sendable {
        case none
        case rotary(RotaryFrequencies, neighbours: Bool)
        case buckets(DistanceBuckets)
        case relative(TokenTable, NormLayer?)
    }

    let kinds: [Kind]
    let kindOfLayer: [Int]

    package init(_ layers: [Architecture.Layer], width: Int, _ scope: Scope) {
        var forms: [Architecture.ScorePositions] = []
        var kinds: [Kind] = []
        kindOfLayer = layers.enumerated().map { index, layer in
            let form = layer.attention.positions
            if let known = forms.firstIndex(of: form), !form.isOfOneLayer { return known }
            forms.append(form)
            switch form {
            case .none, .linearBias: kinds.append(.none)
            case .rotary(let rotary):
                kinds.append(.rotary(RotaryFrequencies(rotary), neighbours: rotary.pairing == .neighbours))
            case .buckets(let count, let farthest):
                kinds.append(
                    .buckets(DistanceBuckets(count, farthest: farthest, layer.attention, scope["distances"])))
            case .layerBuckets(let count, let farthest):
                kinds.append(
                    .buckets(
                        DistanceBuckets(
                            count, farthest: farthest, layer.attention, scope.layer(index)["distances"])))
            case .disentangled(let form):
                kinds.append(
                    .relative(
                        TokenTable(2 * form.span, width, .relativePositions, scope["relative"]),
                        form.norm.map { NormLayer($0, width: width, scope["relative"]["norm"]) }))
            }
            return forms.count - 1
        }
        self.kinds = kinds
    }

    /// For each layer of the stack, what positions do there.
    package func callAsFunction(_ rows: Rows, on device: Device) -> [PassPositions] {
        let made = kinds.map { kind -> PassPositions in
            switch kind {
            case .none: return .none
            case .rotary(let frequencies, let neighbours):
                let table = frequencies.table(positions: rows.positions, extents: rows.extents, on: device)
                return .rotation(table, neighbours: neighbours)
            case .buckets(let buckets): return .distances(buckets(rows, on: device))
            case .relative(let table, let norm):
                let count = table.weight.shape[0]
                let positions = table((0..<count).map { Int32($0) }, on: device)
                return .relative(norm?(positions) ?? positions)
            }
        }
        return kindOfLayer.map { made[$0] }
    }
}

/// T5's relative positions (arXiv:1910.10683): a learned number per head and bucket of the distance from query to key.
///
/// Half of the buckets hold one distance each, the others ranges that widen logarithmically up to `farthest`. Where all
/// keys are visible, one half of all is for keys after the query. The logarithms are rounded to f32 as the reference
/// rounds them.
package struct DistanceBuckets: Sendable {
    private let table: TokenTable
    private let count: Int
    private let farthest: Int
    private let reach: Architecture.Reach

    init(_ count: Int, farthest: Int, _ form: Architecture.Attention, _ scope: Scope) {
        (self.count, self.farthest, reach) = (count, farthest, form.reach)
        table = TokenTable(count, form.queryHeads, .relativePositions, scope)
    }

    /// Biases for all distances within the sequences of a pass.
    func callAsFunction(_ rows: Rows, on device: Device) -> DistanceBias {
        self(longest: rows.sequences.reduce(1) { max($0, $1.start + $1.rows.count) }, on: device)
    }

    /// Biases for all distances within `longest` positions.
    func callAsFunction(longest: Int, on device: Device) -> DistanceBias {
        let distances = (1 - longest)...(longest - 1)
        let values = table(distances.map { Int32(bucket(of: $0)) }, on: device)
        return DistanceBias(values: values.transposed(on: device), zero: longest - 1)
    }

    private var seesBothWays: Bool {
        switch reach {
        case .all, .around, .aroundAndGlobal: true
        case .past, .window, .chunk: false
        }
    }

    /// The bucket of a key `distance` after the query.
    package func bucket(of distance: Int) -> Int {
        let both = seesBothWays
        let buckets = both ? count / 2 : count
        let offset = both && distance > 0 ? buckets : 0
        let away = both ? abs(distance) : max(0, -distance)
        let exact = buckets / 2
        guard away >= exact else { return offset + away }
        let scale = Float(log(Double(farthest) / Double(exact)))
        let further = logf(Float(away) / Float(exact)) / scale * Float(buckets - exact)
        return offset + min(buckets - 1, exact + Int(further))
    }
}
