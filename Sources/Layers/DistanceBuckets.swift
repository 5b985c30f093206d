import MartletPlatform
import MartletTensors

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

    var heads: Int { table.weight.shape[1] }

    /// Biases for all distances within `longest` positions.
    func callAsFunction(longest: Int, on device: Device) -> DistanceBias {
        let distances = (1 - longest)...(longest - 1)
        let values = table(distances.map { Int32(bucket(of: $0)) }, on: device)
        return DistanceBias(values: values.transposed(on: device), zero: longest - 1)
    }

    private var seesBothWays: Bool {
        switch reach {
        case .all, .around, .aroundAndGlobal, .aroundAndSums: true
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
