import MartletDistributed
import MartletTensors
import Testing

/// Operations on rows that ranks divide, on any number of ranks, of rows that they do not divide evenly: the bits of
/// all rows on one rank, forwards and backwards.
@Suite struct DividedRowsTests {
    private final class Team: RowRanks, @unchecked Sendable {
        private let communicator: any Communicator
        private let rows: Int
        var gathered: GatheredRows?

        init(_ communicator: any Communicator, rows: Int) { (self.communicator, self.rows) = (communicator, rows) }

        var rank: Int { communicator.rank }
        var count: Int { communicator.size }

        func parts(ofOwn own: Int) -> [Range<Int>] { parts(of: rows) }
        func dividesRows(ofLeaf leaf: Int) -> Bool { true }

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

    private static let width = 12

    private func numbers(_ shape: Shape, _ stream: UInt64, on device: Device) -> Tensor {
        device.tensor(Random(seed: 7, stream: stream).normals(shape.elements, deviation: 1), shape: shape)
    }

    /// Dropout of some rows has the zeros of all rows, wherever they begin.
    @Test(arguments: [1, 3, 12, 33, 64, 100]) func dropoutIsThatOfAllRows(_ width: Int) {
        let device = Device(threads: 2)
        let x = numbers([41, width], 1, on: device)
        for type in [ElementType.f32, .bf16] {
            let rows = x.converted(to: type, on: device)
            var dropout = Dropout(share: 0.5, seed: 3, stream: 9)
            let whole = device.adopt(rows).dropped(dropout).asFloat().values
            for first in [0, 1, 5, 16, 40] {
                dropout.firstRow = first
                let own = device.adopt(rows).rows(first..<41).dropped(dropout).asFloat().values
                #expect(own == Array(whole[(first * width)...]), "\(width) \(type) \(first)")
            }
        }
    }

    /// The results of a small model, x·W, layer norm, heads' exchange and loss, `[own rows, width]`, and the gradients
    /// of its parameters, of their elements that are here.
    private func learnt(
        _ rows: Int, _ operands: ElementType, _ team: Team?, on device: Device
    ) -> (hidden: [Float], loss: Double, gradients: [[Float]]) {
        let width = Self.width
        let shapes: [Shape] = [[17, width], [width, width], [width], [width], [width], [17, width]]
        let held = shapes.enumerated().map { index, shape -> Range<Int> in
            guard shape.rank == 2, let team else { return 0..<shape.elements }
            let own = team.part(of: shape[0])
            return own.lowerBound * width..<own.upperBound * width
        }
        let gradients = Gradients(shapes, holding: held, on: device)
        let leaves = shapes.enumerated().map { index, shape in
            numbers(shape, UInt64(index), on: device).tracked(by: GradientNode(leaf: index, shape))
        }
        let own = team?.part(of: rows) ?? 0..<rows
        let tokens = own.map { row -> Int32 in Int32(row * 5 % 17) }
        var x = leaves[0].lookup(tokens, on: device)
        x = x.multiplied(byStored: leaves[1], bias: leaves[2], as: operands)
        x = x.layerNorm(weight: leaves[3], bias: leaves[4], epsilon: 1e-5)
        if let team {
            let heads = x.reshaped([own.count, 6, width / 6]).byHeads(of: team, rows: rows)
            x = (heads * 2).byRows(of: team).reshaped([own.count, width])
        } else {
            x = x * 2
        }
        let hidden = x.values
        let targets = (0..<rows).map { row -> Int32 in row % 4 == 3 ? -1 : Int32(row * 3 % 17) }
        var flow = GradientFlow(into: gradients, dividing: team, on: device)
        let all = team.map { x.wholeRows(of: $0, rows: rows) } ?? x
        let head = LogitProjection(Projection(.stored(leaves[5]), as: operands), scale: 1, constant: nil, cap: nil)
        let (sums, root) = flow.crossEntropy(all, head, targets, LossForm())
        flow.run(from: [root].compactMap(\.self))
        return (hidden, sums.loss, held.enumerated().map { gradients[$0].elements($1).values })
    }

    @Test(arguments: [7, 8, 70], [ElementType.f32, .bf16]) func everySumHasTheBitsOfOneRank(
        _ rows: Int, _ operands: ElementType
    ) throws {
        let whole = learnt(rows, operands, nil, on: Device(threads: 1))
        for ranks in [2, 3, 6] {
            let found = try Crew(ranks).run { communicator in
                let team = Team(communicator, rows: rows)
                return (learnt(rows, operands, team, on: Device(threads: 1)), team.part(of: rows))
            }
            for (rank, (own, part)) in found.enumerated() {
                let width = Self.width
                #expect(own.hidden == Array(whole.hidden[part.lowerBound * width..<part.upperBound * width]))
                #expect(own.loss == whole.loss)
                for (index, gradient) in own.gradients.enumerated() {
                    let all = whole.gradients[index]
                    let outputs = all.count / width
                    let range =
                        all.count == width
                        ? 0..<width : outputs * rank / ranks * width..<outputs * (rank + 1) / ranks * width
                    #expect(gradient == Array(all[range]), "\(ranks) ranks, parameter \(index)")
                }
            }
        }
    }
}
