/// The policy for the number of tokens of one sequence to guess: as many as pay by the acceptance of earlier ones and
/// by what verifying costs, and none for a while where that is none, so that speculation never costs more than a few
/// rows now and then.
package struct DraftPolicy: Sendable {
    /// The maximum number of guesses of one step: up to this many rows more cost little.
    package static let longest = 5
    /// The number of guesses after a pause, to see whether they are right by now.
    private static let probe = 3
    /// The number of steps with guesses after which one is plain, so that it stays known what that takes.
    private static let refresh = 64
    /// The counts of guesses that were right and of guesses that were tested, up to the first wrong one of each step;
    /// the latest weigh most. The beginning is as if three of five had been right.
    private var right = 1.2
    private var tested = 2.0
    private var pause = 0
    private var nextPause = 8
    private var isProbe = false
    private var guessed = 0

    package private(set) var drafted = 0
    package private(set) var accepted = 0

    package init() {}

    /// The chance that a guess is right whose predecessors are.
    package var acceptance: Double { right / tested }

    /// The number of guesses for the next step, in which `sequences` write; `isDrafted` says that a draft model makes
    /// the guesses, whose time counts.
    package mutating func count(
        sequences: Int = 1, isDrafted: Bool = false, _ costs: SpeculationCosts
    ) -> Int {
        guard costs.isKnown(sequences: sequences) else { return 0 }
        guard pause == 0 else {
            pause -= 1
            isProbe = pause == 0
            return 0
        }
        if isProbe { return DraftPolicy.probe }
        let best = costs.best(
            acceptance: acceptance, sequences: sequences, atMost: DraftPolicy.longest, isDrafted: isDrafted)
        guard best == 0 else {
            nextPause = 8
            guessed += 1
            return guessed % DraftPolicy.refresh == 0 ? 0 : best
        }
        // Each time longer, until guesses pay again.
        pause = nextPause
        nextPause = min(256, nextPause * 2)
        return 0
    }

    /// Takes note of what came of the guesses of a step; nothing is learnt from a step without.
    package mutating func note(drafted: Int, accepted: Int) {
        guard drafted > 0 else { return }
        isProbe = false
        self.drafted += drafted
        self.accepted += accepted
        right = 0.75 * right + Double(accepted)
        tested = 0.75 * tested + Double(min(drafted, accepted + 1))
    }
}
