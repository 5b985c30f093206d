import MartletFormats
import MartletGeneration
import MartletJSON
import MartletLayers
import MartletModels
import MartletTensors
import TestSupport
import Testing

/// Every family against the reference implementation: tiny random checkpoints with the numbers that Hugging Face's code
/// computes.
@Suite struct FamilyTests {
    static let folder = Fixtures.folder + "/families"

    /// The fixtures whose model type some family reads.
    static let supported = Fixtures.entries(folder).filter { name in
        guard let config = try? ModelFile.config(in: folder + "/" + name) else { return false }
        return Families.reading(config["model_type"]?.stringValue ?? "") != nil
    }

    static func hasGreedy(_ name: String) -> Bool {
        guard let expected = try? Safetensors(contentsOf: folder + "/\(name)/expected.safetensors") else {
            return false
        }
        return expected.tensors["greedy.0"] != nil && expected.tensors["decoder_tokens.0"] == nil
    }

    @Test func thereAreFixturesOfEveryFamily() {
        #expect(Self.supported.count >= 65)
    }

    @Test(arguments: supported) func agreesWithTheReference(name: String) throws {
        try Self.compare(model: Self.folder + "/" + name, expected: Self.folder + "/\(name)/expected.safetensors")
    }

    @Test(arguments: supported.filter { hasGreedy($0) })
    func greedyContinuationIsTheReferences(name: String) throws {
        try Self.compareGreedy(model: Self.folder + "/" + name, expected: Self.folder + "/\(name)/expected.safetensors")
    }

    /// A sequence among others has the bits that it has alone.
    @Test(arguments: supported) func batchedIsAlone(name: String) throws {
        let file = try ModelFile(path: Self.folder + "/" + name)
        let expected = try Safetensors(contentsOf: Self.folder + "/\(name)/expected.safetensors").tensors
        let inputs = try Self.inputs(expected)
        let together = try ForwardPass.run(file, inputs, layers: .all, on: Device(threads: 2))
        for (index, input) in inputs.enumerated() {
            for (name, tensor) in try ForwardPass.run(file, [input], layers: .all, on: Device(threads: 1)) {
                var parts = name.split(separator: ".").map(String.init)
                parts[1] = "\(index)"
                let twin = together.first { $0.name == parts.joined(separator: ".") }
                #expect(twin?.tensor.values == tensor.values, "\(name) of sequence \(index)")
            }
        }
    }

    @Test(arguments: supported) func countsItsParametersAsTheReferenceDoes(name: String) throws {
        let file = try ModelFile(path: Self.folder + "/" + name)
        let expected = try Safetensors(contentsOf: Self.folder + "/\(name)/expected.safetensors")
        func number(_ key: String) -> Int? {
            expected.metadata.first { $0.key == key }.flatMap { Int($0.value) }
        }
        // Tables of sines are no parameters here, unless they are stored as others.
        #expect(try file.inventory().total == (number("parameters") ?? 0) - (number("computed") ?? 0))
    }

    /// Logits and hidden states of each sequence within 1e-4 of the largest value, on one thread and bit-equal on two.
    static func compare(model: String, expected path: String, tolerance: Float = 1e-4) throws {
        let expected = try Safetensors(contentsOf: path).tensors
        let file = try ModelFile(path: model)
        let inputs = try inputs(expected)
        #expect(!inputs.isEmpty)
        let results = try ForwardPass.run(file, inputs, recording: .weights, on: Device(threads: 1))
        let threaded = try ForwardPass.run(file, inputs, recording: .nothing, on: Device(threads: 2))
        var compared: Set<String> = []
        for (name, tensor) in results {
            if let twin = threaded.first(where: { $0.name == name }) { #expect(twin.tensor.values == tensor.values) }
            guard let (stored, wanted) = try wanted(name, expected) else {
                let isExtra = name.contains("attention") || name.hasPrefix("encoder_hidden")
                #expect(isExtra, "\(name) is not in the fixture")
                continue
            }
            compared.insert(stored)
            // The reference's bare Longformer has no global row; with its classifier the first one is.
            if model.hasSuffix("longformer-classification") && name.hasPrefix("hidden") { continue }
            let largest = wanted.values.reduce(0) { max($0, abs($1)) }
            let comparison = Comparison(tensor.values, wanted.values, absolute: tolerance * max(largest, 1))
            #expect(comparison.withinTolerance, "\(name): \(comparison)")
        }
        // BERT's classifier reads the pooled row, which the reference also returns.
        let inner = ["tokens", "segments", "global", "greedy", "beam", "pooled", "decoder_tokens"]
        let left = expected.names.filter { name in
            !compared.contains(name) && !inner.contains { name.hasPrefix($0) }
        }
        #expect(left.isEmpty, "not computed: \(left)")
    }

    /// The array that a result is compared with: ALBERT's second head is called after what it tells.
    private static func wanted(_ name: String, _ expected: StoredTensors) throws -> (String, Tensor)? {
        for stored in [name, "sentence_order." + name.drop { $0 != "." }.dropFirst()] {
            if stored.hasPrefix("sentence_order") && !name.hasPrefix("next_sentence") { continue }
            if let tensor = try expected[stored]?.tensor() { return (stored, tensor) }
        }
        return nil
    }

    /// The inputs that the fixture fed to the reference.
    static func inputs(_ expected: StoredTensors) throws -> [ForwardPass.Input] {
        try sequences("tokens", expected).enumerated().map { index, tokens in
            let globals = try expected["global.\(index)"]?.tensor().integers.enumerated().filter { $0.element == 1 }
            return ForwardPass.Input(
                tokens, segments: try expected["segments.\(index)"]?.tensor().integers,
                decoderTokens: try expected["decoder_tokens.\(index)"]?.tensor().integers,
                globals: globals?.map(\.offset))
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

/// Families from GGUF files that the reference library wrote.
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

    /// Products with quantized weights round activations to 8 bits in blocks of 32, each by up to 1/254 of the block's
    /// largest, where the reference multiplies dequantized weights with f32 activations: the difference stays under 3 %
    /// of the values in the mean square.
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
