import MartletFormats
import MartletLayers
import MartletModels
import MartletTensors
import MartletTraining
import TestSupport
import Testing

/// The first steps of tiny models beside PyTorch's: `Tools/fixtures/training_losses.py`.
@Suite struct FirstStepsTests {
    private static let steps = 12
    private static let passes = [[11, 5], [7]]

    private func tokens(_ step: Int, _ sequence: Int, _ length: Int) -> [Int32] {
        (0..<length).map { Int32(($0 * $0 * (step % 3 + 1) + 5 * sequence + step) % 61) }
    }

    /// AdamW in two groups, clipping by the norm of all, warm-up and half a cosine, two uneven passes to a step.
    @Test(arguments: ["gpt2", "llama-tied"])
    func lossesEqualPyTorchs(_ name: String) throws {
        try expectLosses(name, Reference(name), .init(), loss: 1e-4, norm: 1e-3)
    }

    /// Mixed precision beside autocast's, and beside f32: losses of those two differ by up to 0.005 (GPT-2) and 0.011
    /// (Llama), norms by up to 0.024 of themselves.
    @Test(arguments: ["gpt2", "llama-tied"])
    func mixedPrecisionIsNearPyTorchs(_ name: String) throws {
        var settings = ModelLearner.Settings()
        settings.precision = .bf16
        try expectLosses(name, Reference(name + "-losses-bf16"), settings, loss: 0.02, norm: 0.04)
        try expectLosses(name, Reference(name), settings, loss: 0.02, norm: 0.04)
    }

    private struct Reference {
        let losses, norms: [Float]

        init(_ name: String) throws {
            let file = name.hasSuffix("bf16") ? name : name + "-losses"
            let tensors = try Safetensors(contentsOf: Fixtures.folder + "/training/\(file).safetensors").tensors
            losses = try tensors.tensor("losses").values
            norms = try tensors.tensor("norms").values
        }
    }

    private func expectLosses(
        _ name: String, _ expected: Reference, _ settings: ModelLearner.Settings, loss tolerance: Float,
        norm normTolerance: Float
    ) throws {
        let (losses, norms) = (expected.losses, expected.norms)
        let device = Device(threads: 2)
        let file = try ModelFile(path: Fixtures.folder + "/families/" + name)
        let source = CheckpointSource(try file.checkpoint(), device: device)
        let learner = try ModelLearner(file.architecture, from: source, settings, on: device) {
            AdamW($0, betas: (0.9, 0.95), decay: 0.1)
        }
        let schedule = Schedule(.cosine(final: 0.1), warmUp: 3, steps: Self.steps)
        for step in 0..<Self.steps {
            var (loss, count, sequence) = (0.0, 0, 0)
            for lengths in Self.passes {
                var batch = Batch()
                for length in lengths {
                    let tokens = tokens(step, sequence, length)
                    batch.append(Example(tokens: tokens, targets: tokens.dropFirst() + [Example.ignored]))
                    sequence += 1
                }
                loss += try learner.accumulate(batch, seed: 0)
                count += batch.targetCount
            }
            let norm = try learner.gradientNorm(scale: 1 / Float(count))
            #expect(
                abs(Float(norm) - norms[step]) < normTolerance * norms[step],
                "step \(step): norm \(norm), \(norms[step])")
            let mean = Float(loss / Double(count))
            #expect(abs(mean - losses[step]) < tolerance, "step \(step): \(mean) against \(losses[step])")
            let clip = Float(min(1, 1 / (norm + 1e-6)))
            try learner.update(learningRate: 4e-3 * schedule.share(at: step), scale: clip / Float(count))
        }
    }
}
