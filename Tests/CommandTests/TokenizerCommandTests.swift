import Foundation
import MartletJSON
import TestSupport
import Testing

/// `martlet tokenize`, `detokenize` and `tokenizer train` as scripts see them.
@Suite struct TokenizerCommandTests {
    static let lines = [
        "the quick brown fox jumps over the lazy dog", "it's  the end, isn't it? 12345", "Straße über Zürich, 今日は 🦙",
        "the the the",
    ]

    /// A folder of its own that is gone afterwards.
    private static func inFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder)
    }

    private static func write(_ text: String, _ path: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    }

    private static func train(_ folder: String, _ kind: String, _ options: [String] = []) throws -> String {
        try write(String(repeating: lines.joined(separator: "\n") + "\n", count: 20), folder + "/text.txt")
        let output = folder + "/\(kind).json"
        let result = try Command.run(
            ["tokenizer", "train", folder + "/text.txt", "--kind", kind, "--vocabulary", "330", "-o", output] + options)
        #expect(result.status == 0 && result.output.isEmpty, "\(result.errors)")
        return output
    }

    private static func ids(_ arguments: [String], _ input: String = lines.joined(separator: "\n") + "\n") throws
        -> String
    {
        let result = try Command.run(["tokenize", "--lines"] + arguments, input: input)
        #expect(result.status == 0, "\(result.errors)")
        return result.output
    }

    @Test(arguments: ["byte-bpe", "bpe", "unigram", "wordpiece"])
    func whatIsTrainedTokenizesAndComesBack(kind: String) throws {
        try Self.inFolder { folder in
            let file = try Self.train(folder, kind, ["--memory", "64MiB", "--threads", "2"])
            let ids = try Self.ids(["--tokenizer", file])
            #expect(ids.split(separator: "\n").count == Self.lines.count)
            let text = try Command.run(["detokenize", "--tokenizer", file], input: ids).output
            if kind == "wordpiece" {
                #expect(text.hasPrefix("the quick brown fox jumps over the lazy dog\n"))
            } else {
                #expect(text == Self.lines.joined(separator: "\n") + "\n")
            }
            let document = try JSON(parsing: try Self.ids(["--tokenizer", file, "--json"]))
            let plain = document.arrayValue?.map { text in
                (text.arrayValue ?? []).map { "\($0.integerValue ?? -1)" }.joined(separator: " ") + "\n"
            }
            #expect(plain?.joined() == ids)
        }
    }

    /// Lines are worked on in chunks by several threads: what comes out is in their order, whatever the threads.
    @Test func linesKeepTheirOrder() throws {
        try Self.inFolder { folder in
            let file = try Self.train(folder, "byte-bpe")
            var text = ""
            for number in 0..<40_000 { text += "\(number) \(Self.lines[number % 4])\n" }
            try Self.write(text + "no end", folder + "/lines.txt")
            func run(_ options: [String]) throws -> String {
                let arguments = ["tokenize", folder + "/lines.txt", "--lines", "--tokenizer", file] + options
                let result = try Command.run(arguments)
                #expect(result.status == 0, "\(result.errors)")
                return result.output
            }
            let ids = try run(["--threads", "1"])
            #expect(ids.split(separator: "\n").count == 40_001)
            #expect(try run(["--threads", "3"]) == ids)
            let decoded = try Command.run(["detokenize", "--tokenizer", file], input: ids).output
            #expect(decoded == text + "no end\n")
            let document = try JSON(parsing: try run(["--json", "--threads", "2"]))
            #expect(document.arrayValue?.count == 40_001)
            #expect(
                try Command.run(["tokenize", "--lines", "--json", "--tokenizer", file], input: "").output == "[]\n")
        }
    }

    @Test func offsetsAreBytes() throws {
        try Self.inFolder { folder in
            let file = try Self.train(folder, "byte-bpe")
            let text = Self.lines[2]
            let document = try JSON(parsing: try Self.ids(["--tokenizer", file, "--json", "--offsets"], text))
            let tokens = try #require(document.arrayValue?.first?.arrayValue)
            #expect(tokens.first?["start"]?.integerValue == 0)
            #expect(tokens.last?["end"]?.integerValue == text.utf8.count)
            #expect(tokens.allSatisfy { $0["id"]?.integerValue != nil && $0["token"]?.stringValue != nil })
        }
    }

    /// vocab.json with merges.txt, and ranks as tiktoken writes them, give what the tokenizer.json gives.
    @Test func otherFormatsOfTheSameVocabulary() throws {
        try Self.inFolder { folder in
            let file = try Self.train(folder, "byte-bpe")
            let expected = try Self.ids(["--tokenizer", file])
            let model = try #require(JSON(parsing: try String(contentsOfFile: file, encoding: .utf8))["model"])
            let merges = (model["merges"]?.arrayValue ?? []).map { pair in
                (pair.arrayValue ?? []).compactMap(\.stringValue).joined(separator: " ")
            }
            try Self.write(try #require(model["vocab"]).text(.compact), folder + "/vocab.json")
            try Self.write("#version: 0.2\n" + merges.joined(separator: "\n") + "\n", folder + "/merges.txt")
            #expect(try Self.ids(["--tokenizer", folder + "/vocab.json"]) == expected)

            // Ranks are ids here: 256 bytes first, each merge the next.
            var ranks = ""
            for (token, id) in try #require(model["vocab"]?.objectValue).members {
                let bytes = token.unicodeScalars.map { Self.bytes[$0] ?? 0 }
                ranks += "\(Data(bytes).base64EncodedString()) \(id.integerValue ?? -1)\n"
            }
            try Self.write(ranks, folder + "/own.tiktoken")
            let ranked = ["--tokenizer", folder + "/own.tiktoken", "--pattern"]
            #expect(try Self.ids(ranked + ["r50k_base"]) == expected)
            #expect(try Self.ids(ranked + [#" ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+"#], "the fox") != "")
            #expect(try Command.run(["tokenize"] + ranked.dropLast()).status == 2)
        }
    }

    /// GPT-2's names of bytes, undone.
    private static let bytes: [Unicode.Scalar: UInt8] = {
        var bytes: [Unicode.Scalar: UInt8] = [:]
        var next: UInt32 = 256
        for byte in UInt32(0)..<256 {
            let isPrinted = (33...126).contains(byte) || (161...172).contains(byte) || byte >= 174
            if let scalar = Unicode.Scalar(isPrinted ? byte : next) { bytes[scalar] = UInt8(byte) }
            if !isPrinted { next += 1 }
        }
        return bytes
    }()

    @Test func vocabularyTextAndSentencePiece() throws {
        try Self.inFolder { folder in
            try Self.write("[UNK]\n[CLS]\n[SEP]\nthe\nfox\n##es\n", folder + "/vocab.txt")
            #expect(try Self.ids(["--tokenizer", folder + "/vocab.txt"], "The foxes") == "1 3 4 5 2\n")
            #expect(try Self.ids(["--tokenizer", folder + "/vocab.txt", "--no-special"], "The foxes") == "3 4 5\n")
            #expect(try Self.ids(["--tokenizer", folder + "/vocab.txt", "--cased"], "The foxes") == "1 0 4 5 2\n")
            #expect(
                try Self.ids(["--tokenizer", folder + "/vocab.txt"], "the \u{0}the\n\nfox") == "1 3 3 2\n1 2\n1 4 2\n")

            // A piece: field 1 of the file, holding its text (1), its score (2) and its type (3).
            var model = Data()
            for (piece, score, type) in [("<unk>", Float(0), UInt8(2)), ("▁", -3, 1), ("a", -2, 1), ("▁a", -1, 1)] {
                var message = Data([0x0A, UInt8(piece.utf8.count)]) + Data(piece.utf8) + Data([0x15])
                message += (0..<4).map { UInt8(truncatingIfNeeded: score.bitPattern >> (8 * UInt32($0))) }
                message += Data([0x18, type])
                model += Data([0x0A, UInt8(message.count)]) + message
            }
            try model.write(to: URL(fileURLWithPath: folder + "/own.model"))
            #expect(try Self.ids(["--tokenizer", folder + "/own.model"], "a aa b") == "3 3 2 1 0\n")
        }
    }

    /// A tokenizer.json that asks for texts of six tokens cut at their beginning, in windows that repeat two, filled up
    /// to eight.
    private static let cutting = #"""
        {"truncation":{"direction":"Left","max_length":6,"strategy":"LongestFirst","stride":2},
        "padding":{"strategy":{"Fixed":8},"direction":"Left","pad_to_multiple_of":null,"pad_id":0,"pad_type_id":0,
        "pad_token":"[PAD]"},"added_tokens":[],"pre_tokenizer":{"type":"Whitespace"},"post_processor":
        {"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"[CLS]","type_id":0}},{"Sequence":{"id":"A","type_id":
        0}},{"SpecialToken":{"id":"[SEP]","type_id":0}}],"pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B",
        "type_id":1}}],"special_tokens":{"[CLS]":{"id":"[CLS]","ids":[2],"tokens":["[CLS]"]},"[SEP]":{"id":"[SEP]","ids":[3],
        "tokens":["[SEP]"]}}},"model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##",
        "max_input_chars_per_word":100,"vocab":{"[PAD]":0,"[UNK]":1,"[CLS]":2,"[SEP]":3,"the":4,"fox":5,"##es":6,"runs":7,
        "over":8,"a":9,"dog":10}}}
        """#

    /// Windows as tokenizers 0.23 makes them of the same file.
    @Test func textsAreCutAndFilledUpWhenAskedFor() throws {
        try Self.inFolder { folder in
            let file = folder + "/tokenizer.json"
            try Self.write(Self.cutting, file)
            let text = "the foxes runs over a dog the fox\n"
            func ids(_ options: String, _ input: String = text) throws -> String {
                try Self.ids(["--tokenizer", file] + options.split(separator: " ").map(String.init), input)
            }
            // Nothing is cut unless it is asked for.
            #expect(try ids("") == "2 4 5 6 7 8 9 10 4 5 3\n")
            #expect(try ids("--truncation file") == "2 9 10 4 5 3\n")
            let windows = "2 9 10 4 5 3\n2 7 8 9 10 3\n2 5 6 7 8 3\n2 4 5 6 3\n"
            #expect(try ids("--truncation file --stride 2") == windows)
            #expect(try ids("--truncation 6 --stride 2") == windows)
            #expect(
                try ids("--truncation file --stride 2 --padding --json")
                    == "[[0,0,2,9,10,4,5,3],[0,0,2,7,8,9,10,3],[0,0,2,5,6,7,8,3],[0,0,0,2,4,5,6,3]]\n")
            #expect(try ids("--padding", "the fox\n") == "0 0 0 0 2 4 5 3\n")
            #expect(try ids("--truncation 5 --padding", "the fox\n" + text) == "0 2 4 5 3\n2 10 4 5 3\n")
            let offsets = try JSON(parsing: ids("--truncation file --stride 2 --json --offsets"))
            let starts = offsets.arrayValue?.map { ($0.arrayValue ?? []).map { $0["start"]?.integerValue } }
            #expect(starts?[1] == [0, 10, 15, 20, 22, 0])
            for wrong in [
                ["--stride", "1"], ["--truncation", "many"], ["--truncation", "4", "--stride", "-1"],
                ["--truncation", "1"], ["--truncation", "0"],
            ] {
                #expect(try Command.run(["tokenize", "--tokenizer", file] + wrong, input: text).status == 2)
            }
            #expect(try ids("--truncation 1 --no-special") == "5\n")
            let far = try Command.run(
                ["tokenize", "--tokenizer", file, "--truncation", "4", "--stride", "2"], input: text)
            #expect(far.status == 1 && far.errors.contains("stride"))
        }
    }

    @Test func malformedTextIsReplacedAndSaid() throws {
        try Self.inFolder { folder in
            let file = try Self.train(folder, "byte-bpe")
            try Data([0x61, 0xFF, 0x62, 10]).write(to: URL(fileURLWithPath: folder + "/bad.txt"))
            let result = try Command.run(["tokenize", "--tokenizer", file, folder + "/bad.txt", "--lines"])
            #expect(result.status == 0 && result.errors.contains("UTF-8"))
            #expect(result.output == (try Self.ids(["--tokenizer", file], "a\u{FFFD}b")))
        }
    }

    @Test func wrongTrainingsAreRefused() throws {
        try Self.inFolder { folder in
            let file = folder + "/text.txt"
            try Self.write("the end\n", file)
            let rest = ["-o", folder + "/out.json", "--vocabulary"]
            for arguments in [
                [file, "--kind", "nothing"] + rest + ["300"], [file, "--kind", "byte-bpe"] + rest + ["10"],
                [file, "--kind", "bpe"] + rest + ["300", "--memory", "much"], ["--kind", "bpe"] + rest + ["300"],
                [file, "--kind", "bpe"] + rest + ["0"],
            ] {
                let result = try Command.run(["tokenizer", "train"] + arguments)
                #expect(result.status == 2 && result.output.isEmpty, "\(arguments): \(result.errors)")
            }
            let missing = try Command.run(["tokenizer", "train", "/nowhere", "--kind", "bpe"] + rest + ["300"])
            #expect(missing.status == 1)
            #expect(!FileManager.default.fileExists(atPath: folder + "/out.json"))
        }
    }

    /// A hundred megabytes of lines go through a process that may map less than they, their strings and their ids would
    /// take.
    @Test func linesStreamInBoundedMemory() throws {
        try Self.inFolder { folder in
            let file = try Self.train(folder, "byte-bpe")
            let count = 4_000_000
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/bin/sh")
            process.arguments = [
                "-c",
                "ulimit -v 400000; yes 'the quick brown fox jumps' | head -n \(count) | \"$0\" tokenize --lines --threads 1 --tokenizer \"$1\" | wc -l > \"$2\"",
                Command.executable.path, file, folder + "/count",
            ]
            try process.run()
            process.waitUntilExit()
            let lines = try String(contentsOfFile: folder + "/count", encoding: .utf8)
            #expect(lines.filter(\.isNumber) == "\(count)")
        }
    }
}
