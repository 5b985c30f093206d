import Foundation
import MartletTensors
import Testing

/// An operation with a gradient, under one of its settings, and the shapes of what it is tried on.
struct GradientCase: Sendable, CustomTestStringConvertible {
    /// As its function is called.
    let operation: String
    let setting: String
    let shapes: [Shape]
    /// The terms of a loss, in f64. Where inputs are tracked, the gradients of its sum go into the flow.
    let loss: @Sendable (_ inputs: [Tensor], _ flow: inout GradientFlow) -> [Double]

    var testDescription: String { setting.isEmpty ? operation : "\(operation), \(setting)" }

    init(
        ending operation: String, _ setting: String, _ shapes: [Shape],
        loss: @escaping @Sendable ([Tensor], inout GradientFlow) -> [Double]
    ) {
        (self.operation, self.setting, self.shapes, self.loss) = (operation, setting, shapes, loss)
    }

    /// The loss is the sum of the result's elements, each times a weight of its own, and of `extra`.
    init(
        _ operation: String, _ setting: String, _ shapes: [Shape],
        extra: @escaping @Sendable ([Tensor]) -> Double = { _ in 0 }, result: @escaping @Sendable ([Tensor]) -> Tensor
    ) {
        self.init(ending: operation, setting, shapes) { inputs, flow in
            let y = result(inputs)
            let weights = flow.device.tensor(Random(seed: 99).normals(y.shape.elements, deviation: 1), shape: y.shape)
            if let node = y.node {
                flow.add(weights, to: node)
                flow.run(from: [node])
            }
            return zip(y.values, weights.values).map { Double($0) * Double($1) } + [extra(inputs)]
        }
    }

    /// Normal numbers, none within 0.1 of zero, where some functions have a kink.
    func inputs(on device: Device) -> [Tensor] {
        shapes.enumerated().map { index, shape in
            let values = Random(seed: 7, stream: UInt64(index)).normals(shape.elements, deviation: 0.7)
            return device.tensor(values.map { $0 + ($0 < 0 ? -0.1 : 0.1) }, shape: shape)
        }
    }
}

extension GradientCase {
    static let all = [elementwise, activations, rowwise, tables, products, mixtures, losses, attentions].flatMap { $0 }

    private static let elementwise: [GradientCase] =
        [
            GradientCase("+", "", [[3, 5], [3, 5]]) { $0[0] + $0[1] },
            GradientCase("*", "", [[3, 5], [3, 5]]) { $0[0] * $0[1] },
            GradientCase("*", "a factor", [[3, 5]]) { $0[0] * 1.7 },
            GradientCase("*", "with itself", [[3, 5]]) { $0[0] * $0[0] },
            GradientCase("clamped", "", [[3, 17]]) { $0[0].clamped(0 ... .infinity, adding: 2) },
            GradientCase("expandedIntegral", "", [[3, 17], [1], [1]]) {
                $0[0].expandedIntegral(positive: $0[1], negative: $0[2])
            },
            GradientCase("withinHeads", "", [[3, 14], [3, 1]]) {
                let parts = $0[0].withinHeads(2, keys: 3, shared: $0[1])
                return parts.keys + parts.values
            },
            GradientCase("softCapped", "", [[3, 17]]) { $0[0].softCapped(1.5) },
            GradientCase("dropped", "", [[9, 31]]) { $0[0].dropped(Dropout(share: 0.4, seed: 3, stream: 8)) },
            GradientCase("recomputed", "", [[4, 6], [5, 6]]) { inputs in
                let (x, weight) = (inputs[0], inputs[1])
                return Tensor.recomputed(from: [x]) {
                    x.activated(.gelu).multiplied(byStored: weight).dropped(Dropout(share: 0.2, seed: 3, stream: 8))
                }
            },
        ]

    private static let activations = Activation.allCases.flatMap { f -> [GradientCase] in
        [
            GradientCase("activated", f.rawValue, [[3, 19]]) { $0[0].activated(f) },
            GradientCase("gating", f.rawValue, [[3, 19], [3, 19]]) { $0[0].gating($0[1], f) },
        ]
    }

    private static let rowwise: [GradientCase] = [
        GradientCase("softmax", "", [[4, 21]]) { $0[0].softmax() },
        GradientCase("rmsNorm", "", [[4, 21], [21]]) { $0[0].rmsNorm(weight: $0[1], weightOffset: 0, epsilon: 1e-5) },
        GradientCase("rmsNorm", "weights from 1 on, of heads", [[2, 3, 10], [10]]) {
            $0[0].rmsNorm(weight: $0[1], weightOffset: 1, epsilon: 0.1)
        },
        GradientCase("layerNorm", "", [[4, 21], [21], [21]]) {
            $0[0].layerNorm(weight: $0[1], bias: $0[2], epsilon: 1e-5)
        },
        GradientCase("layerNorm", "without weights", [[4, 21]]) {
            $0[0].layerNorm(weight: nil, bias: nil, epsilon: 0.1)
        },
        GradientCase("adding", "a row to each", [[4, 21], [21]]) { $0[0].adding(toEachRow: $0[1]) },
        GradientCase("scaled", "to the magnitude of another", [[4, 9], [4, 9]]) {
            $0[0].scaled(toMagnitudeOf: $0[1], floor: 1e-5)
        },
        GradientCase("sparsified", "", [[2, 7]]) { $0[0].sparsified(deviations: 0.4) },
        GradientCase("joined", "columns", [[4, 3], [4, 3]]) { .joined(columnsOf: $0) },
        GradientCase("scaled", "by heads", [[4, 2, 9], [9], [9]]) { $0[0].scaled(byHead: [$0[1], $0[2]]) },
        GradientCase("scaled", "by rows", [[4, 9], [4, 1]]) { $0[0].scaled(byRow: $0[1]) },
        GradientCase("rotated", "halves", [[5, 2, 8]]) { $0[0].rotated(by: angles(5, 4), neighbours: false) },
        GradientCase("rotated", "neighbours", [[5, 2, 8]]) { $0[0].rotated(by: angles(5, 4), neighbours: true) },
        GradientCase("rotated", "part of a head", [[5, 2, 10]]) { $0[0].rotated(by: angles(5, 3), neighbours: false) },
    ]

    private static func angles(_ rows: Int, _ pairs: Int) -> RotationTable {
        let angles = Random(seed: 4).normals(rows * pairs, deviation: 2).map { Double($0) }
        let device = Device(threads: 1)
        return RotationTable(
            cosines: device.tensor(angles.map { Float(cos($0)) }, shape: [rows, pairs]),
            sines: device.tensor(angles.map { Float(sin($0)) }, shape: [rows, pairs]))
    }

    private static let tables: [GradientCase] = [
        GradientCase("lookup", "", [[6, 5]]) {
            $0[0].lookup([3, 0, 3, 5, 3], scale: 2.5, on: $0[0].device(for: "test"))
        },
        GradientCase("selecting", "rows", [[6, 5]]) { $0[0].selecting(rows: [4, 4, 0, 2]) },
        GradientCase("selecting", "rows of heads", [[6, 2, 5]]) {
            $0[0].reshaped([6, 10]).selecting(rows: [4, 4, 0, 2])
        },
        GradientCase("selecting", "columns", [[6, 5]]) { $0[0].selecting(columns: 1..<4) },
        GradientCase("selecting", "columns of heads", [[6, 2, 5]]) {
            $0[0].reshaped([6, 10]).selecting(columns: 3..<8)
        },
        GradientCase("replacing", "", [[6, 2, 3], [2, 2, 3]]) { $0[0].replacing(rows: [1, 4], with: $0[1]) },
        GradientCase("rows", "", [[6, 5]]) { $0[0].rows(2..<5) },
        GradientCase("averaged", "", [[7, 5]]) { $0[0].averaged(over: [0..<3, 2..<4, 6..<7]) },
        GradientCase("transposed", "", [[6, 5]]) { $0[0].transposed(on: $0[0].device(for: "test")) },
        GradientCase("neighbours", "", [[9, 4]]) { $0[0].neighbours(3, within: [0..<4, 4..<5, 5..<9]) },
        GradientCase("relativeScores", "", [[5, 7], [5, 7], [5, 7], [5, 7]]) {
            Tensor.relativeScores(byRow: [$0[0], $0[1]], byKey: [$0[2], $0[3]], scale: 0.6) { min(max($0, -3), 3) + 3 }
        },
        GradientCase("relativeScores", "of keys alone", [[5, 7]]) {
            Tensor.relativeScores(byRow: [], byKey: [$0[0]], scale: 0.6) { min(max($0, -3), 3) + 3 }
        },
    ]

    private static let products: [GradientCase] = [
        GradientCase("multiplied", "", [[7, 19], [70, 19], [70]]) { $0[0].multiplied(byStored: $0[1], bias: $0[2]) },
        GradientCase("multiplied", "without a bias", [[1, 3], [5, 3]]) { $0[0].multiplied(byStored: $0[1]) },
        GradientCase("multiplied", "one weight twice", [[4, 6], [6, 6]]) {
            $0[0].multiplied(byStored: $0[1]).multiplied(byStored: $0[1])
        },
    ]

    /// Six rows, three experts, two for each row; the last expert has one row, and a fourth none.
    private static let chosen = [[0, 1, 2, 4, 5], [0, 1, 2, 3, 4, 5], [3], []]

    private static func routes(_ probabilities: Tensor, renormalised: Bool) -> [ExpertRoute] {
        let (values, count) = (probabilities.values, chosen.count)
        return chosen.enumerated().map { expert, rows in
            var route = ExpertRoute()
            for row in rows {
                let total = chosen.indices.filter { chosen[$0].contains(row) }.reduce(0) {
                    $0 + values[row * count + $1]
                }
                route.rows.append(row)
                route.weights.append(values[row * count + expert] / (renormalised ? total : 1))
            }
            return route
        }
    }

    private static let mixtures = [mixture(renormalised: false), mixture(renormalised: true), balanced]

    private static func mixture(renormalised: Bool) -> GradientCase {
        let shapes: [Shape] = [[6, 3], [5, 3], [6, 3], [1, 3], [6, 4]]
        return GradientCase("mixture", renormalised ? "renormalised" : "as they are", shapes) { inputs in
            let probabilities = inputs[4].softmax()
            return Tensor.mixture(
                onto: inputs[0], .each([inputs[1], inputs[2], inputs[3], nil]),
                routes(probabilities, renormalised: renormalised), probabilities: probabilities,
                renormalised: renormalised)
        }
    }

    /// coefficient · experts · Σ (share of choices) · (mean probability) · rows, beside the result itself.
    private static let balanced = GradientCase("balanced", "", [[6, 4]], extra: balanceLoss) { inputs in
        inputs[0].balanced(routes(inputs[0], renormalised: false), coefficient: 0.3)
    }

    private static func balanceLoss(_ inputs: [Tensor]) -> Double {
        let values = inputs[0].values
        return chosen.indices.reduce(0.0) { sum, expert in
            let total = (0..<6).reduce(0.0) { $0 + Double(values[$1 * 4 + expert]) }
            return sum + 0.3 * 4 * Double(chosen[expert].count) / 6 * total
        }
    }

    private static let losses: [GradientCase] = [
        loss("", LossForm()), loss("smoothed", LossForm(smoothing: 0.2)),
        loss("smoothed, with z", LossForm(smoothing: 0.1, zWeight: 0.05)),
        loss("of scaled and capped logits", LossForm(smoothing: 0.1), scale: 0.6, cap: 2),
    ]

    /// Rows, weight, bias and constant; two rows without a target.
    private static func loss(_ setting: String, _ form: LossForm, scale: Float = 1, cap: Float? = nil) -> GradientCase {
        GradientCase(ending: "crossEntropy", setting, [[7, 12], [33, 12], [33], [33]]) { inputs, flow in
            let projection = LogitProjection(
                Projection(.stored(inputs[1]), bias: inputs[2]), scale: scale, constant: inputs[3], cap: cap)
            let targets: [Int32] = [3, -1, 0, 32, 3, -1, 17]
            guard inputs.contains(where: { $0.node != nil }) else {
                return [inputs[0].crossEntropy(projection, targets, form).loss]
            }
            let (sums, root) = flow.crossEntropy(inputs[0], projection, targets, form)
            if let root { flow.run(from: [root]) }
            return [sums.loss]
        }
    }
}
