import MartletJSON
import MartletTensors
import MartletTokenizers
import MartletTraining
import TestSupport
import Testing

/// Labelled files of every format: what is read, and what is told of files that are wrong.
@Suite struct LabelledDataTests {
    private let folder = FolderForTests()

    private func read(_ text: String, _ name: String, columns: [String]? = nil) throws -> ([LabelledRecord], [String]) {
        var offences = DataOffences()
        let records = try LabelledFile(folder.write(text, to: name), columns: columns).records(&offences)
        return (records, offences.shown.map { String($0.dropFirst(folder.path.count + 1)) })
    }

    @Test func tablesWithQuotesHoldLineBreaks() throws {
        let text = "text,label\r\n\"a \"\"b\"\", c\nd\",one\n\nplain,two\n\"\",three\n"
        let (records, offences) = try read(text, "a.csv")
        #expect(offences.isEmpty)
        #expect(records.map { $0.text("text") } == ["a \"b\", c\nd", "plain", ""])
        #expect(records.map { $0.text("label") } == ["one", "two", "three"])
        #expect(records.map(\.line) == [2, 5, 6])
        let (pairs, _) = try read("a\tx \"y\"\t0.5\n", "b.tsv", columns: ["text", "pair", "score"])
        #expect(pairs[0].text("pair") == "x \"y\"" && pairs[0].number("score") == 0.5)
    }

    @Test func offencesNameTheirLines() throws {
        let text = "text,label\na,b,c\nd\"e,f\n\"g\"h,i\nj,k\n\"open,l\n"
        let (records, offences) = try read(text, "a.csv")
        #expect(records.map(\.line) == [5])
        #expect(
            offences == [
                "a.csv:2: 3 columns where 2 are wanted",
                "a.csv:3: a quotation mark inside a field that does not begin with one",
                "a.csv:4: text behind a closing quotation mark", "a.csv:6: a quotation mark that nothing closes",
            ])
        let (lines, others) = try read("{\"a\": 1}\n[1]\n{\n", "a.jsonl")
        #expect(lines.count == 1 && others.count == 2 && others[0] == "a.jsonl:2: an array where an object is wanted")
        #expect(others[1].hasPrefix("a.jsonl:3: "))
        #expect(throws: DataError.self) { try LabelledFile("a.parquet") }
    }

    @Test func taggedWordsAndQuestions() throws {
        let (sentences, offences) = try read(
            "-DOCSTART- O\n\nEU X B-ORG\nrejects X O\n\nlone\nPeter\tB-PER\n", "a.conll")
        #expect(sentences.map { $0.texts("tokens") } == [["EU", "rejects"], ["Peter"]])
        #expect(sentences.map { $0.texts("tags") } == [["B-ORG", "O"], ["B-PER"]])
        #expect(offences == ["a.conll:6: a word and its tag are wanted, with a tab or spaces between them"])
        let squad = """
            {"data": [{"paragraphs": [{"context": "é a b", "qas": [
              {"id": "1", "question": "q", "answers": [{"text": "a", "answer_start": 2}]},
              {"id": "2", "question": "r", "answers": [], "is_impossible": true}]}]}]}
            """
        let (questions, none) = try read(squad, "a.json")
        #expect(none.isEmpty && questions.map { $0.text("question") } == ["q", "r"])
    }

    /// Byte-level vocabularies spell the space in front of a word with the word's first token, whose bytes begin there
    /// (GPT-2, whose file leaves offsets untrimmed): it carries the tag all the same.
    @Test func tagsBeginBehindSpaces() throws {
        let tokenizer = try Tokenizer(json: Fixtures.spacesBeforeWords)
        let encoding = try tokenizer.encoding(of: "EU re r")
        #expect(encoding.ids == [4, 5, 9, 8, 9])
        #expect(encoding.offsets.map(\.start) == [0, 1, 2, 4, 5] && encoding.offsets.map(\.end) == [1, 2, 4, 5, 7])
        var objective = LabelledObjective(.tagging)
        (objective.text, objective.label) = ("tokens", "tags")
        var maker = ExampleMaker(
            objective, tokenizer, length: 16, hasSegments: false, names: LabelNames(["a", "b", "c"]))
        var fields = JSONObject()
        (fields["tokens"], fields["tags"]) = (["EU", "re", "r"], ["c", "b", "a"])
        var offences = DataOffences()
        let examples = maker.examples(LabelledRecord(file: "f", line: 1, fields: fields), &offences)
        #expect(examples.map(\.targets) == [[2, Example.ignored, 1, Example.ignored, 0]])
        #expect(maker.lostWords == 0 && offences.count == 0)
    }

    @Test func unknownLabelsHaveNeighbours() throws {
        let names = LabelNames(collecting: ["card_arrival", "atm", "card_arrival"], known: [])
        #expect(names.names == ["atm", "card_arrival"])
        #expect(LabelNames(collecting: ["10", "9"], known: []).names == ["9", "10"])
        #expect(LabelNames(collecting: ["b"], known: ["b", "a"]).names == ["b", "a"])
        #expect(names.unknown("card_arival") == "the label \"card_arival\" is not among 2 (nearest: card_arrival)")
    }
}
