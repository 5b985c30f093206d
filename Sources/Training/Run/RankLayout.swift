package import MartletDistributed
import MartletJSON

/// Where the parts of a run are: what each of its ranks holds. It changes no bit of what is computed.
package struct RankLayout: Sendable, Equatable {
    /// What data-parallel ranks divide among them (ZeRO: arXiv:1910.02054): 0 nothing, 1 the optimizer's states, 2 the
    /// gradients too, 3 the weights too.
    package var zero = 0
    /// The number of data-parallel ranks, where it was named.
    package var data: Int?

    package init(zero: Int = 0) { self.zero = zero }

    /// Reads `data=4,zero=1`.
    ///
    /// - Throws: ``RunError`` with everything that is wrong.
    package init(_ text: String) throws(RunError) {
        var problems: [String] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false).map(String.init) {
            let words = part.split(separator: "=", omittingEmptySubsequences: false).map(String.init)
            let number = words.count == 2 ? Int(words[1]) : nil
            switch (words[0], number) {
            case ("data", let count?) where count > 0: data = count
            case ("zero", let stage?) where (0...3).contains(stage): zero = stage
            case ("data", _): problems.append("\(part.quoted) is not data= and a number of ranks")
            case ("zero", _): problems.append("\(part.quoted) is not zero= and a stage from 0 to 3")
            case ("tensor", _), ("pipeline", _), ("context", _), ("expert", _):
                problems.append("\(part.quoted): models are not split over ranks in training; data and zero are known")
            default: problems.append("\(part.quoted) is unknown; data and zero are known, as in data=4,zero=1")
            }
        }
        guard problems.isEmpty else { throw RunError("--layout: " + problems.joined(separator: "; ")) }
    }

    /// - Throws: ``RunError`` where the ranks are not as many as the layout says.
    package func check(ranks: Int) throws(RunError) {
        guard let data, data != ranks else { return }
        throw RunError("--layout says data=\(data), but \(ranks) ranks run")
    }
}

extension Communicator {
    /// Does something on this rank and waits for the others: all go on, or all throw.
    ///
    /// - Throws: what `work` throws here; elsewhere ``RunError`` with the words of the rank that failed.
    package func agree(_ work: () throws -> Void) throws {
        let outcome = Result { try work() }
        guard size > 1 else { return try outcome.get() }
        var record = [UInt8](repeating: 0, count: 512)
        if case .failure(let error) = outcome {
            for (place, byte) in "rank \(rank): \(error)".utf8.prefix(record.count).enumerated() {
                record[place] = byte
            }
        }
        let records = try gather(record, .agreement)
        try outcome.get()
        guard let failed = records.first(where: { $0[0] != 0 }) else { return }
        throw RunError(String(decoding: failed.prefix { $0 != 0 }, as: UTF8.self))
    }
}
