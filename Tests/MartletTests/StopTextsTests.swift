import Martlet
import Testing

@Suite struct StopTextsTests {
    /// The text that comes out when `pieces` go in, and whether a stop text was found.
    func run(_ stops: [String], _ pieces: [String]) -> (String, Bool) {
        var texts = StopTexts(stops)
        var result = ""
        for piece in pieces { result += texts.append(piece) }
        return (result + texts.finish(), texts.found)
    }

    @Test func endsWhereAStopTextBegins() {
        #expect(run(["END"], ["abc", "ENDdef"]) == ("abc", true))
        #expect(run(["END"], ["ab", "E", "N", "D", "x"]) == ("ab", true))
        #expect(run(["END"], ["ab", "EN", "x", "E"]) == ("abENxE", false))
        #expect(run(["xy", "b"], ["axb"]) == ("ax", true))
        #expect(run([], ["a", "b"]) == ("ab", false))
        #expect(run([""], ["a", "b"]) == ("ab", false))
        // A beginning that repeats itself.
        #expect(run(["aab"], ["aa", "a", "b"]) == ("a", true))
        #expect(run(["\n\n"], ["one\n", "\ntwo"]) == ("one", true))
    }

    @Test func holdsBackNoMoreThanCouldBecomeOne() {
        var texts = StopTexts(["STOP"])
        #expect(texts.append("abcST") == "abc")
        #expect(texts.append("ART") == "START")
        #expect(texts.append("é🙂S") == "é🙂")
        #expect(texts.finish() == "S")
    }
}
