/// The costs of speculative decoding on this machine: seconds of steps by their rows, and of a pass of the draft model,
/// as they were measured. Decides how many rows are computed, never what they come to.
package struct SpeculationCosts: Sendable {
    /// The share by which a row more is taken to lengthen a step of a size that has not been measured.
    private static let row = 0.1
    /// Plain steps of one size after which their time is known: the first ones make what later ones use.
    private static let enough = 3
    private static let most = 32

    /// The seconds of steps by their rows: those of one row for each sequence, with their number, and those that
    /// verify.
    private var plain: [(seconds: Double, count: Int)] = Array(repeating: (0, 0), count: most + 1)
    private var verifying: [Double?] = Array(repeating: nil, count: most + 1)
    private var pass: Double?

    package init() {}

    /// A step of `rows` rows took so long.
    package mutating func note(rows: Int, isVerifying: Bool, seconds: Double) {
        guard (1...SpeculationCosts.most).contains(rows), seconds > 0 else { return }
        if isVerifying {
            verifying[rows] = SpeculationCosts.typical(verifying[rows], seconds)
        } else if plain[rows].count < SpeculationCosts.enough {
            plain[rows] = (plain[rows].count == 0 ? seconds : min(plain[rows].seconds, seconds), plain[rows].count + 1)
        } else {
            plain[rows].seconds = SpeculationCosts.typical(plain[rows].seconds, seconds)
        }
    }

    /// A pass of the draft model, one row for each sequence, took so long.
    package mutating func note(passSeconds seconds: Double) {
        if seconds > 0 { pass = SpeculationCosts.typical(pass, seconds) }
    }

    /// A mean that outliers upwards, which are other work of the machine, hardly change.
    private static func typical(_ known: Double?, _ seconds: Double) -> Double {
        guard let known else { return seconds }
        return known + (seconds < known ? 0.25 : 0.05) * (min(seconds, 4 * known) - known)
    }

    /// Returns whether it is known what a plain step of so many sequences takes, to which all else is compared.
    package func isKnown(sequences: Int) -> Bool {
        sequences <= SpeculationCosts.most && plain[sequences].count >= SpeculationCosts.enough
    }

    /// The seconds of a step that verifies; what was not measured follows from the next smaller one.
    private func seconds(rows: Int, of sequences: Int) -> Double {
        let smaller = (0...min(rows, SpeculationCosts.most)).last { verifying[$0] != nil }
        let (known, count) =
            smaller.flatMap { count in verifying[count].map { ($0, count) } }
            ?? (plain[sequences].seconds, sequences)
        return known * (1 + SpeculationCosts.row * Double(rows - count))
    }

    /// The number of guesses, `most` at most, by which `sequences` that write get most tokens a second; 0 where none
    /// pays.
    ///
    /// A step of γ guesses, each right with chance α if its predecessors are, gives (1 − α^(γ+1)) / (1 − α) tokens
    /// (arXiv:2211.17192, equation 1).
    ///
    /// - Precondition: `isKnown(sequences:)`.
    package func best(acceptance: Double, sequences: Int, atMost most: Int, isDrafted: Bool) -> Int {
        let alone = plain[sequences].seconds
        // A draft model that was never measured is taken to be a tenth as dear.
        let pass = isDrafted ? pass ?? alone * 0.1 : 0
        var (best, fastest, tokens, chance) = (0, 1 / alone, 1.0, 1.0)
        for count in 1...max(1, most) where count <= most {
            chance *= acceptance
            tokens += chance
            let speed = tokens / (seconds(rows: sequences * (1 + count), of: sequences) + Double(count) * pass)
            if speed > fastest { (best, fastest) = (count, speed) }
        }
        return best
    }
}
