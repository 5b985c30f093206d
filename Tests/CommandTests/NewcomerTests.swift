import Foundation
import MartletFormats
import MartletJSON
import MartletPlatform
import TestSupport
import Testing

/// First tries of people who have read nothing: no model, no prompt, blank lines, misspelt verbs, files that are there
/// already.
@Suite struct NewcomerTests {
    @Test func standardInputIsReadWhereThereIsNoPrompt() throws {
        let model = CommandTests.model
        let given = try Command.run(["generate", "-m", model, "--max-tokens", "8", "one two"])
        let piped = try Command.run(["generate", "-m", model, "--max-tokens", "8"], input: "one two\n")
        #expect(piped.status == 0 && piped.output == given.output, "\(piped.errors)")
        let nothing = try Command.run(["generate", "-m", model])
        #expect(nothing.status == 2 && nothing.errors.contains("prompt"))
        let lines = try Command.run(["generate", "-m", model, "--max-tokens", "8", "--json-lines", "one two"])
        let objects = try lines.output.split(separator: "\n").map { try JSON(parsing: String($0)) }
        #expect(objects.map { $0["text"]?.stringValue ?? "" }.joined() + "\n" == given.output)
        #expect(objects.last?["usage"]?.objectValue != nil)
    }

    @Test(arguments: ["chat", "classify", "tag", "fill", "translate", "summarize"])
    func verbsSayWhatModelTheyNeed(_ verb: String) throws {
        let result = try Command.run([verb], input: "a\n")
        #expect(result.status == 2 && result.output.isEmpty)
        #expect(result.errors.contains("martlet \(verb) -m path/to/"), "\(result.errors)")
    }

    @Test func theShippedModelIsCalledByItsName() throws {
        let result = try Command.run(["classify", "-m", "/nowhere"], input: "a")
        #expect(result.status == 1)
        let bench = try Command.run(["bench", "--repeat", "1", "--prompt", "8", "--generate", "2", "--json"])
        #expect(bench.status == 0, "\(bench.errors)")
        let long = try Command.run(["bench", "--repeat", "1", "--prompt", "9000", "--generate", "9", "--json"])
        #expect(long.status == 0 && long.errors.contains("context"), "\(long.errors)")
    }

    /// Without a model, the encoder of sentences that ships orders lines by how near they are.
    @Test func linesAreOrderedWithoutAModel() throws {
        let lines = "The committee postponed its vote.\nA woman is slicing onions.\nSomebody cuts vegetables.\n"
        let ranked = try Command.run(["rerank", "--query", "A man is chopping a carrot."], input: lines)
        #expect(ranked.status == 0, "\(ranked.errors)")
        #expect(ranked.output.split(separator: "\n").last?.contains("committee") == true, "\(ranked.output)")
        let near = try Command.run(
            ["embed", "--similarity", "--json"], input: "A plane lands.\nAn aircraft is landing.\nI like tea.\n")
        let scores = try near.output.split(separator: "\n").map {
            try JSON(parsing: Array($0.utf8))["similarity"]?.doubleValue ?? 0
        }
        #expect(scores.count == 3 && scores[0] > 0.999 && scores[1] > scores[2] + 0.2, "\(scores)")
    }

    @Test func misspeltVerbsAreGuessed() throws {
        for arguments in [["genrate", "x"], ["help", "genrate"]] {
            let result = try Command.run(arguments)
            #expect(result.status == 2 && result.errors.contains("did you mean martlet generate?"))
        }
        let negative = try Command.run(["generate", "-m", CommandTests.model, "--min-p", "-1", "a"])
        #expect(negative.status == 2 && !negative.errors.contains("Missing value"), "\(negative.errors)")
    }

    @Test func blankAndBadLinesKeepTheirPlaces() throws {
        let folder = Fixtures.folder + "/tasks"
        let alone = try Command.run(["translate", "-m", folder + "/translation", "--max-tokens", "4"], input: "a b\n")
        let three = try Command.run(
            ["translate", "-m", folder + "/translation", "--max-tokens", "4"], input: "a b\n\na b\n")
        #expect(three.status == 0 && three.output == alone.output + "\n" + alone.output, "\(three.errors)")
        let pairs = try Command.run(
            ["classify", "-m", folder + "/classes", "--pairs", "--json"], input: "a\tb\nno tab\n\nc\td\n")
        #expect(pairs.status == 1 && pairs.errors.contains("line 2"), "\(pairs.errors)")
        #expect(pairs.output.split(separator: "\n").count == 3)
        let tags = try Command.run(
            ["tag", "-m", folder + "/tags"], input: "Ada walked to London.\n\nAda walked to London.\n")
        let numbers = Set(tags.output.split(separator: "\n").map { $0.prefix { $0 != "\t" } })
        #expect(tags.status == 0 && numbers.isSubset(of: ["1", "3"]), "\(tags.output)\(tags.errors)")
        let vectors = try Command.run(["embed", "-m", folder + "/classes", "--json"], input: "a\n\nb\n")
        #expect(try JSON(parsing: vectors.output).arrayValue?.map { $0.arrayValue?.isEmpty } == [false, true, false])
        let objects = try Command.run(["embed", "-m", folder + "/classes", "--json-lines"], input: "a\nb\n")
        #expect(objects.output.split(separator: "\n").count == 2)
    }

    @Test(arguments: [[], ["--lines"]])
    func tokenizeAndDetokenizeAreInverseInJSON(_ options: [String]) throws {
        let text = "one two,\nthree\n"
        let ids = try Command.run(["tokenize", "-m", CommandTests.model, "--json"] + options, input: text)
        let back = try Command.run(["detokenize", "-m", CommandTests.model], input: ids.output)
        #expect(back.output == text, "\(back.errors)")
        let lines = try Command.run(["tokenize", "-m", CommandTests.model, "--lines", "--json-lines"], input: text)
        let again = try Command.run(["detokenize", "-m", CommandTests.model], input: lines.output)
        #expect(lines.output.split(separator: "\n").count == 2 && again.output == text)
    }

    @Test func whatIsThereIsKept() throws {
        try TemporaryFolder.use { path in
            let text = path + "/in.txt"
            try writeFile(Array("one two three two one\n".utf8), to: text)
            let train = ["tokenizer", "train", "--kind", "byte-bpe", "--vocabulary", "260", "-o"]
            for force in [[], ["--force"]] {
                let onto = try Command.run(train + [text, text] + force)
                #expect(onto.status == 1 && onto.errors.contains("one of the files that are read"), "\(onto.errors)")
            }
            #expect(try String(contentsOfFile: text, encoding: .utf8) == "one two three two one\n")
            let output = path + "/tokenizer.json"
            #expect(try Command.run(train + [output, text]).status == 0)
            let again = try Command.run(train + [output, text])
            #expect(again.status == 1 && again.errors.contains("--force"))
            #expect(try Command.run(train + [output, text, "--force"]).status == 0)
        }
    }

    @Test func aFileInAModelsDirectoryMeansTheDirectory() throws {
        let model = Fixtures.folder + "/tasks/classes"
        let whole = try Command.run(["classify", "-m", model], input: "a b\n")
        let file = try Command.run(["classify", "-m", model + "/config.json"], input: "a b\n")
        #expect(whole.status == 0 && file.output == whole.output, "\(file.errors)")
    }

    @Test func inputsWithoutEndEnd() throws {
        let result = try Command.run(["generate", "-m", CommandTests.model, "--prompt-file", "/dev/zero"])
        #expect(result.status == 1 && result.errors.contains("bytes"), "\(result.errors)")
    }
}
