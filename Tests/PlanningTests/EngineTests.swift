import MartletJSON
import MartletLayers
import MartletMeasuring
import MartletModels
import MartletPlanning
import MartletTensors
import TestSupport
import Testing

/// The plan of this engine's own runs: bytes exactly, buffers nearly. Speeds are not tested: tests measure
/// no time.
@Suite struct EngineTests {
    private static let decoders = WrittenFileTests.folders.filter { name in
        guard let file = try? ModelFile(path: Fixtures.folder + "/families/" + name) else { return false }
        if case .decoder = file.architecture.body { return file.architecture.writes } else { return false }
    }

    /// The panels that loading makes are those that the model asks for when it is only counted.
    @Test(arguments: decoders) func packedBytesAreThoseOfLoading(_ name: String) throws {
        let file = try ModelFile(path: Fixtures.folder + "/families/" + name)
        var loaded = PackedWeights()
        _ = try file.decoder(on: Device(threads: 1), weights: &loaded)
        let checkpoint = try file.checkpoint()
        let memory = try EngineMemory(
            file.architecture, types: { checkpoint.type($0.name) ?? .f32 }, tokens: 1, rows: 1)
        #expect(memory.packedBytes == loaded.bytes)
    }

    private static func architecture(_ text: String) throws -> Architecture {
        try #require(try DescribedModel(configuration: JSON(parsing: text)).architecture)
    }

    /// Cache, buffers and logits of a run without weights, against what the device then holds.
    @Test(arguments: [
        #"{"model_type": "llama", "hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 1000}"#,
        #"{"model_type": "gpt2", "n_embd": 192, "n_layer": 2, "n_head": 3, "vocab_size": 999, "n_positions": 1024}"#,
        #"{"model_type": "bert", "hidden_size": 192, "intermediate_size": 768, "num_hidden_layers": 2, "num_attention_heads": 3, "vocab_size": 999, "max_position_embeddings": 1024}"#,
    ])
    func heldMemoryIsPredicted(_ text: String) throws {
        let architecture = try EngineTests.architecture(text)
        let device = Device(threads: 1)
        let timed = try EngineForecast.TimingRuns(
            architecture, types: { _ in .f32 }, .init(prompt: 500), on: device)
        _ = EngineRun.compare(Array(timed.runs.suffix(1)), seconds: 0, tokens: 4)
        let isDecoder = if case .decoder = architecture.body { true } else { false }
        let memory = try EngineMemory(
            architecture, types: { _ in .f32 }, tokens: isDecoder ? 504 : 0, source: isDecoder ? 0 : 500, rows: 500)
        let predicted = [memory.cache, memory.buffers, memory.logits].reduce(0.0) { $0 + $1.amount }
        // The blocks of a KV cache come from a pool, which the device does not count.
        withKnownIssue {
            #expect(
                abs(Double(device.heldBytes) / predicted - 1) < 0.35,
                "\(device.heldBytes) held, \(predicted) predicted")
        } when: {
            isDecoder
        }
    }

    /// Every layer belongs to one form, whatever windows, experts and types vary.
    @Test func formsAddUpToTheModel() throws {
        let text =
            #"{"model_type": "gemma3_text", "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 13, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32, "vocab_size": 101}"#
        let architecture = try EngineTests.architecture(text)
        let timed = try EngineForecast.TimingRuns(
            architecture, types: { $0.layer == 3 ? .f16 : .f32 }, .init(prompt: 4), on: Device(threads: 1))
        let forecast = EngineForecast(timed, seconds: 0)
        #expect(forecast.parts.map(\.count).reduce(0, +) == 13)
        #expect(forecast.parts.count == 3)
        #expect(forecast.read > 0 && (forecast.write ?? 0) > 0)
    }

    @Test func thisMachineIsAnswered() throws {
        var request = PlanRequest()
        request.context = 16
        request.isHere = true
        request.threads = 1
        request.hardware = Hardware(
            name: "here",
            figures: [
                .singlePeak: .init(1e11, source: "a test", date: "2026"),
                .bandwidth: .init(1e10, source: "a test", date: "2026"),
                .memory: .init(1e9, source: "a test", date: "2026"),
            ])
        let text =
            #"{"model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 101}"#
        var plan = try Plan(DescribedModel(configuration: JSON(parsing: text)), request)
        try plan.addEngine(timing: 0)
        #expect(plan.answer.first?.hasPrefix("fits") == true)
        #expect(plan.answer.contains { $0.hasPrefix("decode: ") })
        let longest = Int(try #require(plan["engine", "longest_context"]?.count))
        #expect(longest > 16)
        request.budget = 1000
        var refused = try Plan(DescribedModel(configuration: JSON(parsing: text)), request)
        try refused.addEngine()
        #expect(refused.answer.first?.hasPrefix("does not fit") == true)
        #expect(refused["engine", "decode_seconds"] == nil)
    }
}
