import Foundation
import MartletTensors
import TestSupport
import Testing

/// Every operation's gradient against central differences of the operation itself.
///
/// Operations compute in f32; differences of their results are summed in f64. With a step of 1/32 and five points the
/// error of the difference is about 1e-6 of the result, so gradients must agree within 2e-4 of the largest.
@Suite struct GradientTests {
    private static let step: Float = 1 / 32
    private static let tolerance: Float = 2e-4
    /// Elements of an input that are tried, evenly spread where it has more.
    private static let most = 64

    @Test(arguments: GradientCase.all)
    func equalsDifferences(_ item: GradientCase) {
        let device = Device(threads: 2)
        let inputs = item.inputs(on: device)
        let gradients = Gradients(item.shapes, on: device)
        var flow = GradientFlow(into: gradients, on: device)
        let tracked = inputs.enumerated().map { $1.tracked(by: GradientNode(leaf: $0, $1.shape)) }
        _ = item.loss(tracked, &flow)
        for (index, input) in inputs.enumerated() {
            let (count, found) = (input.shape.elements, gradients[index].values)
            let places = Array(stride(from: 0, to: count, by: max(1, count / Self.most)))
            let expected = places.map { slope(item, inputs, input, at: $0, &flow) }
            let largest = expected.reduce(0) { max($0, abs($1)) }
            #expect(largest > 0.01, "input \(index) changes nothing")
            let comparison = Comparison(places.map { found[$0] }, expected, absolute: largest * Self.tolerance)
            #expect(comparison.withinTolerance, "input \(index): \(comparison), the largest being \(largest)")
        }
    }

    /// (8 (f(h) − f(−h)) − (f(2h) − f(−2h))) / 12 h in one element.
    private func slope(
        _ item: GradientCase, _ inputs: [Tensor], _ input: Tensor, at place: Int, _ flow: inout GradientFlow
    ) -> Float {
        let original = input.values[place]
        func change(_ offset: Float, _ flow: inout GradientFlow) -> Double {
            unsafe input.mutableFloats[place] = original + offset
            let above = item.loss(inputs, &flow)
            unsafe input.mutableFloats[place] = original - offset
            let below = item.loss(inputs, &flow)
            unsafe input.mutableFloats[place] = original
            return zip(above, below).reduce(0) { $0 + ($1.0 - $1.1) }
        }
        let (near, far) = (change(Self.step, &flow), change(2 * Self.step, &flow))
        return Float((8 * near - far) / Double(12 * Self.step))
    }

    /// No operation that records a gradient is left out above.
    @Test func everyOperationIsTried() throws {
        let sources = Fixtures.folder + "/../../Sources"
        let files = try #require(FileManager.default.enumerator(atPath: sources)).compactMap { $0 as? String }
            .filter { $0.hasSuffix(".swift") && !$0.hasPrefix("Tensors/Gradients/") }
        // The end of a pass records nothing: the flow begins there.
        var operations: Set<String> = ["crossEntropy"]
        for file in files {
            var function = ""
            for line in Fixtures.lines(sources + "/" + file) {
                if let name = line.firstMatch(of: /func ([^\s(<]+)/)?.1 { function = String(name) }
                if line.contains("recorded([") || line.contains(".recorded(") || line.contains("= GradientNode(") {
                    operations.insert(function)
                }
            }
        }
        // Rounding to bf16 and back passes gradients as they are, though its differences are steps.
        operations.remove("passing")
        // Where gradients of several passes meet: tried by the losses of training.
        operations.remove("accumulate")
        // Where a run of a pipeline begins: tried by the bytes of one rank.
        operations.remove("forward")
        // What ranks that divide matrices do among themselves: tried by the bits of the whole.
        operations.subtract(["ownColumns", "masked"])
        // What ranks that divide rows hand to each other: tried by the bytes of one rank.
        operations.subtract(["byHeads", "byRows", "wholeRows"])
        // What passes through experts that ranks divide: tried by the bytes of one rank.
        operations.subtract(["results", "throughExperts"])
        #expect(operations == Set(GradientCase.all.map(\.operation)))
    }
}
