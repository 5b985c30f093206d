import MartletFormats
import MartletJSON
import MartletLayers
import MartletModels
import MartletTensors
import TestSupport
import Testing

/// Saving what was loaded: every family back to its Hugging Face directory, decoders to GGUF and back.
@Suite struct SavingTests {
    static let folder = FamilyTests.folder
    static let device = Device(threads: 2)

    /// Saves `file` as a Hugging Face directory.
    static func save(_ file: ModelFile, in path: String, type: ElementType? = nil) throws {
        let dataType = try ModelExport(file, on: device).writeSafetensors(in: path, type: type)
        let config = try file.publishedConfig(dataType: dataType)
        try writeFile(JSON.object(config).serialized(), to: path + "/config.json")
    }

    /// Compares the tensors of two directories by the bytes.
    static func compareTensors(_ saved: String, _ original: String, exceptNormsOf modelType: String = "") throws {
        let (saved, original) = try (Safetensors(directory: saved).tensors, Safetensors(directory: original).tensors)
        for tensor in saved.all {
            // Published GPT-2 has no prefix; what comes from a GGUF has the one that transformers writes.
            let bare = tensor.name.split(separator: ".").dropFirst().joined(separator: ".")
            let wanted = try #require(original[tensor.name] ?? original[bare], "\(tensor.name) is not in the original")
            #expect(tensor.type == wanted.type && tensor.extents == wanted.extents, "\(tensor.name)")
            if (modelType.hasPrefix("gemma") || modelType == "nemotron") && tensor.name.hasSuffix("norm.weight") {
                // A GGUF holds them plus 1, which rounds.
                let comparison = try Comparison(tensor.tensor().values, wanted.tensor().values, absolute: 1.2e-7)
                #expect(comparison.withinTolerance, "\(tensor.name): \(comparison)")
            } else {
                #expect(try bytes(of: tensor) == bytes(of: wanted), "\(tensor.name)")
            }
        }
    }

    private static func bytes(of stored: StoredTensor) throws -> [UInt8] {
        let tensor = try stored.tensor()
        return unsafe Array(UnsafeRawBufferPointer(start: tensor.pointer, count: tensor.bytes))
    }

    /// Packed experts are written unpacked, those of a layer in one tensor one by one.
    static let unpacked = FamilyTests.supported.filter { name in
        !["-mxfp4", "-vl-moe", "-memory"].contains(where: name.hasSuffix)
    }

    @Test(arguments: unpacked) func directoriesReturnAsTheyWere(name: String) throws {
        let original = Self.folder + "/" + name
        let file = try ModelFile(path: original)
        try TemporaryFolder.use { path in
            try Self.save(file, in: path)
            // Nemotron's norm weights are stored less 1 and held as they are multiplied with, which rounds.
            try Self.compareTensors(path, original, exceptNormsOf: file.modelType == "nemotron" ? "nemotron" : "")
            let saved = try ModelFile(path: path)
            #expect(saved.architecture == file.architecture)
            // Nothing that the model needs is left out.
            _ = try saved.checkpoint()
        }
    }

    /// Settings that ggml's graphs do not know, and that are therefore refused.
    static let inexpressible: Set<String> = [
        "bloom-post-residual", "falcon-alibi", "falcon-sequential", "gemma2", "gemma2-saved", "gemma2-uncapped",
        "cohere2", "cohere2-saved", "exaone4", "gemma3", "gemma3-saved", "olmoe-normalised", "smollm3",
        "smollm3-window",
        "gemma3n-model", "gemma3n-saved", "gemma4-model", "gpt-neox-odd-rotary", "gpt-oss", "gpt2-tokens",
        "llama-classification", "llama-model",
        "qwen2-tokens",
        "gpt2-inverse-layer", "gpt2-saved", "gpt2-unscaled", "llama-rope-dynamic", "llama-rope-yarn-untruncated",
        "llama-saved", "llama-tied", "phi-normed", "qwen2-layer-types", "qwen2-moe-normalised", "qwen2-moe-window",
        "qwen2-window", "qwen2-5-vl", "qwen3-moe-dense-layers", "qwen3-moe-unnormalised", "qwen3-moe-window",
        "qwen3-window", "deepseek-v2-grouped", "deepseek-v3-halves", "llama4", "llama4-whole", "phimoe", "qwen3-vl",
    ]

    /// Families whose RoPE scaling a GGUF holds as divisors, which config.json has no words for at this size.
    static let divided: Set<String> = ["llama-rope-llama3", "apertus"]

    static let decoders = unpacked.filter { name in
        guard let file = try? ModelFile(path: folder + "/" + name), case .decoder = file.architecture.body else {
            return false
        }
        return ModelFile.hasGGUFName(file.modelType)
    }

    @Test(arguments: decoders) func decodersGoThroughGGUF(name: String) throws {
        let original = Self.folder + "/" + name
        let file = try ModelFile(path: original)
        try TemporaryFolder.use { path in
            let gguf = path + "/model.gguf"
            let export = try ModelExport(file, on: Self.device)
            guard !Self.inexpressible.contains(name) else {
                #expect(throws: ModelError.self) { try export.writeGGUF(to: gguf, name: name) }
                return
            }
            try export.writeGGUF(to: gguf, name: name)
            let converted = try ModelFile(path: gguf)
            let hasOffsets = file.modelType.hasPrefix("gemma") || file.modelType == "nemotron"
            let isDivided = Self.divided.contains { name.hasPrefix($0) }
            let isRounded = hasOffsets || isDivided
            try Self.compareLogits(converted, file, tolerance: isRounded ? 1e-5 : 0)
            guard !isDivided else { return }
            try Self.save(converted, in: path)
            try Self.compareTensors(path, original, exceptNormsOf: file.modelType)
            #expect(try ModelFile(path: path).architecture == file.architecture)
        }
    }

    static let readers = unpacked.filter { name in
        guard let file = try? ModelFile(path: folder + "/" + name) else { return false }
        if case .decoder = file.architecture.body { return false }
        return ModelFile.hasGGUFName(file.modelType)
    }

    /// Heads and settings that GGUF has no words for.
    static let unsaid: Set<String> = [
        "bert", "bert-answers", "bert-classification", "bert-model", "bert-next-sentence", "bert-pretraining",
        "bert-published", "bert-tokens", "embedding-gemma", "eurobert", "eurobert-biased", "eurobert-classification",
        "eurobert-mean", "eurobert-tokens", "jina-bert", "jina3", "modernbert", "modernbert-answers",
        "modernbert-classification", "modernbert-tokens", "nomic-bert", "t5-tokens", "t5-v1.1", "t5-v1.1-tied",
    ]

    /// Encoders and encoder-decoders through GGUF: the bits of hidden states and logits stay.
    @Test(arguments: readers) func encodersGoThroughGGUF(name: String) throws {
        let original = Self.folder + "/" + name
        let file = try ModelFile(path: original)
        try TemporaryFolder.use { path in
            let gguf = path + "/model.gguf"
            let export = try ModelExport(file, on: Self.device)
            guard !Self.unsaid.contains(name) else {
                #expect(throws: ModelError.self) { try export.writeGGUF(to: gguf, name: name) }
                return
            }
            try export.writeGGUF(to: gguf, name: name)
            let inputs = try FamilyTests.inputs(Safetensors(contentsOf: original + "/expected.safetensors").tensors)
            let wanted = try ForwardPass.run(file, inputs, recording: .nothing, on: Self.device)
            let found = try ForwardPass.run(ModelFile(path: gguf), inputs, recording: .nothing, on: Self.device)
            for (name, tensor) in wanted where !name.hasPrefix("pooled") {
                #expect(found.first { $0.name == name }?.tensor.values == tensor.values, "\(name)")
            }
        }
    }

    private static func compareLogits(_ converted: ModelFile, _ original: ModelFile, tolerance: Float) throws {
        let tokens: [[Int32]] = [(0..<40).map { Int32($0 * 37 % 61) }]
        func logits(_ file: ModelFile) throws -> [Float] {
            try ForwardPass.run(file, tokens, recording: .nothing, on: device)[0].tensor.values
        }
        let (ours, wanted) = try (logits(converted), logits(original))
        if tolerance == 0 {
            #expect(ours == wanted)
        } else {
            let comparison = Comparison(ours, wanted, absolute: tolerance * 10)
            #expect(comparison.withinTolerance, "\(comparison)")
        }
    }

    /// The matrices of a directory in another type; ggml keeps vectors in f32.
    @Test func matricesChangeTheirType() throws {
        let file = try ModelFile(path: Self.folder + "/llama")
        try TemporaryFolder.use { path in
            let gguf = path + "/model.gguf"
            try ModelExport(file, on: Self.device).writeGGUF(to: gguf, name: "llama", type: .bf16)
            let tensors = try GGUF(contentsOf: gguf).tensors
            #expect(tensors["blk.0.attn_q.weight"]?.type.elementType == .bf16)
            #expect(tensors["blk.0.attn_norm.weight"]?.type.elementType == .f32)
            try Self.save(file, in: path, type: .f16)
            #expect(try Safetensors(directory: path).tensors.all.allSatisfy { $0.type.elementType == .f16 })
            #expect(try ModelFile.config(in: path)["torch_dtype"]?.stringValue == "float16")
        }
    }
}

/// Heads that a checkpoint keeps beside the table they are said to be tied to.
@Suite struct TiedHeadTests {
    /// Writes `gpt2`, whose head is tied, with a head beside it.
    private static func model(in path: String, head: (Tensor) -> Tensor) throws -> ModelFile {
        let original = SavingTests.folder + "/gpt2"
        let stored = try Safetensors(directory: original).tensors
        var tensors = try stored.all.map { (name: $0.name, tensor: try $0.tensor()) }
        let table = try stored.tensor("transformer.wte.weight")
        tensors.append((name: "lm_head.weight", tensor: head(table)))
        try Safetensors.write(tensors, to: path + "/model.safetensors")
        try writeFile(JSON.object(ModelFile.config(in: original)).serialized(), to: path + "/config.json")
        return try ModelFile(path: path)
    }

    @Test func aHeadWithTheTablesNumbersStaysTied() throws {
        try TemporaryFolder.use { path in
            let file = try Self.model(in: path) { $0 }
            #expect(try file.inventory().total == ModelFile(path: SavingTests.folder + "/gpt2").inventory().total)
        }
    }

    @Test func aHeadWithOtherNumbersIsItsOwn() throws {
        try TemporaryFolder.use { path in
            let file = try Self.model(in: path) { Tensor($0.values.map { -$0 }, shape: $0.shape) }
            func logits(_ file: ModelFile) throws -> [Float] {
                try ForwardPass.run(file, [[1, 2, 3]], recording: .nothing, on: SavingTests.device)[0].tensor.values
            }
            let tied = try logits(ModelFile(path: SavingTests.folder + "/gpt2"))
            #expect(try logits(file) == tied.map { -$0 })
        }
    }
}
