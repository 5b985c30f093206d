import MartletFormats
import MartletGeneration
import MartletJSON
import MartletModels
import MartletTensors
import TestSupport
import Testing

/// A model whose weights are damaged says so, and in which layer, rather than writing the first token of its
/// vocabulary.
@Suite struct UndefinedLogitsTests {
    /// The fixture with a NaN in the tensor `name`.
    static func damaged(_ fixture: String, _ name: String, _ body: (ModelFile) throws -> Void) throws {
        let original = Fixtures.folder + "/families/" + fixture
        try TemporaryFolder.use { path in
            let tensors = try Safetensors(directory: original).tensors.all.map { stored in
                var values = try stored.tensor().values
                if stored.name == name { values[values.count / 2] = .nan }
                return (name: stored.name, tensor: Tensor(values, shape: Shape(stored.extents)))
            }
            #expect(tensors.contains { $0.name == name })
            try Safetensors.write(tensors, to: path + "/model.safetensors")
            try writeFile(JSON.object(ModelFile.config(in: original)).serialized(), to: path + "/config.json")
            try body(ModelFile(path: path))
        }
    }

    private static func error(_ run: () throws -> Void) -> GenerationError? {
        do { try run() } catch { return error as? GenerationError }
        return nil
    }

    @Test func beamsOfADecoderNameTheLayer() throws {
        let device = Device(threads: 1)
        try Self.damaged("llama", "model.layers.1.mlp.down_proj.weight") { file in
            let decoder = try file.decoder(on: device)
            let error = Self.error {
                _ = try BeamSearch(.init(beams: 2, maximumTokens: 3), vocabulary: 64)
                    .run([[5, 6, 7]], on: Continuation(decoder, sequences: 1, on: device))
            }
            #expect(error?.kind == .failure)
            #expect(error?.cause.contains("layer 1 is the first") == true, "\(String(describing: error))")
        }
    }

    @Test func beamsOfAnEncoderDecoderNameTheSide() throws {
        let device = Device(threads: 1)
        let cases = [
            ("encoder.block.0.layer.0.SelfAttention.o.weight", "encoder"),
            ("decoder.block.0.layer.1.EncDecAttention.o.weight", "layer 0 is the first"),
        ]
        for (name, words) in cases {
            try Self.damaged("t5", name) { file in
                guard case .encoderDecoder(let model) = try file.model(on: device) else { return }
                let error = Self.error {
                    _ = try BeamSearch(.init(beams: 1, maximumTokens: 3), vocabulary: model.targetVocabulary)
                        .run([[0]], sources: [[5, 6, 7]], on: Continuation(model, sources: [[5, 6, 7]], on: device))
                }
                #expect(error?.cause.contains(words) == true, "\(String(describing: error))")
            }
        }
    }
}
