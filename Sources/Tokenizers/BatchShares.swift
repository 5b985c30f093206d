import Synchronization

/// Texts that threads take in stretches, each the next when it is done with one, and what became of them.
final class BatchShares: Sendable {
    private static let longestStretch = 64
    private let texts: Int
    private let stretch: Int
    private let next = Atomic(0)
    private let outcome: Mutex<Outcome>

    /// The ids of each text, and the failure of the first text that has one.
    private struct Outcome {
        var results: [[Int32]]
        var failure: (index: Int, error: TokenizerError)?
    }

    init(_ texts: Int, threads: Int) {
        self.texts = texts
        stretch = max(1, min(BatchShares.longestStretch, texts / (threads * 8)))
        outcome = Mutex(Outcome(results: [[Int32]](repeating: [], count: texts)))
    }

    /// Encodes the next stretch; false when there is none left, or one failed.
    func fillNext(_ encode: (Int) throws(TokenizerError) -> [Int32]) -> Bool {
        let start = next.wrappingAdd(stretch, ordering: .relaxed).oldValue
        guard start < texts else { return false }
        let range = start..<min(start + stretch, texts)
        var ids: [[Int32]] = []
        ids.reserveCapacity(range.count)
        for index in range {
            do throws(TokenizerError) {
                ids.append(try encode(index))
            } catch {
                outcome.withLock { if index < $0.failure?.index ?? .max { $0.failure = (index, error) } }
                return false
            }
        }
        outcome.withLock { for (index, ids) in zip(range, ids) { $0.results[index] = ids } }
        return true
    }

    func joined() throws(TokenizerError) -> [[Int32]] {
        let (results, failure) = outcome.withLock { ($0.results, $0.failure) }
        if let failure { throw failure.error }
        return results
    }
}
