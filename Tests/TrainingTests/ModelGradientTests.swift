import MartletFormats
import MartletLayers
import MartletModels
import MartletTensors
import MartletTraining
import TestSupport
import Testing

/// Gradients of whole models: PyTorch's, and differences of the loss itself for every family there is a checkpoint of.
@Suite struct ModelGradientTests {
    private static let families = Fixtures.folder + "/families"

    /// One sequence of a family's fixture, so many times, with what is to be predicted, as
    /// `Tools/fixtures/gradients.py` chooses it.
    private static func batch(_ expected: StoredTensors, of architecture: Architecture, copies: Int = 1) throws -> Batch
    {
        let globals = (try? expected.tensor("global.0"))?.integers
        let tokens = try expected.tensor(globals == nil ? "tokens.1" : "tokens.0").integers
        let example = try example(expected, tokens, of: architecture)
        var batch = Batch()
        for _ in 0..<copies {
            batch.append(example, globals: globals.map { mask in mask.indices.filter { mask[$0] == 1 } })
        }
        return batch
    }

    private static func example(
        _ expected: StoredTensors, _ tokens: [Int32], of architecture: Architecture
    ) throws -> Example {
        switch architecture.body {
        case .decoder: return Example(tokens: tokens, targets: tokens.dropFirst() + [Example.ignored])
        case .encoder: return Example(tokens: tokens, targets: tokens.reversed())
        case .encoderDecoder:
            let written = try expected.tensor("decoder_tokens.1").integers
            return Example(
                tokens: tokens, decoderTokens: written, targets: written.dropFirst() + [Example.ignored])
        }
    }

    private static func learner(
        _ file: ModelFile, threads: Int = 2, _ settings: ModelLearner.Settings = .init()
    ) throws -> ModelLearner {
        let device = Device(threads: threads)
        let source = CheckpointSource(try file.checkpoint(), device: device)
        return try ModelLearner(file.architecture, from: source, settings, on: device) { AdamW($0) }
    }

    /// PyTorch's gradients under our names: the checkpoint with its numbers replaced by theirs, read as any checkpoint.
    private static func reference(_ name: String, _ body: (Checkpoint, StoredTensors) throws -> Void) throws {
        let folder = families + "/" + name
        let gradients = try Safetensors(contentsOf: folder + "/gradients.safetensors").tensors
        let weights = try Safetensors(contentsOf: folder + "/model.safetensors").tensors
        let mixed = try weights.all.map { stored in
            let weight = try stored.tensor()
            let zeros = Tensor(Array(repeating: 0, count: weight.shape.elements), shape: weight.shape)
            return (stored.name, try gradients[stored.name]?.tensor() ?? zeros)
        }
        try TemporaryFolder.use { path in
            try Safetensors.write(mixed, to: path + "/model.safetensors")
            try writeFile(Fixtures.bytes(folder + "/config.json"), to: path + "/config.json")
            try body(ModelFile(path: path).checkpoint(), gradients)
        }
    }

    @Test(arguments: [
        "llama", "gpt2", "bert", "t5", "mixtral", "deberta-v2", "deberta-v3", "longformer", "cohere-head-norms",
    ])
    func equalPyTorch(_ name: String) throws {
        let folder = Self.families + "/" + name
        let file = try ModelFile(path: folder)
        let learner = try Self.learner(file)
        let expected = try Safetensors(contentsOf: folder + "/expected.safetensors").tensors
        let batch = try Self.batch(expected, of: file.architecture)
        let loss = try learner.accumulate(batch, seed: 0) / Double(batch.targetCount)
        try Self.reference(name) { checkpoint, gradients in
            let stated = try gradients.tensor("loss").values[0]
            #expect(abs(Float(loss) - stated) < 1e-5 * stated, "\(loss) against \(stated)")
            let source = CheckpointSource(checkpoint, device: learner.parameters.device)
            for (index, name) in learner.parameters.names.enumerated() {
                let shape = learner.parameters.shapes[index]
                let expected = try #require(source.parameter(ParameterDescription(name, shape, .zeros)).value)
                    .decoded(on: learner.parameters.device).values
                let found = (learner.gradients[index] * Float(1 / Double(batch.targetCount))).values
                let largest = expected.reduce(0) { max($0, abs($1)) }
                let comparison = Comparison(found, expected, absolute: largest * 1e-4 + 1e-7)
                #expect(comparison.withinTolerance, "\(name): \(comparison)")
            }
        }
    }

    private static var dropout: DropoutShares {
        var shares = DropoutShares()
        (shares.residual, shares.attention, shares.activation) = (0.1, 0.2, 0.15)
        return shares
    }

    private static var trainable: [String] {
        // At the router of phimoe-longrope two experts are so near that every step crosses from one to the other.
        Fixtures.entries(families).filter { name in
            guard name != "phimoe-longrope" else { return false }
            guard let file = try? ModelFile(path: families + "/" + name),
                (try? Safetensors(contentsOf: families + "/" + name + "/expected.safetensors")) != nil
            else { return false }
            return (try? learner(file)) != nil
        }
    }

    /// (loss(w + h d) − loss(w − h d)) / 2h = gradient · d, for a random direction d of each parameter.
    @Test(arguments: trainable)
    func equalDifferences(_ name: String) throws {
        let folder = Self.families + "/" + name
        let file = try ModelFile(path: folder)
        let learner = try Self.learner(file)
        let expected = try Safetensors(contentsOf: folder + "/expected.safetensors").tensors
        let batch = try Self.batch(expected, of: file.architecture)
        _ = try learner.accumulate(batch, seed: 0)
        let norm = try learner.gradientNorm(scale: 1)
        #expect(norm > 0)
        for index in learner.parameters.names.indices {
            try compare(index, learner, batch, norm: norm)
        }
    }

    private func compare(_ index: Int, _ learner: ModelLearner, _ batch: Batch, norm: Double) throws {
        let weight = learner.parameters[index]
        let original = weight * 1
        let random = Random(seed: UInt64(index))
        let direction = learner.parameters.device.tensor(
            random.normals(weight.shape.elements, deviation: 1), shape: weight.shape)
        // Along the gradient too, so that the expected slope is not lost in rounding.
        let gradient = learner.gradients[index]
        let length = gradient.sumOfSquares().squareRoot()
        let size = Float(original.sumOfSquares().squareRoot() / Double(weight.shape.elements).squareRoot()) + 0.01
        let along =
            length > 0 ? direction + gradient * Float(Double(weight.shape.elements).squareRoot() / length) : direction
        func loss(_ factor: Float) throws -> Double {
            weight.overwrite(with: original + along * factor, adding: false)
            return try learner.loss(of: batch)
        }
        let expected = (gradient * along).values.reduce(0.0) { $0 + Double($1) }
        let tolerance = 0.01 * abs(expected) + 2e-3 * norm
        // Large steps cross the kinks of ReLU and of routing, small ones drown in rounding: one of them must agree.
        var slopes: [Double] = []
        for share: Float in [1e-3, 1e-4, 1e-5, 1e-6] {
            let step = share * size
            try slopes.append((8 * (loss(step) - loss(-step)) - (loss(2 * step) - loss(-2 * step))) / Double(12 * step))
        }
        weight.overwrite(with: original, adding: false)
        #expect(
            slopes.contains { abs($0 - expected) <= tolerance },
            "\(learner.parameters.names[index]): slopes of \(slopes), the gradient says \(expected)")
    }

    /// A family's checkpoint, and its reference's texts `copies` times.
    private static func fixture(_ name: String, copies: Int) throws -> (file: ModelFile, batch: Batch) {
        let folder = families + "/" + name
        let file = try ModelFile(path: folder)
        let expected = try Safetensors(contentsOf: folder + "/expected.safetensors").tensors
        return (file, try batch(expected, of: file.architecture, copies: copies))
    }

    @Test(arguments: ["llama-grouped", "mixtral", "t5", "bloom", "deberta-v2", "longformer"])
    func threadsDoNotMatter(_ name: String) throws {
        let (file, batch) = try Self.fixture(name, copies: 20)
        var settings = ModelLearner.Settings()
        settings.dropout = Self.dropout
        settings.expertBalance = 0.1
        let one = try Self.learner(file, threads: 1, settings)
        let three = try Self.learner(file, threads: 3, settings)
        #expect(try one.accumulate(batch, seed: 7) == three.accumulate(batch, seed: 7))
        for index in one.parameters.names.indices {
            #expect(one.gradients[index].values == three.gradients[index].values, "\(one.parameters.names[index])")
        }
    }

    @Test(arguments: ["llama-grouped", "gpt2", "gemma2", "t5", "deberta-v3", "longformer"])
    func recomputationRepeatsEveryBit(_ name: String) throws {
        let (file, batch) = try Self.fixture(name, copies: 3)
        var settings = ModelLearner.Settings()
        settings.dropout = Self.dropout
        let kept = try Self.learner(file, settings)
        settings.recomputation = .byLayer
        let again = try Self.learner(file, settings)
        #expect(try kept.accumulate(batch, seed: 3) == again.accumulate(batch, seed: 3))
        for index in kept.parameters.names.indices {
            #expect(kept.gradients[index].values == again.gradients[index].values, "\(kept.parameters.names[index])")
        }
    }

    @Test func passesAddUpToTheWholeBatch() throws {
        let folder = Self.families + "/llama"
        let file = try ModelFile(path: folder)
        let tokens = try Safetensors(contentsOf: folder + "/expected.safetensors").tensors.tensor("tokens.1").integers
        let examples = [17, 9, 13, 4].map { count in
            Example(tokens: Array(tokens[..<count]), targets: tokens[1..<count] + [Example.ignored])
        }
        var whole = Batch()
        for example in examples { whole.append(example) }
        let (one, several) = (try Self.learner(file), try Self.learner(file))
        var loss = 0.0
        for example in examples {
            var part = Batch()
            part.append(example)
            loss += try several.accumulate(part, seed: 0)
        }
        #expect(abs(try one.accumulate(whole, seed: 0) - loss) < 1e-6 * loss)
        for index in one.parameters.names.indices {
            let expected = one.gradients[index].values
            let largest = expected.reduce(0) { max($0, abs($1)) }
            let comparison = Comparison(several.gradients[index].values, expected, absolute: largest * 1e-6)
            #expect(comparison.withinTolerance, "\(one.parameters.names[index]): \(comparison)")
        }
    }
}
