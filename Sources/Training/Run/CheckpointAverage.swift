import MartletFormats
import MartletJSON
package import MartletTensors

/// The mean of a run's last checkpoints (arXiv:1706.03762, section 6.1; fairseq's `average_checkpoints`): a cheap
/// ensemble, which usually writes better than the best of them.
extension CheckpointStore {
    /// The mean of the weights of the newest `count` whole checkpoints, and their steps. The untrained one of step 0
    /// does not count.
    ///
    /// Each number is summed in f64 and rounded once.
    ///
    /// - Throws: ``RunError`` where fewer are kept or they are not of one model, ``FormatError``, ``FileError``.
    package func averagedWeights(_ count: Int) throws -> (weights: [String: Tensor], steps: [Int]) {
        precondition(count > 0, "averagedWeights(\(count)): a mean needs a checkpoint")
        var chosen: [Int] = []
        for step in steps.reversed() where step > 0 && chosen.count < count && damage(step) == nil {
            chosen.append(step)
        }
        chosen.reverse()
        guard chosen.count == count else {
            throw RunError(
                "\(folder): the mean of \(count) checkpoints is wanted, but \(chosen.count) are whole "
                    + "(steps \(chosen.map(String.init).joined(separator: ", "))); keep more by checkpoints.keep")
        }
        let files = try chosen.map { try Safetensors(contentsOf: weightsPath($0)).tensors }
        var means: [String: Tensor] = [:]
        for stored in files[0].all {
            let parts = try files.map { try $0.tensor(stored.name) }
            guard let shape = parts.first?.shape, parts.allSatisfy({ $0.shape == shape && $0.type == .f32 }) else {
                throw RunError("\(folder): \(stored.name.quoted) is not the same in all checkpoints")
            }
            means[stored.name] = Tensor(Self.mean(parts), shape: shape)
        }
        return (means, chosen)
    }

    private static func mean(_ parts: [Tensor]) -> [Float] {
        var sums = parts[0].values.map(Double.init)
        for part in parts.dropFirst() {
            for (index, value) in part.values.enumerated() { sums[index] += Double(value) }
        }
        return sums.map { Float($0 / Double(parts.count)) }
    }
}
