import Foundation
import MartletPlatform
import TestSupport
import Testing

/// Files that the command writes: never an input, never over what is there without `--force`, never half.
@Suite struct OutputTests {
    private static let llama = Fixtures.folder + "/families/llama"

    /// A folder of its own for `body`, removed with all that is in it.
    private func inFolder(_ body: (String) throws -> Void) throws {
        let folder = Fixtures.temporaryFile("outputs")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder)
    }

    private func write(_ text: String, to path: String) throws {
        try text.write(toFile: path, atomically: true, encoding: .utf8)
    }

    private func text(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

    /// Unfinished files, of the form `name.number.partial`.
    private func halves(_ folder: String) throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: folder).filter { $0.hasSuffix(".partial") }
    }

    @Test func aModelIsNeverPrunedOrConvertedOntoItself() throws {
        try inFolder { folder in
            let mine = folder + "/mine"
            try FileManager.default.copyItem(atPath: Self.llama, toPath: mine)
            let before = Fixtures.bytes(mine + "/model.safetensors")
            for arguments in [
                ["prune", "-m", mine, "--neurons", "0.5", "-o", mine], ["convert", "-m", mine, "-o", mine + "/"],
                ["prune", "-m", mine + "/config.json", "--neurons", "0.5", "-o", mine],
                ["quantize", "-m", mine, "--type", "Q8_0", "-o", mine + "/model.safetensors"],
                ["forward", "-m", mine, "--tokens", "1", "-o", mine + "/config.json"],
                ["explain", "-m", mine, "a", "-o", mine + "/config.json"],
                ["plan", mine + "/config.json", "--html", mine + "/config.json"],
            ] {
                for force in [[], ["--force"]] {
                    let result = try Command.run(arguments + force)
                    #expect(result.status == 1, "\(arguments): \(result.errors)")
                    #expect(result.errors.contains("one of the files that are read"), "\(result.errors)")
                }
            }
            #expect(Fixtures.bytes(mine + "/model.safetensors") == before)
            #expect(Fixtures.bytes(mine + "/config.json") == Fixtures.bytes(Self.llama + "/config.json"))
        }
    }

    @Test func whatIsThereIsKeptByEveryVerb() throws {
        try inFolder { folder in
            let (page, notes, calibration) = (folder + "/page.html", folder + "/notes", folder + "/calibration.txt")
            try FileManager.default.createDirectory(atPath: notes, withIntermediateDirectories: true)
            for path in [page, notes + "/diary.txt"] { try write("precious", to: path) }
            try write("the sea and the sand", to: calibration)
            let model = CommandTests.model
            for arguments in [
                ["explain", "-m", model, "one two", "-o", page], ["plan", Self.llama, "--html", page],
                ["plan", "--compute", "1e20", "--html", page],
                ["quantize", "-m", model, "--calibrate", calibration, "--save-importance", page],
                ["prune", "-m", Self.llama, "--neurons", "0.5", "-o", notes],
                ["convert", "-m", model, "-o", notes],
            ] {
                let result = try Command.run(arguments)
                #expect(result.status == 1 && result.errors.contains("--force"), "\(arguments): \(result.errors)")
            }
            #expect(try text(page) == "precious")
            #expect(try FileManager.default.contentsOfDirectory(atPath: notes) == ["diary.txt"])
            // With --force what is written stands beside what else is there.
            let pruned = try Command.run(
                ["prune", "-m", Self.llama, "--neurons", "0.5", "-o", notes, "--force"])
            #expect(pruned.status == 0, "\(pruned.errors)")
            #expect(try text(notes + "/diary.txt") == "precious")
            #expect(fileExists(notes + "/config.json") && fileExists(notes + "/model.safetensors"))
            #expect(try Command.run(["plan", "--compute", "1e20", "--html", page, "--force"]).status == 0)
            #expect(try text(page).contains("<html"))
            // A page in a model's folder is no part of the model.
            try FileManager.default.moveItem(atPath: page, toPath: notes + "/page.html")
            let inside = ["plan", notes, "--html", notes + "/page.html"]
            #expect(try Command.run(inside).status == 1)
            #expect(try Command.run(inside + ["--force"]).status == 0)
            #expect(try halves(folder).isEmpty)
        }
    }

    @Test func oneFileIsNotTwoOutputs() throws {
        try inFolder { folder in
            let (text, output) = (folder + "/text.txt", folder + "/both.gguf")
            try write("the sea and the sand", to: text)
            let result = try Command.run([
                "quantize", "-m", CommandTests.model, "--type", "Q8_0", "--calibrate", text, "--save-importance",
                output,
                "-o", output,
            ])
            #expect(result.status == 1 && !fileExists(output), "\(result.errors)")
        }
    }

    @Test func whatFailsForSpaceLeavesNothing() throws {
        try inFolder { folder in
            let shell = URL(fileURLWithPath: "/bin/sh")
            for arguments in [
                "convert -m \(Self.llama) -o \(folder)/new", "prune -m \(Self.llama) --neurons 0.5 -o \(folder)/new",
                "convert -m \(CommandTests.model) -o \(folder)/new",
            ] {
                let line = "ulimit -f 4; exec \(Command.executable.path) \(arguments)"
                let result = try Command.run(["-c", line], of: shell)
                #expect(result.status == 1 && !result.errors.isEmpty, "\(arguments): \(result.errors)")
                #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty, "\(arguments)")
            }
        }
    }

    @Test func aSignalLeavesNothingHalf() throws {
        try inFolder { folder in
            // Training waits for a writer of this pipe, the output being begun.
            let pipe = folder + "/text"
            let made = unsafe mkfifo(pipe, 0o600)
            try #require(made == 0)
            let process = Process()
            process.executableURL = Command.executable
            process.arguments = [
                "tokenizer", "train", "--kind", "byte-bpe", "--vocabulary", "300", "-o", folder + "/tokenizer.json",
                pipe,
            ]
            process.standardError = FileHandle.nullDevice
            try process.run()
            while process.isRunning, try halves(folder).isEmpty { usleep(1_000) }
            #expect(try halves(folder).count == 1)
            kill(process.processIdentifier, SIGTERM)
            process.waitUntilExit()
            #expect(process.terminationReason == .uncaughtSignal && process.terminationStatus == SIGTERM)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["text"])
        }
    }
}
