import MartletDistributed
import MartletTensors
import Testing

/// Products with matrices that ranks divide, on ranks of any number and shapes that they do not divide evenly: the bits
/// of the whole matrix, forwards and backwards.
@Suite struct DividedMatrixTests {
    private final class Team: MatrixRanks, @unchecked Sendable {
        private let communicator: any Communicator

        init(_ communicator: any Communicator) { self.communicator = communicator }

        var rank: Int { communicator.rank }
        var count: Int { communicator.size }

        func exchange(
            _ sent: UnsafeRawBufferPointer, to target: Int, _ received: UnsafeMutableRawBufferPointer, from origin: Int
        ) {
            do {
                try unsafe communicator.exchange(sent, to: target, received, from: origin, .activations)
            } catch {
                Issue.record(error)
            }
        }
    }

    private static let shapes = [[3, 5, 7], [1, 3, 3], [70, 33, 130]]

    private func numbers(_ shape: Shape, _ stream: UInt64, on device: Device) -> Tensor {
        device.tensor(Random(seed: 7, stream: stream).normals(shape.elements, deviation: 1), shape: shape)
    }

    /// The product's result, and the gradients of x, weight and bias, of the sum of its products with fixed numbers.
    private func results(
        _ shape: [Int], _ operands: ElementType, _ team: Team?, _ side: DividedMatrix.Side, on device: Device
    ) -> [[Float]] {
        let (rows, inputs, outputs) = (shape[0], shape[1], shape[2])
        let (x, weight) = (numbers([rows, inputs], 1, on: device), numbers([outputs, inputs], 2, on: device))
        let bias = numbers([outputs], 3, on: device)
        let gradients = Gradients([x.shape, weight.shape, bias.shape], on: device)
        let tracked = x.tracked(by: GradientNode(leaf: 0, x.shape))
        let leaf = weight.tracked(by: GradientNode(leaf: 1, weight.shape))
        let addend = bias.tracked(by: GradientNode(leaf: 2, bias.shape))
        let slopes = numbers([rows, outputs], 4, on: device)
        var flow = GradientFlow(into: gradients, on: device)
        guard let team else {
            let y = tracked.multiplied(byStored: leaf, bias: addend, as: operands)
            flow.add(slopes, to: y.node)
            flow.run(from: [y.node].compactMap(\.self))
            return [y.values] + (0..<3).map { gradients[$0].values }
        }
        let columns = weight.columns(team.part(of: inputs), on: device)
        let matrix = DividedMatrix(weight: leaf, columns: columns, ranks: team)
        let own = side == .inputs ? tracked.ownColumns(of: team) : tracked
        let y = own.multiplied(by: matrix, dividing: side, bias: addend, as: operands)
        let part = team.part(of: outputs)
        flow.add(side == .outputs ? slopes.columns(part, on: device) : slopes, to: y.node)
        flow.run(from: [y.node].compactMap(\.self))
        let mine = gradients[1].elements(part.lowerBound * inputs..<part.upperBound * inputs).values
        return [y.values, gradients[0].values, mine, gradients[2].values]
    }

    @Test(arguments: shapes, [ElementType.f32, .bf16]) func productsHaveTheBitsOfTheWhole(
        _ shape: [Int], _ operands: ElementType
    ) throws {
        let whole = results(shape, operands, nil, .none, on: Device(threads: 1))
        for side in [DividedMatrix.Side.none, .outputs, .inputs] {
            let found = try Crew(3).run { communicator in
                let team = Team(communicator)
                return (
                    results(shape, operands, team, side, on: Device(threads: 1)), team.part(of: shape[2])
                )
            }
            for (own, part) in found {
                let columns = (0..<shape[0]).flatMap { row in part.map { whole[0][row * shape[2] + $0] } }
                #expect(own[0] == (side == .outputs ? columns : whole[0]), "\(side)")
                #expect(own[1] == whole[1] && own[3] == whole[3], "\(side)")
                #expect(own[2] == Array(whole[2][part.lowerBound * shape[1]..<part.upperBound * shape[1]]), "\(side)")
            }
        }
    }

    /// Zeros of dropout are those of the whole rows.
    @Test func dropoutIsThatOfWholeRows() throws {
        let dropout = Dropout(share: 0.5, seed: 3, stream: 9)
        let device = Device(threads: 1)
        let whole = numbers([5, 37], 5, on: device).dropped(dropout)
        let found = try Crew(4).run { communicator in
            let (device, team) = (Device(threads: 1), Team(communicator))
            let own = self.numbers([5, 37], 5, on: device).ownColumns(of: team)
            return (own.dropped(dropout, width: 37, team).values, team.part(of: 37))
        }
        for (own, part) in found { #expect(own == whole.columns(part, on: device).values) }
    }
}
