import Foundation
import MartletFormats
import MartletJSON
import TestSupport
import Testing

/// Wrong usage: refused by its name before anything runs, with exit code 2; what fails, with 1.
@Suite struct UsageTests {
    private static let families = Fixtures.folder + "/families"
    private static let tasks = Fixtures.folder + "/tasks"
    private static let shell = URL(fileURLWithPath: "/bin/sh")

    /// Options whose values cannot be meant, each with what the message must name.
    private static let wrong: [(arguments: [String], word: String)] = [
        (["evaluate", "--task", "chrf", "--data", "a", "--word-order", "-1"], "--word-order"),
        (["evaluate", "--task", "chrf", "--data", "a", "--word-order", "1000000000"], "--word-order"),
        (["evaluate", "--task", "accuracy", "--data", "a", "--errors", "-1"], "--errors"),
        (["evaluate", "--task", "bleu", "--data", "a", "--smooth", "floor", "--smooth-value", "nan"], "smooth-value"),
        (["evaluate", "--task", "bleu", "--data", "a", "--smooth", "floor", "--smooth-value", "inf"], "smooth-value"),
        (["evaluate", "--task", "bleu", "--data", "a", "--smooth", "add-k", "--smooth-value", "-1"], "smooth-value"),
        (["evaluate", "--task", "entities", "--data", "a", "--predictions", "b", "--strict"], "--strict-tags"),
        (["translate", "-m", "a", "--beams", "0"], "--beams"),
        (["translate", "-m", "a", "--results", "5", "--beams", "2"], "--results"),
        (["translate", "-m", "a", "--length-penalty", "nan"], "--length-penalty"),
        (["translate", "-m", "a", "--no-repeat-ngram", "-1"], "--no-repeat-ngram"),
        (["translate", "-m", "a", "--max-tokens", "9223372036854775807"], "--max-tokens"),
        (["translate", "-m", "a", "--min-tokens", "9", "--max-tokens", "3"], "--min-tokens"),
        (["embed", "-m", "\(tasks)/classes", "--prompt-name", "nope"], "--prompt-name"),
        (["prune", "-m", "a", "--keep", "0,0", "-o", "b"], "--keep"),
        (["prune", "-m", "a", "--keep", "1,0", "-o", "b"], "--keep"),
        (["prune", "-m", "a", "--keep", "0", "--layers", "2", "-o", "b"], "--layers"),
        (["convert", "-m", "\(families)/llama", "--merge", "-o", "unwritten"], "--merge"),
        (["tokenizer", "train", "a", "--kind", "bpe", "--vocabulary", "99", "--special", "", "-o", "b"], "--special"),
        (["bench", "--streams", "1,,2"], "--streams"), (["bench", "--streams", "1", "--batch", "2"], "--batch"),
        (["bench", "--streams", "1", "--beams", "2"], "--beams"),
        (["plan", "llama-3-8b", "--devices", "0"], "--devices"),
        (["plan", "llama-3-8b", "--devices", "9223372036854775807"], "--devices"),
        (["plan", "llama-3-8b", "--global-batch", "-3"], "--global-batch"),
        (["plan", "llama-3-8b", "--optimizer", "bogus"], "--optimizer"),
        (["plan", "llama-3-8b", "--compute", "1e20"], "--compute"),
        (["plan", "--runs", "a.csv", "--compute", "1e20"], "--compute"),
        (["generate", "-m", CommandTests.model, "a", "--json", "--json-lines"], "--json"),
        (["generate", "-m", CommandTests.model, "a", "--logit-bias", "99999999=1"], "--logit-bias"),
        (["tokenize", "--json", "--json-lines"], "--json"), (["embed", "-m", "a", "--json", "--json-lines"], "--json"),
        (["tokenize", "-m", CommandTests.model, "--padding", "--truncation", "9223372036854775807"], "--truncation"),
        (["train", "a.yaml", "--set", "nothing"], "--set"), (["train", "a.yaml", "--layout", "data=0"], "--layout"),
        (["explain", "-m", CommandTests.model, "one two", "--row", "99", "-o", "unwritten"], "--row"),
        (["explain", "-m", CommandTests.model, "one two", "--row", "-5", "-o", "unwritten"], "--row"),
        (["explain", "-m", CommandTests.model, "one two", "--target", "x", "-o", "unwritten"], "--target"),
        (["rerank", "-m", "a", "--query", "b", "c", "d"], "--query"), (["rerank", "-m", "a"], "QUERY"),
    ]

    @Test(arguments: wrong.indices) func wrongValuesAreRefusedByName(_ index: Int) throws {
        let (arguments, word) = Self.wrong[index]
        let result = try Command.run(arguments, input: "a\nb\n")
        #expect(result.status == 2 && result.output.isEmpty, "\(arguments): \(result.status) \(result.errors)")
        #expect(result.errors.contains(word), "\(arguments): \(result.errors)")
        // Once, and not for every line.
        #expect(!result.errors.contains("line 2"))
    }

    @Test func whatAModelDoesNotHaveIsNamed() throws {
        let output = Fixtures.temporaryFile("unwritten")
        let cases: [(arguments: [String], word: String)] = [
            (["forward", "-m", "\(Self.families)/bert", "--tokens", "1", "--globals", "0", "-o", output], "global"),
            (
                ["forward", "-m", "\(Self.families)/llama", "--tokens", "1", "--segments", "0", "-o", output],
                "segments"
            ),
            (
                ["quantize", "-m", CommandTests.model, "--type", "Q8_0", "--tensor", "nope=q8_0", "-o", output],
                "no tensor is called nope"
            ),
            (["prune", "-m", "\(Self.tasks)/classes", "--layers", "1", "--data", "/dev/null", "-o", output], "line"),
            (["generate", "-m", "/etc/passwd", "a"], "no model"), (["generate", "-m", "/dev/zero", "a"], "no model"),
            (["convert", "-m", "\(Self.families)/bert", "-o", "\(output).gguf"], "no name for head.transform.weight"),
        ]
        for (arguments, word) in cases {
            let result = try Command.run(arguments)
            #expect(result.status == 1 && result.errors.contains(word), "\(arguments): \(result.errors)")
            #expect(!result.errors.contains("without the tokenizer") && !result.errors.contains("model.safetensors"))
        }
        #expect(!FileManager.default.fileExists(atPath: output))
    }

    /// Open MPI tells root a page; the command says it in a line.
    @Test(.enabled(if: isRefusedByOpenMPI, "root without Open MPI's leave alone is refused"))
    func ranksOfRootAreRefusedInALine() throws {
        let result = try Command.run(["generate", "-m", CommandTests.model, "a", "--ranks", "2"])
        #expect(result.status == 1 && result.errors.contains("root"), "\(result.errors)")
        #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
    }

    private static let isRefusedByOpenMPI: Bool = {
        let isAllowed = ProcessInfo.processInfo.environment["OMPI_ALLOW_RUN_AS_ROOT"] != nil
        let version = try? Command.run(["-c", "mpirun --version"], of: shell)
        return geteuid() == 0 && !isAllowed && version?.output.contains("Open MPI") == true
    }()

    @Test func argumentsAreText() throws {
        let line = "exec \(Command.executable.path) generate -m \(CommandTests.model) \"$(printf 'a\\377')\""
        let result = try Command.run(["-c", line], of: Self.shell)
        #expect(result.status == 2 && result.errors.contains("UTF-8"), "\(result.errors)")
    }

    /// A model that does not fit memory is refused by its size, where it would have ended the process.
    @Test(arguments: [
        "tokenize /dev/zero", "tokenize --lines /dev/zero", "evaluate --task perplexity --data /dev/zero",
    ])
    func inputsEndBeforeMemoryDoes(_ arguments: String) throws {
        let line = "ulimit -v 800000; exec \(Command.executable.path) \(arguments)"
        let result = try Command.run(["-c", line], of: Self.shell)
        #expect(result.status == 1 && result.errors.contains("bytes"), "\(result.status) \(result.errors)")
        #expect(result.errors.split(separator: "\n").count == 1)
    }

    /// Limits too small for Swift's runtime, and for a model beside it.
    @Test(arguments: [4, 5, 6]) func fewOpenFilesEndInALine(_ limit: Int) throws {
        let line = "ulimit -n \(limit); exec \(Command.executable.path) generate -m \(CommandTests.model) a"
        let result = try Command.run(["-c", line], of: Self.shell)
        #expect(result.status == 1 && result.errors.contains("files"), "\(result.status) \(result.errors)")
        #expect(result.errors.split(separator: "\n").count == 1)
    }

    /// Others' results are kept, each at its place.
    @Test func badLinesOfIdsAreNamed() throws {
        let model = CommandTests.model
        let good = try Command.run(["detokenize", "-m", model], input: "5\n7\n")
        let mixed = try Command.run(["detokenize", "-m", model], input: "5\nabc\n-7\n7\n")
        var lines = good.output.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        lines.insert(contentsOf: ["", ""], at: 1)
        #expect(mixed.status == 1 && mixed.output == lines.joined(separator: "\n"), "\(mixed.output)")
        #expect(mixed.errors.contains("line 2") && mixed.errors.contains("line 3"), "\(mixed.errors)")
        let document = try Command.run(["detokenize", "-m", model], input: #"[[5],["x"],[7]]"#)
        #expect(document.status == 1 && document.errors.contains("text 2"), "\(document.errors)")
    }

    @Test func aFileInAModelsFolderIsInspectedAsTheFolder() throws {
        let folder = Self.tasks + "/classes"
        let whole = try Command.run(["inspect", folder, "--json"])
        let file = try Command.run(["inspect", folder + "/config.json", "--json"])
        #expect(whole.status == 0 && file.output == whole.output, "\(file.errors)")
        let other = Fixtures.temporaryFile("weights.st")
        try FileManager.default.copyItem(atPath: folder + "/model.safetensors", toPath: other)
        defer { try? FileManager.default.removeItem(atPath: other) }
        let alone = try JSON(parsing: Command.run(["inspect", other, "--json"]).output)
        #expect(alone["tensors"]?.arrayValue?.isEmpty == false)
    }

    /// A cross-encoder, and an embedder by cosine; the query first, or with --query.
    @Test func linesAreRankedForAQuery() throws {
        let lines = "the sea\na b\n"
        let cross = Fixtures.folder + "/sentences/cross"
        let first = try Command.run(["rerank", "-m", cross, "a b"], input: lines)
        let named = try Command.run(["rerank", "-m", cross, "--query", "a b"], input: lines)
        #expect(first.status == 0 && first.output == named.output, "\(first.errors)")
        let file = Fixtures.temporaryFile("lines.txt")
        try lines.write(toFile: file, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(atPath: file) }
        for arguments in [["a b", file], ["--query", "a b", file]] {
            #expect(try Command.run(["rerank", "-m", cross] + arguments).output == first.output)
        }
        let mean = try Command.run(
            ["rerank", "-m", Fixtures.folder + "/sentences/mean", "a b", "--json"], input: lines)
        let best = try JSON(parsing: String(mean.output.prefix { $0 != "\n" }))
        #expect(best["index"]?.integerValue == 1 && (best["score"]?.doubleValue ?? 0) > 0.999, "\(mean.errors)")
    }

    @Test func resultsThatAreObjectsComeOneALine() throws {
        let text = Fixtures.temporaryFile("text.txt")
        try String(repeating: "the sea and the sand ", count: 9).write(toFile: text, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(atPath: text) }
        let model = Fixtures.folder + "/gguf/llama-f32.gguf"
        let compared = try Command.run(
            ["compare", model, model, "--task", "perplexity", "--data", text, "--json-lines"])
        let objects = try compared.output.split(separator: "\n").map { try JSON(parsing: String($0)) }
        #expect(objects.map { $0["model"]?.stringValue } == [model, model], "\(compared.errors)")
        let listed = try Command.run(["list", "--json"])
        let lines = try Command.run(["list", "--json-lines"])
        #expect(
            try JSON(parsing: listed.output).arrayValue?.count == lines.output.split(separator: "\n").count,
            "\(lines.errors)")
    }

    @Test func gGUFIsKnownInLettersOfEitherCase() throws {
        let output = Fixtures.temporaryFile("x.GGUF")
        defer { try? FileManager.default.removeItem(atPath: output) }
        let result = try Command.run(["convert", "-m", CommandTests.model, "-o", output])
        #expect(result.status == 0, "\(result.errors)")
        #expect(try !GGUF(contentsOf: output).tensors.all.isEmpty)
    }

    @Test func runsThatFixNoConstantsAreRefused() throws {
        let file = Fixtures.temporaryFile("runs.csv")
        defer { try? FileManager.default.removeItem(atPath: file) }
        let same = String(repeating: "1e9,2e10,2.5\n", count: 7)
        for (text, word) in [("parameters,tokens,loss\n" + same, "five constants"), ("a,b\n1,2\n", "columns")] {
            try text.write(toFile: file, atomically: true, encoding: .utf8)
            let result = try Command.run(["plan", "--runs", file])
            #expect(result.status == 1 && result.errors.contains(word), "\(result.status) \(result.errors)")
        }
    }
}
