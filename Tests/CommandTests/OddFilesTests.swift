import Foundation
import TestSupport
import Testing

/// Files of a model that never end, or that nobody writes: each ends the command with a line.
@Suite struct OddFilesTests {
    @Test(
        arguments: ["config.json", "model.safetensors", "tokenizer.json", "generation_config.json"],
        ["pipe", "zero", "sparse"])
    func filesThatNeverEndAreErrors(name: String, kind: String) throws {
        try TemporaryFolder.use { path in
            try ChatTests.model(in: path)
            let file = path + "/" + name
            try? FileManager.default.removeItem(atPath: file)
            switch kind {
            case "pipe": try #require(unsafe mkfifo(file, 0o600) == 0)
            case "zero": try FileManager.default.createSymbolicLink(atPath: file, withDestinationPath: "/dev/zero")
            default:
                #expect(FileManager.default.createFile(atPath: file, contents: nil))
                try #require(unsafe truncate(file, 1 << 40) == 0)
            }
            let result = try Command.run(["generate", "-m", path, "w5", "--max-tokens", "1"])
            #expect(result.status == 1 && result.errors.contains(name), "\(result.errors)")
            #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
        }
    }

    @Test func logsOfAnswersNameTheLine() throws {
        try TemporaryFolder.use { path in
            let log = path + "/answers.jsonl"
            for (text, words) in [
                ("\n5\n{\n", "answers.jsonl: line 3: not valid JSON"),
                ("\n[]\n5\n", "answers.jsonl: line 2: The entry has no"),
            ] {
                try Data(text.utf8).write(to: URL(fileURLWithPath: log))
                let result = try Command.run(["verify", log])
                #expect(result.status == 1 && result.errors.contains(words), "\(result.errors)")
            }
        }
    }

    @Test func emptyNamesAreNoModels() throws {
        for arguments in [["generate", "-m", "", "x"], ["plan", ""], ["serve", "--check", "-m", "x="]] {
            let result = try Command.run(arguments)
            #expect(result.status == 1 && result.errors.contains("the model has an empty name"), "\(result.errors)")
        }
    }
}
