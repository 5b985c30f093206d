import MartletServing
import Testing

/// The rows of prompts in a step, by what the latest steps took. All numbers are exact in binary.
@Suite struct ReadingPaceTests {
    @Test func beginsCarefully() {
        var pace = ReadingPace()
        #expect(pace.rows(within: 0.0625) == 32)
        // What only wrote says nothing of reading, nor does a rest of a prompt.
        pace.note(0.25, rows: 0)
        pace.note(1, rows: 7)
        pace.note(0, rows: 64)
        #expect(pace.rows(within: 0.0625) == 32)
    }

    /// A machine on which a step lasts 1/64 s and 1/1024 s for each row, and what follows when it is three times as
    /// slow.
    @Test func followsTheMachine() {
        var pace = ReadingPace()
        func seconds(_ rows: Int) -> Double { 1.0 / 64 + Double(rows) / 1_024 }
        pace.note(seconds(0), rows: 0)
        pace.note(seconds(16), rows: 16)
        // 1/16 s less the 1/64 s of writing, at 1/1024 s for each; but no more than twice as many as before.
        #expect(pace.rows(within: 1.0 / 16) == 32)
        pace.note(seconds(32), rows: 32)
        #expect(pace.rows(within: 1.0 / 16) == 48)
        pace.note(3 * seconds(48), rows: 48)
        // 3/16 s less 1/64 s, of 48 rows: 11 / (64 · 48) s each.
        #expect(pace.rows(within: 1.0 / 16) == 13)
        // The dearest of eight decides: seven quick steps change nothing, the eighth takes its place.
        for count in 1...8 {
            pace.note(seconds(32), rows: 32)
            #expect(pace.rows(within: 1.0 / 16) == (count < 8 ? 13 : 48))
        }
    }

    /// A step in which writing alone takes longer than it may: half of the time is for reading, or half as long as
    /// writing takes; and a step that reads is never taken for one that writes.
    @Test func readingAlwaysHasATime() {
        var pace = ReadingPace()
        pace.note(1, rows: 0)
        pace.note(0.125, rows: 32)
        // At most half of 1/8 s was written: 1/16 s for 32 rows, 1/512 s each.
        #expect(pace.rows(within: 0.0625) == 16)
        // Half of the 1/8 s that writing takes.
        pace.note(0.125, rows: 0)
        #expect(pace.rows(within: 0.0625) == 32)
    }
}
