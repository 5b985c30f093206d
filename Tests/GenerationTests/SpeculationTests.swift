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

    @Test func wrongGuessesBecomeRare() {
        var policy = DraftPolicy()
        var rows = 0
        for _ in 0..<1_000 {
            let count = policy.count()
            rows += count
            policy.note(drafted: count, accepted: 0)
        }
        #expect(rows < 40 && policy.drafted == rows && policy.accepted == 0)
        var right = DraftPolicy()
        var longest = 0
        for _ in 0..<10 {
            let count = right.count()
            right.note(drafted: count, accepted: count)
            longest = max(longest, count)
        }
        #expect(longest == 5 && right.accepted == right.drafted)
    }
}
