import MartletFormats
import MartletJSON
import MartletLayers
import MartletModels
import MartletTensors
import TestSupport
import Testing

/// Layouts of weights by other publishers: the numbers keep their bits.
@Suite struct LayoutTests {
    typealias Named = (name: String, tensor: Tensor)

    static func tensors(_ fixture: String) throws -> [Named] {
        // What is not computed with, as BERT's numbers of positions, may have a type that is not loaded.
        try Safetensors(directory: FamilyTests.folder + "/" + fixture).tensors.all.filter { $0.type.elementType != nil }
            .map { ($0.name, try $0.tensor()) }
    }

    static func results(_ file: ModelFile) throws -> [String: [Float]] {
        let tokens: [[Int32]] = [[3, 9, 27, 18, 54, 33], [7, 8]]
        let results = try ForwardPass.run(file, tokens, recording: .nothing, on: Device(threads: 2))
        return Dictionary(uniqueKeysWithValues: results.map { ($0.name, $0.tensor.values) })
    }

    static func write(_ tensors: [Named], _ config: JSONObject, to path: String) throws -> ModelFile {
        try Safetensors.write(tensors, to: path + "/model.safetensors")
        try writeFile(JSON.object(config).serialized(), to: path + "/config.json")
        return try ModelFile(path: path)
    }

    /// Experts in two tensors per layer, as transformers 5 holds them in memory.
    @Test(arguments: [
        ("mixtral", "block_sparse_moe", "w1", "w3", "w2"), ("qwen3-moe", "mlp", "gate_proj", "up_proj", "down_proj"),
        ("qwen2-moe", "mlp", "gate_proj", "up_proj", "down_proj"),
    ])
    func fusedExperts(fixture: String, block: String, gate: String, up: String, down: String) throws {
        let original = try ModelFile(path: FamilyTests.folder + "/" + fixture)
        let all = try Self.tensors(fixture)
        func expert(_ layer: Int, _ index: Int, _ name: String) -> Tensor? {
            all.first { $0.name == "model.layers.\(layer).\(block).experts.\(index).\(name).weight" }?.tensor
        }
        func joined(_ parts: [Tensor]) -> Tensor {
            let shape = parts[0].shape
            return Tensor.joined(rowsOf: parts).reshaped([4, parts.count * shape[0] / 4, shape[1]])
        }
        var fused: [Named] = all.filter { !$0.name.contains(".experts.") }.map { name, tensor in
            name.hasSuffix("\(block).gate.weight")
                ? (String(name.dropLast(block.count + 12)) + "mlp.gate.weight", tensor) : (name, tensor)
        }
        for layer in 0..<4 where expert(layer, 0, gate) != nil {
            let place = "model.layers.\(layer).mlp.experts"
            let both = (0..<4).flatMap { [expert(layer, $0, gate), expert(layer, $0, up)].compactMap { $0 } }
            fused.append(("\(place).gate_up_proj", joined(both)))
            fused.append(("\(place).down_proj", joined((0..<4).compactMap { expert(layer, $0, down) })))
        }
        try TemporaryFolder.use { path in
            let file = try Self.write(fused, ModelFile.config(in: FamilyTests.folder + "/" + fixture), to: path)
            #expect(try Self.results(file) == Self.results(original))
            // Written again, they are as published.
            try SavingTests.save(file, in: path)
            try SavingTests.compareTensors(path, FamilyTests.folder + "/" + fixture)
        }
    }

    /// A model that also sees: its text part, in both spellings, with the rest left alone.
    @Test(arguments: [("language_model.", "vision_tower."), ("model.language_model.", "model.vision_tower.")])
    func textPartOfALargerModel(prefix: String, vision: String) throws {
        let folder = FamilyTests.folder + "/gemma3"
        let original = try ModelFile(path: folder)
        // Today's spelling has the text part in place of "model".
        let isNew = prefix.hasPrefix("model.")
        var tensors: [Named] = try Self.tensors("gemma3").map { name, tensor in
            (prefix + (isNew ? String(name.dropFirst("model.".count)) : name), tensor)
        }
        tensors.append((vision + "vision_model.embeddings.patch_embedding.bias", Tensor([1, 2], shape: [2])))
        var config = JSONObject()
        config["model_type"] = "gemma3"
        config["architectures"] = ["Gemma3ForConditionalGeneration"]
        config["text_config"] = .object(try ModelFile.config(in: folder))
        config["vision_config"] = ["hidden_size": 8]
        try TemporaryFolder.use { path in
            let file = try Self.write(tensors, config, to: path)
            #expect(file.modelType == "gemma3_text")
            #expect(try Self.results(file) == Self.results(original))
            try SavingTests.save(file, in: path)
            try SavingTests.compareTensors(path, folder)
            #expect(try ModelFile.config(in: path)["architectures"]?[0]?.stringValue == "Gemma3ForCausalLM")
        }
    }

    /// Prefixes that wrappers of training put before every name: a pooler, and a head beside the stack, are found
    /// behind it too.
    @Test(arguments: [
        ("bert-model", "module."), ("deberta-v3", "module._orig_mod."), ("qwen2-untied", "base_model.model."),
        ("llama", "model."), ("llama", "transformer."), ("codegen", "transformer."), ("mixtral", "lightning.model."),
    ])
    func namesBehindAWrappers(fixture: String, wrapper: String) throws {
        let folder = FamilyTests.folder + "/" + fixture
        let tensors = try Self.tensors(fixture).map { (wrapper + $0.name, $0.tensor) }
        try TemporaryFolder.use { path in
            let results = try Self.results(Self.write(tensors, ModelFile.config(in: folder), to: path))
            #expect(try results == Self.results(ModelFile(path: folder)))
        }
    }

    @Test func aSentenceEncoderWithoutItsPooler() throws {
        let folder = FamilyTests.folder + "/bert-model"
        let tensors = try Self.tensors("bert-model").filter { !$0.name.contains("pooler") }
        try TemporaryFolder.use { path in
            let results = try Self.results(Self.write(tensors, ModelFile.config(in: folder), to: path))
            #expect(results["pooled.0"] == nil)
            let whole = try Self.results(ModelFile(path: folder))
            #expect(whole["pooled.0"] != nil && results["hidden.0"] == whole["hidden.0"])
        }
    }

    /// T5's own head may be missing; then it is the token table, not scaled.
    @Test func aHeadThatIsNotStored() throws {
        let folder = FamilyTests.folder + "/t5-v1.1"
        let tensors = try Self.tensors("t5-v1.1").filter { $0.name != "lm_head.weight" }
        try TemporaryFolder.use { path in
            let file = try Self.write(tensors, ModelFile.config(in: folder), to: path)
            guard case .tokens(let head) = file.architecture.head else {
                Issue.record("\(file.architecture.head)")
                return
            }
            #expect(head.weights == .tied && head.scale == 1)
        }
    }

    /// Mixtral's first GGUF files had a tensor for each expert.
    @Test func expertsOneByOneInGGUF() throws {
        let path = Fixtures.folder + "/gguf/mixtral-f32.gguf"
        let original = try GGUF(contentsOf: path)
        var tensors: [Named] = []
        for stored in original.tensors.all {
            let tensor = try stored.tensor()
            guard stored.name.contains("_exps.") else {
                tensors.append((stored.name, tensor))
                continue
            }
            for index in 0..<tensor.shape[0] {
                let name = stored.name.split(separator: "_exps.").joined(separator: ".\(index).")
                tensors.append((name, tensor.rows(index..<index + 1).reshaped([tensor.shape[1], tensor.shape[2]])))
            }
        }
        try Self.compareGGUF(tensors, original.metadata, with: path)
    }

    /// Phi-2's files may hold query, key and value in one tensor.
    @Test func fusedProjectionsOfPhi2() throws {
        let file = try ModelFile(path: FamilyTests.folder + "/phi")
        try TemporaryFolder.use { folder in
            let path = folder + "/apart.gguf"
            try ModelExport(file, on: SavingTests.device).writeGGUF(to: path, name: "phi")
            let written = try GGUF(contentsOf: path)
            var tensors: [Named] = []
            for stored in written.tensors.all where !stored.name.contains("attn_k.") && !stored.name.contains("attn_v.")
            {
                guard stored.name.contains("attn_q.") else {
                    tensors.append((stored.name, try stored.tensor()))
                    continue
                }
                func named(_ part: String) -> String {
                    stored.name.split(separator: "attn_q.").joined(separator: "attn_\(part).")
                }
                let parts = try ["q", "k", "v"].map { try written.tensors.tensor(named($0)) }
                tensors.append((named("qkv"), Tensor.joined(rowsOf: parts)))
            }
            try Self.compareGGUF(tensors, written.metadata, with: path)
        }
    }

    private static func compareGGUF(_ tensors: [Named], _ metadata: GGUFMetadata, with original: String) throws {
        try TemporaryFolder.use { folder in
            let path = folder + "/model.gguf"
            try GGUF.write(tensors, metadata: metadata, to: path)
            #expect(try results(ModelFile(path: path)) == results(ModelFile(path: original)))
        }
    }
}
