package import MartletTensors

extension Architecture.ScorePositions {
    /// True where every layer has parameters of its own for them.
    fileprivate var isOfOneLayer: Bool { if case .layerBuckets = self { true } else { false } }
}

/// The score positions of a stack: what its layers share, made once per pass.
package struct StackPositions: Sendable {
    /// The kind of score positions, with what the layers of a stack share of them.
    enum Kind: Sendable {
        case none
        case rotary(RotaryFrequencies, neighbours: Bool)
        case buckets(DistanceBuckets)
        /// ALiBi on both sides, a slope per head.
        case slopes([Float])
        case bucketsAndSums(DistanceBuckets, DistanceBuckets, size: Int)
        case relative(TokenTable, NormLayer?)
    }

    let kinds: [Kind]
    /// For each layer the number of its kind.
    package let kindOfLayer: [Int]

    package init(_ layers: [Architecture.Layer], width: Int, _ scope: Scope) {
        var forms: [Architecture.ScorePositions] = []
        var kinds: [Kind] = []
        kindOfLayer = layers.enumerated().map { index, layer in
            let form = layer.attention.positions
            if let known = forms.firstIndex(of: form), !form.isOfOneLayer { return known }
            forms.append(form)
            switch form {
            case .linearBias(.bothWays):
                kinds.append(.slopes(Architecture.Attention.slopes(heads: layer.attention.queryHeads)))
            case .none, .linearBias: kinds.append(.none)
            case .rotary(let rotary):
                kinds.append(.rotary(RotaryFrequencies(rotary), neighbours: rotary.pairing == .neighbours))
            case .buckets(let count, let farthest):
                let own = DistanceBuckets(count, farthest: farthest, layer.attention, scope["distances"])
                guard case .aroundAndSums(_, let size) = layer.attention.reach else {
                    kinds.append(.buckets(own))
                    break
                }
                let sums = DistanceBuckets(count, farthest: farthest, layer.attention, scope["distancesOfSums"])
                kinds.append(.bucketsAndSums(own, sums, size: size))
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

    /// The position encoding of each layer of the stack in one pass.
    package func callAsFunction(_ rows: Rows, on device: Device) -> [PassPositions] {
        let made = made(rows, for: kindOfLayer.indices, on: device)
        return kindOfLayer.map { made[$0] }
    }

    /// For each kind what it is in `layers`; nothing for kinds that do not occur there.
    ///
    /// - Parameter handed: of kinds that earlier layers have made, what gradients flow to.
    package func made(
        _ rows: Rows, for layers: Range<Int>, handed: [Int: Tensor] = [:], on device: Device
    ) -> [PassPositions] {
        let wanted = Set(kindOfLayer[layers])
        return kinds.enumerated().map { index, kind -> PassPositions in
            let handed = handed[index]
            guard handed != nil || wanted.contains(index) else { return .none }
            switch kind {
            case .none: return .none
            case .rotary(let frequencies, let neighbours):
                let table = frequencies.table(positions: rows.positions, extents: rows.extents, on: device)
                return .rotation(table, neighbours: neighbours)
            case .buckets(let buckets):
                let longest = rows.longest
                return .distances(
                    handed.map { DistanceBias(values: $0, zero: longest - 1) } ?? buckets(longest: longest, on: device))
            case .slopes(let slopes): return .distances(DistanceBias(slopes: slopes, longest: rows.longest, on: device))
            case .bucketsAndSums(let own, let sums, let size):
                let longest = rows.longest
                return .distancesAndSums(
                    own(longest: longest, on: device), sums(longest: max(1, longest / size), on: device))
            case .relative(let table, let norm):
                if let handed { return .relative(handed) }
                let count = table.weight.shape[0]
                let positions = table((0..<count).map { Int32($0) }, on: device)
                return .relative(norm?(positions) ?? positions)
            }
        }
    }

    /// The kinds that gradients flow to and that layers on both sides of the front of `layer` share, ascending.
    package func kinds(sharedAcross layer: Int) -> [Int] {
        kinds.indices.filter { index in
            switch kinds[index] {
            case .none, .rotary, .slopes, .bucketsAndSums: false
            case .buckets, .relative:
                kindOfLayer[..<layer].contains(index) && kindOfLayer[layer...].contains(index)
            }
        }
    }

    /// The shape of what gradients flow to in a kind of positions; nil where there is no such thing.
    package func shape(of kind: Int, _ rows: Rows) -> Shape? {
        switch kinds[kind] {
        case .none, .rotary, .slopes, .bucketsAndSums: nil
        case .buckets(let buckets): [buckets.heads, 2 * rows.longest - 1]
        case .relative(let table, _): table.weight.shape
        }
    }
}

extension Rows {
    /// The most positions that a sequence reaches.
    fileprivate var longest: Int { sequences.reduce(1) { max($0, $1.start + $1.rows.count) } }
}

extension DistanceBias {
    /// ALiBi on both sides: − slope · distance for all distances within `longest` positions.
    fileprivate init(slopes: [Float], longest: Int, on device: Device) {
        let distances = (1 - longest)...(longest - 1)
        let values = slopes.flatMap { slope in distances.map { -slope * Float(abs($0)) } }
        self.init(values: device.tensor(values, shape: [slopes.count, distances.count]), zero: longest - 1)
    }
}
