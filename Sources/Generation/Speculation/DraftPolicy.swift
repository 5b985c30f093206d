/// How many tokens to guess: as many as recent guesses warrant, and none for a while where they are mostly wrong, so
/// that speculation never costs more than a few rows now and then.
package struct DraftPolicy: Sendable {
    /// Guesses of one step at most: up to this many rows more cost little.
    package static let longest = 5
    /// The share of guesses that were right lately.
    private var share = 0.6
    private var pause = 0
    private var nextPause = 8

    package private(set) var drafted = 0
    package private(set) var accepted = 0

    package init() {}

    /// For the next step.
    package mutating func count() -> Int {
        guard pause == 0 else {
            pause -= 1
            return 0
        }
        return share > 0.7 ? DraftPolicy.longest : share > 0.4 ? 3 : 2
    }

    /// What came of the guesses of a step; nothing is learnt from a step without.
    package mutating func note(drafted: Int, accepted: Int) {
        guard drafted > 0 else { return }
        self.drafted += drafted
        self.accepted += accepted
        share += 0.25 * (Double(accepted) / Double(drafted) - share)
        if share > 0.4 { nextPause = 8 }
        guard share < 0.25 else { return }
        // Each time longer, until guesses are right again.
        (pause, share) = (nextPause, 0.4)
        nextPause = min(256, nextPause * 2)
    }
}
