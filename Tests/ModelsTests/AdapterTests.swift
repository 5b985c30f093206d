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

    /// A copy of the Llama fixture's adapter with other settings.
    private func adapter(
        in path: String, _ change: (inout JSONObject) -> Void, renaming: (String) -> String = { $0 }
    ) throws -> String {
        var config = try #require(try JSON(contentsOf: Self.folder + "llama/adapter_config.json").objectValue)
        change(&config)
        try writeFile(JSON.object(config).serialized(), to: path + "/adapter_config.json")
        let tensors = try Safetensors(contentsOf: Self.folder + "llama/adapter_model.safetensors").tensors
        try Safetensors.write(
            try tensors.names.map { (renaming($0), try tensors.tensor($0)) }, to: path + "/adapter_model.safetensors")
        return path
    }

    /// peft begins these by changing the base, so that their factors are none of the base as it is stored (peft 0.21:
    /// the logits of a tiny Llama under PiSSA are 4.5 away, under OLoRA 7.1). Those of the others fit it.
    @Test func startsThatChangeTheBaseAreRefused() throws {
        for start in ["pissa", "pissa_niter_16", "olora", "corda", "loftq", "lora_ga"] {
            try TemporaryFolder.use { path in
                let path = try adapter(in: path, { $0["init_lora_weights"] = .string(start) })
                let error = #expect(throws: ModelError.self) { try AdapterFile(path) }
                #expect(error?.description.contains("init_lora_weights is \(start)") ?? false)
            }
        }
        for start in [JSON.bool(true), .bool(false), "gaussian", "orthogonal", "eva", "mica"] {
            try TemporaryFolder.use { path in
                #expect(throws: Never.self) {
                    try AdapterFile(try adapter(in: path, { $0["init_lora_weights"] = start }))
                }
            }
        }
    }

    /// peft takes patterns for regular expressions, `(.*\.)?(PATTERN)$`: one behind `^` is all of a path, and what is
    /// more than that is refused, as its alpha would be passed over.
    @Test func patternsOfAlphas() throws {
        try TemporaryFolder.use { path in
            let path = try adapter(in: path) {
                $0["use_rslora"] = false
                $0["lora_alpha"] = 8
                $0["alpha_pattern"] = ["^model.layers.0.self_attn.q_proj": 3, "k_proj": 5]
            }
            let configuration = try AdapterFile(path).configuration
            #expect(configuration.scale(of: "model.layers.0.self_attn.q_proj", rank: 2) == 1.5)
            #expect(configuration.scale(of: "base.model.layers.0.self_attn.q_proj", rank: 2) == 4)
            #expect(configuration.scale(of: "model.layers.1.self_attn.k_proj", rank: 2) == 2.5)
        }
        try TemporaryFolder.use { path in
            let path = try adapter(in: path) { $0["alpha_pattern"] = [#"layers\.[01]\.self_attn\.q_proj"#: 3] }
            let error = #expect(throws: ModelError.self) { try AdapterFile(path) }
            #expect(error?.description.contains("alpha_pattern") ?? false)
        }
    }

    /// Factors of a token table would be passed over, and the logits be wrong by as much as they learnt.
    @Test func factorsOfTablesAreRefused() throws {
        try TemporaryFolder.use { path in
            let name = "base_model.model.model.layers.0.self_attn.q_proj.lora_"
            let table = "base_model.model.model.embed_tokens.lora_embedding_"
            let path = try adapter(in: path, { _ in }) { old in
                [name + "A.weight": table + "A", name + "B.weight": table + "B"][old] ?? old
            }
            var file = try ModelFile(path: Fixtures.folder + "/families/llama")
            let error = #expect(throws: ModelError.self) { try file.add(adapter: path) }
            #expect(error?.description.contains("embed_tokens.lora_embedding_A is no factor") ?? false)
        }
    }

    /// Without `ensure_weight_tying` peft leaves the head of a tied model as the base has it, while the table is the
    /// adapter's: two matrices where the model has one.
    @Test func aTableOfItsOwnKeepsItsHead() throws {
        let base = Fixtures.folder + "/families/llama-tied"
        let table = try Safetensors(contentsOf: base + "/model.safetensors").tensors.tensor("model.embed_tokens.weight")
        let factors = try Safetensors(contentsOf: Self.folder + "llama/adapter_model.safetensors").tensors
        for isTied in [false, true] {
            try TemporaryFolder.use { path in
                let path = try adapter(in: path) {
                    $0["ensure_weight_tying"] = .bool(isTied)
                    $0["modules_to_save"] = ["embed_tokens"]
                }
                let saved = (name: "base_model.model.model.embed_tokens.weight", tensor: table)
                // Keys and values have other heights here than in the adapter's own base.
                let names = factors.names.filter { $0.contains("q_proj") }
                try Safetensors.write(
                    try names.map { ($0, try factors.tensor($0)) } + [saved],
                    to: path + "/adapter_model.safetensors")
                var file = try ModelFile(path: base)
                guard !isTied else {
                    #expect(throws: Never.self) { try file.add(adapter: path) }
                    return
                }
                let error = #expect(throws: ModelError.self) { try file.add(adapter: path) }
                #expect(error?.description.contains("ensure_weight_tying") ?? false)
            }
        }
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
