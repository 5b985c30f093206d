import MartletDistributed
import MartletLayers
import MartletTensors

/// The ranks that divide the matrices of one stage and lane (tensor parallelism, arXiv:1909.08053), and the messages
/// that this takes.
///
/// A rank has the outputs that are its own of each matrix, with their gradients and optimizer's states, and a copy of
/// the columns of its inputs, which is made anew after each update.
final class MatrixTeam: RankTeam, @unchecked Sendable {
    init(_ team: any Communicator) { super.init(team, for: .activations) }

    // MARK: - Weights

    /// Brings the columns of this rank's inputs here, as those who have the outputs have changed them.
    ///
    /// - Parameter whole: runs its body while all of a parameter's own outputs are here.
    /// - Throws: ``CommunicationError``.
    func shareColumns(
        of parameters: TrainableParameters, whole: (Int, () -> Void) throws(CommunicationError) -> Void
    ) throws(CommunicationError) {
        for index in parameters.names.indices {
            guard let division = parameters.division(index) else { continue }
            try whole(index) { share(parameters[index], division, on: parameters.device) }
        }
        try check()
    }

    private func share(_ matrix: Tensor, _ division: Parameter.Division, on device: Device) {
        let (outputs, inputs) = (matrix.shape[0], matrix.shape[1])
        let own = matrix.rows(part(of: outputs))
        func columns(of origin: Int) -> Tensor { division.columns.rows(part(of: outputs, rank: origin)) }
        columns(of: rank).overwrite(with: own.columns(part(of: inputs), on: device), adding: false)
        let usual = purpose
        purpose = .weights
        defer { purpose = usual }
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
