import MartletFormats
import MartletGeneration
import MartletJSON
import MartletLayers
import MartletModels
import MartletTensors
import TestSupport
import Testing

/// Every family against the reference implementation: tiny random checkpoints with the numbers that Hugging Face's code computes.
@Suite struct FamilyTests {
    static let folder = Fixtures.folder + "/families"

    /// The fixtures whose model type some family reads.
    static let supported = Fixtures.entries(folder).filter { name in
        guard let config = try? ModelFile.config(in: folder + "/" + name) else { return false }
        return Families.reading(config["model_type"]?.stringValue ?? "") != nil
    }

    @Test func thereAreFixturesOfEveryFamily() {
        #expect(Self.supported.count >= 30)
    }

    @Test(arguments: supported) func agreesWithTheReference(name: String) throws {
        try Self.compare(model: Self.folder + "/" + name, expected: Self.folder + "/\(name)/expected.safetensors")
    }

    @Test(arguments: supported) func greedyContinuationIsTheReferences(name: String) throws {
        try Self.compareGreedy(model: Self.folder + "/" + name, expected: Self.folder + "/\(name)/expected.safetensors")
    }

    @Test(arguments: supported) func countsItsParametersAsTheReferenceDoes(name: String) throws {
        let file = try ModelFile(path: Self.folder + "/" + name)
        let expected = try Safetensors(contentsOf: Self.folder + "/\(name)/expected.safetensors")
        let count = expected.metadata.first { $0.key == "parameters" }.flatMap { Int($0.value) }
        #expect(try file.inventory().total == count)
    }

    /// Logits and hidden states of each sequence within 1e-4 of the largest value, on one thread and bit-equal on two.
    static func compare(model: String, expected path: String, tolerance: Float = 1e-4) throws {
        let expected = try Safetensors(contentsOf: path).tensors
        let file = try ModelFile(path: model)
        let sequences = try sequences("tokens", expected)
        #expect(!sequences.isEmpty)
        let results = try ForwardPass.run(file, sequences, recording: .weights, on: Device(threads: 1))
        let threaded = try ForwardPass.run(file, sequences, recording: .nothing, on: Device(threads: 2))
        for (name, tensor) in results {
            if let twin = threaded.first(where: { $0.name == name }) { #expect(twin.tensor.values == tensor.values) }
            guard let wanted = try expected[name]?.tensor() else {
                #expect(name.hasPrefix("attention"), "\(name) is not in the fixture")
                continue
            }
            let largest = wanted.values.reduce(0) { max($0, abs($1)) }
            let comparison = Comparison(tensor.values, wanted.values, absolute: tolerance * max(largest, 1))
            #expect(comparison.withinTolerance, "\(name): \(comparison)")
        }
    }

    static func compareGreedy(model: String, expected path: String) throws {
        let expected = try Safetensors(contentsOf: path).tensors
        let device = Device(threads: 2)
        let decoder = try ModelFile(path: model).decoder(on: device)
        for (index, prompt) in try sequences("tokens", expected).enumerated() {
            // Where the reference's own cache changes its answer, ours is the cached one.
            let name = expected["greedy_cached.\(index)"] == nil ? "greedy" : "greedy_cached"
            let wanted = try expected.tensor("\(name).\(index)").integers
            let options = TokenGenerator.Options(maximumTokens: wanted.count - prompt.count, chunk: 8)
            var generator = try TokenGenerator(decoder, prompt: prompt, options, on: device)
            while generator.next() != nil {}
            #expect(generator.tokens == wanted)
        }
    }

    static func sequences(_ name: String, _ tensors: StoredTensors) throws -> [[Int32]] {
        var sequences: [[Int32]] = []
        while let tensor = try tensors["\(name).\(sequences.count)"]?.tensor() { sequences.append(tensor.integers) }
        return sequences
    }
}

/// The same families from GGUF files that the reference library wrote.
@Suite struct GGUFFamilyTests {
    static let folder = Fixtures.folder + "/gguf"
    static let files = Fixtures.entries(folder).filter { $0.hasSuffix(".gguf") }

    @Test(arguments: files) func agreesWithTheReference(name: String) throws {
        let expected = "\(Self.folder)/\(name.dropLast(5)).expected.safetensors"
        if name.contains("q8_0") || name.contains("q4_0") {
            try compareQuantized(model: Self.folder + "/" + name, expected: expected)
        } else {
            try FamilyTests.compare(model: Self.folder + "/" + name, expected: expected)
        }
    }

    /// Products with quantized weights round activations to 8 bits in blocks of 32, each by up to 1/254 of the block's largest, where the
    /// reference multiplies dequantized weights with f32 activations: the difference stays under 3 % of the values in the mean square.
    private func compareQuantized(model: String, expected path: String) throws {
        let expected = try Safetensors(contentsOf: path).tensors
        let sequences = try FamilyTests.sequences("tokens", expected)
        let results = try ForwardPass.run(
            ModelFile(path: model), sequences, recording: .nothing, on: Device(threads: 2))
        for (name, tensor) in results {
            let wanted = try expected.tensor(name).values
            let difference = zip(tensor.values, wanted).reduce(0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
            let size = wanted.reduce(0) { $0 + Double($1 * $1) }
            #expect((difference / size).squareRoot() < 0.03, "\(name)")
        }
    }
}
