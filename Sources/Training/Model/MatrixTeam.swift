import MartletDistributed
import MartletLayers
import MartletTensors

/// The ranks that divide the matrices of one stage and lane (tensor parallelism, arXiv:1909.08053), and the messages
/// that this takes.
///
/// A rank has the outputs that are its own of each matrix, with their gradients and optimizer's states, and a copy of
/// the columns of its inputs, which is made anew after each update. Used by one thread at a time, that of the pass.
final class MatrixTeam: MatrixRanks, @unchecked Sendable {
    private let team: any Communicator
    private var purpose = Purpose.activations
    private var failure: CommunicationError?

    init(_ team: any Communicator) { self.team = team }

    var rank: Int { team.rank }
    var count: Int { team.size }

    func exchange(
        _ sent: UnsafeRawBufferPointer, to target: Int, _ received: UnsafeMutableRawBufferPointer, from origin: Int
    ) {
        guard failure == nil else { return }
        do throws(CommunicationError) {
            try unsafe team.exchange(sent, to: target, received, from: origin, purpose)
        } catch {
            failure = error
        }
    }

    /// Runs `body`, whose messages are for `purpose`.
    ///
    /// - Throws: also the first ``CommunicationError`` among them.
    func pass<Result>(_ purpose: Purpose, _ body: () throws -> Result) throws -> Result {
        self.purpose = purpose
        defer { self.purpose = .activations }
        let result = try body()
        try check()
        return result
    }

    /// - Throws: the first error among messages that could not throw it themselves.
    func check() throws(CommunicationError) { if let failure { throw failure } }

    // MARK: - Weights

    /// Brings the columns of this rank's inputs here, as those who have the outputs have changed them.
    ///
    /// - Throws: ``CommunicationError``.
    func shareColumns(of parameters: TrainableParameters) throws(CommunicationError) {
        for index in parameters.names.indices {
            guard let division = parameters.division(index) else { continue }
            share(parameters[index], division, on: parameters.device)
        }
        try check()
    }

    private func share(_ matrix: Tensor, _ division: Parameter.Division, on device: Device) {
        let (outputs, inputs) = (matrix.shape[0], matrix.shape[1])
        let own = matrix.rows(part(of: outputs))
        func columns(of origin: Int) -> Tensor { division.columns.rows(part(of: outputs, rank: origin)) }
        columns(of: rank).overwrite(with: own.columns(part(of: inputs), on: device), adding: false)
        purpose = .weights
        defer { purpose = .activations }
        exchangeAll { target, origin in
            let sent = own.columns(part(of: inputs, rank: target), on: device)
            let received = columns(of: origin)
            unsafe exchange(
                UnsafeRawBufferPointer(start: sent.pointer, count: sent.bytes), to: target,
                UnsafeMutableRawBufferPointer(start: received.mutableFloats, count: received.bytes), from: origin)
        }
    }

    /// The number of bytes that this rank sends in one ``shareColumns(of:)``.
    func columnBytes(of parameters: TrainableParameters) -> Int {
        parameters.entries.indices.filter { parameters.division($0) != nil }.reduce(0) { sum, index in
            let shape = parameters.shapes[index]
            return sum + 4 * part(of: shape[0]).count * (shape[1] - part(of: shape[1]).count)
        }
    }
}
