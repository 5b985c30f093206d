import MartletGeneration
import Testing

@Suite struct SpeculationTests {
    @Test func whatFollowedIsGuessed() {
        var lookup = PromptLookup()
        lookup.read([1, 2, 3, 4, 5, 6, 9, 2, 3])
        #expect(lookup.draft(3) == [4, 5, 6])
        lookup.read([1, 2, 3, 4, 5, 6, 9, 2, 3, 7, 2, 3])
        // Three tokens before two, the last occurrence before the first.
        #expect(lookup.draft(2) == [7, 2])
        lookup.read([1, 2, 3, 4, 5, 6, 9, 2, 3, 7, 2, 3, 9, 2, 3])
        #expect(lookup.draft(2) == [7, 2])
        #expect(lookup.draft(0) == [])
        var none = PromptLookup()
        none.read([1, 2, 3, 4])
        #expect(none.draft(5) == [])
        var period = PromptLookup()
        period.read([1, 2, 1, 2, 1])
        #expect(period.draft(5) == [2, 1, 2, 1, 2])
    }

    /// A row more makes a step a tenth longer.
    private static let costs: SpeculationCosts = {
        var costs = SpeculationCosts()
        for _ in 0..<3 { costs.note(rows: 1, isVerifying: false, seconds: 1) }
        return costs
    }()

    /// As many guesses as write most tokens a second, by arithmetic: (1 − α^(γ+1)) / (1 − α) over 1 + γ (0.1 + pass).
    @Test func guessesPay() {
        var costs = Self.costs
        func best(_ acceptance: Double, isDrafted: Bool = false) -> Int {
            costs.best(acceptance: acceptance, sequences: 1, atMost: 5, isDrafted: isDrafted)
        }
        #expect(best(0.95) == 5 && best(0.05) == 0)
        // 1.3 / 1.1 = 1.182 of one, 1.39 / 1.2 = 1.158 of two.
        #expect(best(0.3) == 1)
        // A draft as dear as the model: 2 / 2.1 of one, 3 / 3.2 of two.
        costs.note(passSeconds: 1)
        #expect(best(1, isDrafted: true) == 0 && best(1) == 5)
        // Steps that verify twice as dear as plain ones: 6 / 2 of five.
        for rows in 2...6 { costs.note(rows: rows, isVerifying: true, seconds: 2) }
        #expect(best(0.9) == 5 && best(0.4) == 0)
        #expect(!costs.isKnown(sequences: 2) && costs.isKnown(sequences: 1))
    }

    @Test func wrongGuessesBecomeRare() {
        let costs = Self.costs
        var policy = DraftPolicy()
        #expect(policy.count(SpeculationCosts()) == 0)
        var rows = 0
        for _ in 0..<1_000 {
            let count = policy.count(costs)
            rows += count
            policy.note(drafted: count, accepted: 0)
        }
        #expect(rows < 40 && policy.drafted == rows && policy.accepted == 0)
        var right = DraftPolicy()
        var longest = 0
        for _ in 0..<10 {
            let count = right.count(costs)
            right.note(drafted: count, accepted: count)
            longest = max(longest, count)
        }
        #expect(longest == 5 && right.accepted == right.drafted)
    }
}
