import Foundation
import MartletFormats
import MartletJSON
import TestSupport
import Testing

/// The command as scripts see it: what it prints, where, and its exit code.
@Suite struct CommandTests {
    static let model = Fixtures.folder + "/gguf/llama-f16.gguf"

    @Test func generatesTextAndJSON() throws {
        let plain = try Command.run(["generate", "-m", Self.model, "--max-tokens", "8", "one two"])
        #expect(plain.status == 0 && plain.errors.isEmpty)
        let json = try Command.run(["generate", "-m", Self.model, "--max-tokens", "8", "--json", "one two"])
        let document = try JSON(parsing: json.output)
        #expect((document["text"]?.stringValue ?? "") + "\n" == plain.output)
        #expect(document["tokens"]?.arrayValue?.count == document["usage"]?["completion_tokens"]?.integerValue)
        #expect(["stop", "length"].contains(document["finish_reason"]?.stringValue))
        #expect(document["timings"]?.objectValue != nil)
        let piped = try Command.run(["generate", "-m", Self.model, "--max-tokens", "8", "-"], input: "one two")
        #expect(piped.output == plain.output)
    }

    @Test func wrongUsageExitsWithTwo() throws {
        for arguments in [
            ["generate", "--bogus"], ["generate", "-m", Self.model, "--temperature", "-1", "a"],
            ["generate", "-m", Self.model, "--max-tokens", "-1", "a"], ["nothing"], ["train"],
            ["train", "recipe", "--resume", "run"], ["evaluate", "--task", "bleu", "--data", "a", "--tokenize", "b"],
            ["forward", "-m", Self.model, "--tokens", "1,x", "-o", "/dev/null"], ["doctor", "--threads", "0"],
        ] {
            let result = try Command.run(arguments)
            #expect(result.status == 2, "\(arguments)")
            #expect(result.output.isEmpty && !result.errors.isEmpty)
        }
    }

    @Test func withoutAModelTheShippedOneWrites() throws {
        let plain = try Command.run(["generate", "--max-tokens", "12", "In the beginning"])
        #expect(plain.status == 0 && plain.output.utf8.count > 12, "\(plain.errors)")
        let ids = try Command.run(["tokenize", "-"], input: "In the beginning").output
        #expect(ids.split(separator: " ").count >= 3)
    }

    @Test func predictionsAreEvaluatedWithoutAModel() throws {
        let (data, predictions) = (Fixtures.temporaryFile("right.txt"), Fixtures.temporaryFile("found.txt"))
        try "the cat sat on the mat\n".write(toFile: data, atomically: true, encoding: .utf8)
        try "a cat sat on the mat\n".write(toFile: predictions, atomically: true, encoding: .utf8)
        let result = try Command.run(
            ["evaluate", "--task", "bleu", "--data", data, "--predictions", predictions, "--json"])
        #expect(result.status == 0, "\(result.errors)")
        let score = try JSON(parsing: result.output)["bleu"]?.doubleValue
        #expect(score.map { abs($0 - 75.98356856515926) < 1e-9 } == true)
    }

    @Test func failuresExitWithOneLine() throws {
        let output = Fixtures.temporaryFile("forward.safetensors")
        for arguments in [
            ["generate", "-m", "/nowhere/at-all", "a"], ["generate", "-m", Fixtures.folder + "/families/llama", "a"],
            ["forward", "-m", Self.model, "--tokens", "1,100000", "-o", output],
            ["forward", "-m", Self.model, "--tokens", "1,-1", "-o", output], ["inspect", "/dev/null"],
            ["tokenize", "--tokenizer", "/nowhere", "-"],
        ] {
            let result = try Command.run(arguments)
            #expect(result.status == 1, "\(arguments): \(result.errors)")
            #expect(result.output.isEmpty)
            #expect(result.errors.hasPrefix("martlet: ") && result.errors.split(separator: "\n").count == 1)
        }
        #expect(!FileManager.default.fileExists(atPath: output))
    }

    @Test func forwardWritesWhatItComputed() throws {
        let output = Fixtures.temporaryFile("forward.safetensors")
        defer { try? FileManager.default.removeItem(atPath: output) }
        let result = try Command.run([
            "forward", "-m", Self.model, "--tokens", "1,2,3", "--tokens", "5,6", "--attentions", "-o", output,
        ])
        #expect(result.status == 0 && result.output.isEmpty)
        let tensors = try Safetensors(contentsOf: output).tensors
        #expect(tensors["logits.0"]?.extents.first == 3 && tensors["hidden.1"]?.extents.first == 2)
        #expect(tensors["attention.1.0"]?.extents.suffix(2) == [2, 2])
    }

    @Test func tokenizeAndDetokenizeAreInverse() throws {
        let text = "one two, three\n"
        let ids = try Command.run(["tokenize", "-m", Self.model], input: text)
        #expect(ids.status == 0 && ids.output.split(separator: "\n").count == 1)
        let back = try Command.run(["detokenize", "-m", Self.model], input: ids.output)
        #expect(back.output == text + "\n")
        let lines = try Command.run(["tokenize", "-m", Self.model, "--lines", "--json"], input: "one\ntwo\n")
        #expect(try JSON(parsing: lines.output).arrayValue?.count == 2)
    }

    @Test func inspectAndHelp() throws {
        let inspected = try JSON(parsing: Command.run(["inspect", "--json", Self.model]).output)
        #expect(inspected["model_type"]?.stringValue == "llama")
        #expect((inspected["tensors"]?.arrayValue?.count ?? 0) > 10)
        #expect(inspected["architecture"]?["vocabulary"]?.integerValue ?? 0 > 10)
        for verb in [
            "generate", "forward", "tokenize", "detokenize", "tokenizer", "inspect", "doctor", "bench", "embed",
            "classify", "tag",
            "answer", "fill", "translate", "summarize",
        ] {
            let help = try Command.run([verb, "--help"])
            #expect(help.status == 0 && help.output.contains("Example: "))
        }
    }
}
