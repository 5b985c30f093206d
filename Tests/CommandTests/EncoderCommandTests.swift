import Foundation
import MartletFormats
import MartletJSON
import MartletTensors
import TestSupport
import Testing

/// The verbs that run encoders and encoder-decoders, as scripts see them.
@Suite struct EncoderCommandTests {
    static let folder = Fixtures.folder + "/families"

    static func list(_ numbers: [Int32]) -> String { numbers.map(String.init).joined(separator: ",") }

    /// Runs `forward` on the sequences of a fixture and reads what it wrote.
    static func forward(_ fixture: String, _ arrays: [(option: String, array: String)]) throws -> StoredTensors {
        let expected = try Safetensors(contentsOf: "\(folder)/\(fixture)/expected.safetensors").tensors
        let file = FileManager.default.temporaryDirectory.path + "/martlet-\(UUID().uuidString).safetensors"
        defer { try? FileManager.default.removeItem(atPath: file) }
        var arguments = ["forward", "-m", folder + "/" + fixture, "-o", file, "--attentions", "--layers"]
        for (option, array) in arrays {
            arguments += ["--" + option, list(try expected.tensor(array + ".0").integers)]
        }
        let result = try Command.run(arguments)
        #expect(result.status == 0, "\(result.errors)")
        return try Safetensors(contentsOf: file).tensors
    }

    @Test func forwardWritesAnEncodersNumbers() throws {
        let written = try Self.forward("bert", [("tokens", "tokens"), ("segments", "segments")])
        let expected = try Safetensors(contentsOf: Self.folder + "/bert/expected.safetensors").tensors
        for name in ["logits.0", "hidden.0", "attention.0.0", "attention.0.1"] {
            let comparison = try Comparison(
                written.tensor(name).values, expected.tensor(name).values, absolute: 1e-3)
            #expect(comparison.withinTolerance, "\(name): \(comparison)")
        }
        #expect(try written.tensor("hidden.0.1").values == written.tensor("hidden.0").values)
    }

    @Test func forwardWritesBothSidesOfAnEncoderDecoder() throws {
        let written = try Self.forward("t5", [("tokens", "tokens"), ("decoder-tokens", "decoder_tokens")])
        let expected = try Safetensors(contentsOf: Self.folder + "/t5/expected.safetensors").tensors
        for name in [
            "logits.0", "hidden.0", "encoder_hidden.0", "attention.0.0", "encoder_attention.0.1", "cross_attention.0.0",
        ] {
            let comparison = try Comparison(
                written.tensor(name).values, expected.tensor(name).values, absolute: 1e-3)
            #expect(comparison.withinTolerance, "\(name): \(comparison)")
        }
    }

    @Test(arguments: [[], ["--weights", "q8_0"]]) func answerNamesTheBestSpan(options: [String]) throws {
        try TemporaryFolder.use { path in
            let context = "Ada lived in London. Bob was born in Paris."
            try writeFile(Array(context.utf8), to: path + "/context.txt")
            let model = Fixtures.folder + "/tasks/answers"
            let result = try Command.run(
                ["answer", "-m", model, "--context", path + "/context.txt", "--json", "Where was Bob born?"] + options)
            #expect(result.status == 0, "\(result.errors)")
            let answer = try JSON(parsing: result.output)
            let (start, end) = (answer["start"]?.integerValue ?? 0, answer["end"]?.integerValue ?? 0)
            #expect(start < end && answer["text"]?.stringValue == String(context.dropFirst(start).prefix(end - start)))
        }
    }

    /// Names from a file cannot steer the terminal.
    @Test func inspectSpellsControlCharactersOut() throws {
        try TemporaryFolder.use { path in
            let file = path + "/odd.safetensors"
            try Safetensors.write(
                [(name: "a\u{1B}[31m\u{202E}\nb", tensor: Tensor([1], shape: [1]))],
                metadata: [(key: "k\u{9B}", value: "v\u{7F}")], to: file)
            let result = try Command.run(["inspect", file])
            #expect(result.status == 0)
            #expect(result.output.contains("a\\u{1B}[31m\\u{202E}\\nb"), "\(result.output)")
            let controls = result.output.unicodeScalars.filter {
                $0 != "\n" && [.control, .format].contains($0.properties.generalCategory)
            }
            #expect(controls.isEmpty)
            #expect(
                try JSON(parsing: Command.run(["inspect", file, "--json"]).output)["tensors"]?.arrayValue?.count == 1)
        }
    }

    @Test func forwardSaysWhatIsWrong() throws {
        let model = Self.folder + "/t5"
        let result = try Command.run([
            "forward", "-m", model, "-o", "unwritten", "--tokens", "1,2,99", "--segments", "0,0,7",
        ])
        #expect(result.status == 1)
        for words in ["token 99", "segment 7", "the decoder's sequence 0 has no tokens"] {
            #expect(result.errors.contains(words), "\(result.errors)")
        }
        let uneven = try Command.run([
            "forward", "-m", model, "-o", "unwritten", "--tokens", "1", "--decoder-tokens", "1", "--decoder-tokens",
            "2",
        ])
        #expect(uneven.status == 2)
    }

    @Test(.enabled(if: Fixtures.data != nil, "needs the real models beside the package"))
    func embedWritesOneVectorPerLine() throws {
        let model = (Fixtures.data ?? "") + "/weights/all-MiniLM-L6-v2"
        let lines = "A cat.\nTwo dogs are here.\n"
        let document = try JSON(parsing: try Command.run(["embed", "-m", model, "--json"], input: lines).output)
        #expect(document.arrayValue?.map { $0.arrayValue?.count } == [384, 384])
        let plain = try Command.run(["embed", "-m", model], input: lines).output.split(separator: "\n")
        #expect(plain.map { $0.split(separator: " ").count } == [384, 384])
        let numbers = plain[0].split(separator: " ").compactMap { Double($0) }
        #expect(numbers == document[0]?.arrayValue?.compactMap(\.doubleValue))
        let other = try Command.run(["classify", "-m", model], input: lines)
        #expect(other.status == 1 && other.errors.contains("ForSequenceClassification"))
    }
}
