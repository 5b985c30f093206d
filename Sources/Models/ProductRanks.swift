package import MartletDistributed
import MartletPlatform
package import MartletTensors

/// Ranks that divide the outputs of every large matrix of a model (tensor parallelism, arXiv:1909.08053, cut by outputs
/// alone): rank 0 runs the model, and asks the others for their columns of each product.
///
/// Every output is one sum over all inputs, so that each bit is that of one rank, whatever the type of the matrix.
/// Ranks but the first pack their parts in the same order as rank 0 and then ``serve(on:)``; attention, its cache and
/// everything element by element are rank 0's alone.
package final class ProductRanks: ProductHelpers, @unchecked Sendable {
    private let communicator: any Communicator
    private let fail: @Sendable (CommunicationError) -> Void
    private let turn = Signal()
    // What follows is touched inside `turn.withLock`, or by the one product that is under way.
    private var isBusy = false
    private var matrices: [PackedMatrix] = []
    private var isComplete = false
    /// True where the others are gone: let go, or lost.
    private var isAlone = false

    /// - Parameter fail: told once that a rank has gone; what is computed afterwards is wrong.
    package init(_ communicator: any Communicator, fail: @escaping @Sendable (CommunicationError) -> Void) {
        (self.communicator, self.fail) = (communicator, fail)
    }

    package var count: Int { communicator.size }

    /// Outputs are cut between panels.
    private static let panel = 64
    /// The length of a request in words: how many matrices, rows, inputs, then the matrices' numbers.
    private static let words = 16

    /// The outputs that rank `rank` computes, of `outputs`.
    private func part(_ outputs: Int, of rank: Int) -> Range<Int> {
        let panels = (outputs + Self.panel - 1) / Self.panel
        func bound(_ rank: Int) -> Int { min(outputs, panels * rank / communicator.size * Self.panel) }
        return bound(rank)..<bound(rank + 1)
    }

    /// Packs this rank's part of `stored` `[outputs, inputs]`; all of it where there is not a panel for every rank, or
    /// the model is complete: a second one is rank 0's alone.
    package func packed(_ stored: Tensor, _ pack: (Tensor) -> PackedMatrix) -> PackedMatrix {
        let outputs = stored.shape[0]
        guard outputs >= Self.panel * communicator.size, !turn.withLock({ isComplete }) else { return pack(stored) }
        let own = part(outputs, of: communicator.rank)
        var matrix = pack(stored.rows(own))
        return turn.withLock {
            matrix.part = MatrixPart(number: matrices.count, outputs: own, of: outputs, others: self)
            matrices.append(matrix)
            return matrix
        }
    }

    /// Says that the model has all of its matrices.
    package func complete() { turn.withLock { isComplete = true } }

    // MARK: - Rank 0

    /// Has all ranks begin their parts of the products of x [rows, inputs] with matrices, by their numbers. `finish`
    /// must follow; passes of other threads wait until then.
    package func begin(_ matrices: [Int], _ x: Tensor) {
        precondition(matrices.count + 3 <= Self.words, "ProductRanks: \(matrices.count) matrices at once")
        let request = [matrices.count, x.shape[0], x.shape[1]] + matrices
        takeTurn()
        communicate { () throws(CommunicationError) in
            for rank in 1..<communicator.size {
                try send(request, to: rank)
                try unsafe communicator.exchange(
                    UnsafeRawBufferPointer(start: x.pointer, count: x.bytes), to: rank, nothing, from: nil, .activations
                )
            }
        }
    }

    /// Takes the other ranks' parts of the products: those of a matrix as [rows, outputs of the part].
    package func finish(
        _ matrices: [Int], rows: Int, _ take: (_ matrix: Int, _ outputs: Range<Int>, _ products: Tensor) -> Void
    ) {
        defer { turn.wakeAll { isBusy = false } }
        let widths = matrices.map { self.matrices[$0].width }
        for rank in 1..<communicator.size {
            for (index, width) in widths.enumerated() {
                let outputs = part(width, of: rank)
                let products = Tensor(
                    storage: Storage(bytes: rows * outputs.count * 4), shape: [rows, outputs.count], type: .f32)
                communicate { () throws(CommunicationError) in try receive(products, from: rank) }
                take(index, outputs, products)
            }
        }
    }

    /// Lets the other ranks go. A generation that was cut short may still compute; nobody reads what.
    package func stop() {
        takeTurn()
        communicate { () throws(CommunicationError) in
            for rank in 1..<communicator.size { try send([0], to: rank) }
        }
        turn.wakeAll { (isBusy, isAlone) = (false, true) }
    }

    private func takeTurn() {
        turn.withLock {
            while isBusy { turn.sleep() }
            isBusy = true
        }
    }

    private func communicate(_ body: () throws(CommunicationError) -> Void) {
        guard !isAlone else { return }
        do throws(CommunicationError) {
            try body()
        } catch {
            isAlone = true
            fail(error)
        }
    }

    // MARK: - The others

    /// Multiplies what rank 0 sends by the parts that are packed here, until it says stop.
    ///
    /// - Throws: ``CommunicationError``.
    package func serve(on device: Device) throws(CommunicationError) {
        let matrices = turn.withLock { self.matrices }
        while let (wanted, x) = try nextRequest(on: device) {
            let parts = wanted.map { number in
                var matrix = matrices[number]
                matrix.part = nil
                return matrix
            }
            for product in x.multiplied(byEach: parts, biases: parts.map { _ in nil }) {
                let bytes = unsafe UnsafeRawBufferPointer(start: product.pointer, count: product.bytes)
                try unsafe communicator.exchange(bytes, to: 0, nothing, from: nil, .activations)
            }
        }
    }

    private func nextRequest(on device: Device) throws(CommunicationError) -> (matrices: [Int], x: Tensor)? {
        var words = [Int32](repeating: 0, count: Self.words)
        var span = words.mutableSpan
        try unsafe span.withUnsafeMutableBytes { place throws(CommunicationError) in
            try unsafe communicator.exchange(
                UnsafeRawBufferPointer(start: nil, count: 0), to: nil, place, from: 0, .orders)
        }
        guard words[0] > 0 else { return nil }
        let x = device.make([Int(words[1]), Int(words[2])])
        try receive(x, from: 0)
        return (words[3..<3 + Int(words[0])].map { Int($0) }, x)
    }

    // MARK: - Messages

    private var nothing: UnsafeMutableRawBufferPointer { unsafe UnsafeMutableRawBufferPointer(start: nil, count: 0) }

    private func send(_ request: [Int], to rank: Int) throws(CommunicationError) {
        let words = request.map { Int32($0) } + [Int32](repeating: 0, count: Self.words - request.count)
        try unsafe words.span.withUnsafeBytes { words throws(CommunicationError) in
            try unsafe communicator.exchange(words, to: rank, nothing, from: nil, .orders)
        }
    }

    private func receive(_ tensor: Tensor, from rank: Int) throws(CommunicationError) {
        let place = unsafe UnsafeMutableRawBufferPointer(start: tensor.mutableFloats, count: tensor.bytes)
        try unsafe communicator.exchange(
            UnsafeRawBufferPointer(start: nil, count: 0), to: nil, place, from: rank, .activations)
    }
}
