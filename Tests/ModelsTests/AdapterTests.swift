import MartletFormats
import MartletJSON
import MartletLayers
import MartletModels
import MartletTensors
import TestSupport
import Testing

/// Low-rank adapters as peft writes them: `Tools/fixtures/adapters.py`.
@Suite struct AdapterTests {
    static let names = ["llama", "gpt2", "bert-classification", "t5"]
    private static let folder = Fixtures.folder + "/adapters/"

    private func tokens(_ sequence: Int, _ length: Int) -> [Int32] {
        (0..<length).map { Int32(($0 * $0 * 3 + 5 * sequence + 1) % 47 + 1) }
    }

    private func logits(_ file: ModelFile) throws -> [Float] {
        var input = ForwardPass.Input(tokens(0, 9))
        if case .encoderDecoder = file.architecture.body { input.decoderTokens = tokens(1, 6) }
        let results = try ForwardPass.run(file, [input], on: Device(threads: 2))
        return try #require(results.first { $0.name == "logits.0" }).tensor.values
    }

    @Test(arguments: names) func logitsEqualPeft(_ name: String) throws {
        let expected = try Safetensors(contentsOf: Self.folder + name + "/expected.safetensors").tensors
            .tensor("logits").values
        var file = try ModelFile(path: Fixtures.folder + "/families/" + name)
        let plain = try logits(file)
        try file.add(adapter: Self.folder + name)
        let found = try logits(file)
        let largest = expected.reduce(0) { max($0, abs($1)) }
        let comparison = Comparison(found, expected, absolute: 1e-4 * largest)
        #expect(comparison.withinTolerance, "\(comparison)")
        #expect(!Comparison(plain, expected, absolute: 1e-2 * largest).withinTolerance)
        // At a scale of 0 an adapter without whole modules is none.
        guard name != "bert-classification" else { return }
        var none = try ModelFile(path: Fixtures.folder + "/families/" + name)
        try none.add(adapter: Self.folder + name, scale: 0)
        #expect(Comparison(try logits(none), plain, absolute: 1e-6 * largest).withinTolerance)
    }

    /// In f32 the merged matrices give what the adapter beside them gives.
    @Test(arguments: names) func mergedIsTheSame(_ name: String) throws {
        let device = Device(threads: 2)
        var file = try ModelFile(path: Fixtures.folder + "/families/" + name)
        try file.add(adapter: Self.folder + name)
        #expect(throws: ModelError.self) { try ModelExport(file, on: device) }
        try TemporaryFolder.use { path in
            try ModelExport(file, merging: true, on: device).writeSafetensors(in: path)
            try writeFile(Fixtures.bytes(Fixtures.folder + "/families/\(name)/config.json"), to: path + "/config.json")
            let (found, expected) = (try logits(ModelFile(path: path)), try logits(file))
            let largest = expected.reduce(0) { max($0, abs($1)) }
            #expect(Comparison(found, expected, absolute: 1e-5 * largest).withinTolerance)
        }
    }

    /// llama.cpp multiplies by alpha / rank: the rest of a scale is in B, whose rows have GGUF's order.
    @Test func writesGGUF() throws {
        let device = Device(threads: 2)
        try TemporaryFolder.use { path in
            var file = try ModelFile(path: Fixtures.folder + "/families/llama")
            try file.add(adapter: Self.folder + "llama")
            try file.writeAdapter(to: path + "/a.gguf", on: device)
            let written = try GGUF(contentsOf: path + "/a.gguf")
            #expect(try written.metadata.string("general.type") == "adapter")
            #expect(try written.metadata.string("adapter.type") == "lora")
            #expect(written.tensors.count == 16)
            let factors = try Safetensors(contentsOf: Self.folder + "llama/adapter_model.safetensors").tensors
            let up = try factors.tensor("base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight")
            let stored = try written.tensors.tensor("blk.0.attn_q.weight.lora_b")
            let undone = stored.unpairedRows(headWidth: up.shape[0] / 4, on: device).values
            // Rank 2 under 8 / √2, where llama.cpp has 8 / 2.
            let factor = Float(2).squareRoot()
            #expect(Comparison(undone, up.values.map { $0 * factor }, absolute: 1e-6).withinTolerance)
        }
        try TemporaryFolder.use { path in
            var file = try ModelFile(path: Fixtures.folder + "/families/gpt2")
            try file.add(adapter: Self.folder + "gpt2")
            try file.writeAdapter(to: path + "/a.gguf", on: device)
            let up = try Safetensors(contentsOf: Self.folder + "gpt2/adapter_model.safetensors").tensors
                .tensor("base_model.model.transformer.h.0.attn.c_attn.lora_B.weight")
            let stored = try GGUF(contentsOf: path + "/a.gguf").tensors.tensor("blk.0.attn_qkv.weight.lora_b")
            #expect(stored.values == up.values)
        }
    }

    @Test func whatDoesNotFitIsNamed() throws {
        var file = try ModelFile(path: Fixtures.folder + "/families/gpt2")
        let error = #expect(throws: ModelError.self) { try file.add(adapter: Self.folder + "llama") }
        #expect(error?.description.contains("the model has no linear layer") ?? false)
    }

    @Test(arguments: ["use_dora", "layer_replication", "target_parameters", "lora_bias"])
    func whatIsNotUnderstoodIsRefused(_ key: String) throws {
        try TemporaryFolder.use { path in
            var config = try #require(try JSON(contentsOf: Self.folder + "llama/adapter_config.json").objectValue)
            config[key] = key == "layer_replication" ? [[0, 2]] : key == "target_parameters" ? ["a"] : true
            try writeFile(JSON.object(config).serialized(), to: path + "/adapter_config.json")
            try writeFile(
                Fixtures.bytes(Self.folder + "llama/adapter_model.safetensors"),
                to: path + "/adapter_model.safetensors")
            let error = #expect(throws: ModelError.self) { try AdapterFile(path) }
            #expect(error?.description.contains(key) ?? false)
        }
    }
}
