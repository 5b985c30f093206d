import MartletTensors
import Testing

/// Products with matrices that are frozen as they are stored, quantized or in half precision: the bits of their decoded
/// numbers, forward and backward.
@Suite struct FrozenProductTests {
    private static let types: [ElementType] = [.q8_0, .q4_0, .q4_1, .q5_1, .q4_K, .q5_K, .q6_K, .bf16, .f16]

    @Test(arguments: types, [ElementType.f32, .bf16])
    func haveTheBitsOfDecodedNumbers(_ type: ElementType, _ operands: ElementType) {
        haveTheBitsOfDecodedNumbers(type, operands, deviation: 0.3)
        haveTheBitsOfDecodedNumbers(type, operands, deviation: 0.003)  // scales of blocks are subnormal in f16
    }

    private func haveTheBitsOfDecodedNumbers(_ type: ElementType, _ operands: ElementType, deviation: Float) {
        let device = Device(threads: 2)
        let (rows, inputs, outputs) = (70, 512, 131)
        let x = device.tensor(Random(seed: 1).normals(rows * inputs, deviation: 1), shape: [rows, inputs])
        let values = Tensor(Random(seed: 2).normals(outputs * inputs, deviation: deviation), shape: [outputs, inputs])
        let frozen = values.converted(to: type, on: device)
        func run(_ weight: Tensor) -> (y: [Float], dx: [Float]) {
            let gradients = Gradients([x.shape], on: device)
            let y = x.tracked(by: GradientNode(leaf: 0, x.shape)).multiplied(byStored: weight, as: operands)
            y.backward(into: gradients, seed: 0.7)
            return (y.values, gradients[0].values)
        }
        let (found, expected) = (run(frozen), run(frozen.decoded(on: device)))
        #expect(found.y.map(\.bitPattern) == expected.y.map(\.bitPattern))
        #expect(found.dx.map(\.bitPattern) == expected.dx.map(\.bitPattern))
        #expect(found.dx.contains { $0 != 0 })
    }

    /// A loss over a projection with a low-rank addend: the same gradients as the chain of operations.
    @Test func lossesReadAddends() {
        let device = Device(threads: 2)
        let shapes: [Shape] = [[5, 12], [33, 12], [33], [3, 12], [33, 3]]
        let inputs = shapes.enumerated().map {
            device.tensor(Random(seed: 5, stream: UInt64($0)).normals($1.elements, deviation: 0.5), shape: $1)
        }
        let targets: [Int32] = [3, 0, 32, 3, 17]
        func gradients(_ loss: ([Tensor], inout GradientFlow) -> Void) -> [[Float]] {
            let gradients = Gradients(shapes, on: device)
            var flow = GradientFlow(into: gradients, on: device)
            loss(inputs.enumerated().map { $1.tracked(by: GradientNode(leaf: $0, $1.shape)) }, &flow)
            return shapes.indices.map { gradients[$0].values }
        }
        func projection(_ inputs: [Tensor]) -> Projection {
            Projection(
                .stored(inputs[1]), bias: inputs[2],
                addends: [LowRankAddend(down: inputs[3], up: inputs[4], scale: 1.5)])
        }
        let fused = gradients { inputs, flow in
            let (_, root) = flow.crossEntropy(inputs[0], LogitProjection(projection(inputs)), targets, LossForm())
            if let root { flow.run(from: [root]) }
        }
        let chained = gradients { inputs, flow in
            let logits = projection(inputs)(inputs[0])
            let gradient = logits.untracked * 1
            _ = gradient.crossEntropy(targets, LossForm(), gradientFactor: 1)
            flow.add(gradient, to: logits.node)
            if let node = logits.node { flow.run(from: [node]) }
        }
        for (a, b) in zip(fused, chained) {
            #expect(zip(a, b).allSatisfy { abs($0 - $1) < 1e-6 } && a.contains { abs($0) > 1e-3 })
        }
    }
}
