import MartletFormats
import MartletJSON
import MartletLayers
import MartletModels
import MartletTensors
import TestSupport
import Testing

/// Configurations as they are published: what the reference passes over changes nothing, what it reads is refused by
/// name.
@Suite struct RealConfigurationTests {
    /// A fixture, and further keys that published configurations of its family hold.
    static let published: [(fixture: String, keys: String)] = [
        ("llama", #""is_llama_config": true, "rope_interleaved": false"#),
        ("llama", #""max_sequence_length": 2048, "partial_rotary_factor": 0.5"#),
        ("qwen2", #""use_mrope": false"#),
        ("marian", #""_num_labels": 3"#),
        ("marian", #""decoder_vocab_size": 50"#),
        ("bart", #""_num_labels": 3"#),
        ("mbart", #""_num_labels": 3"#),
        ("gpt2", #""_num_labels": 3"#),
        ("bert-tokens", #""_num_labels": 9"#),
        (
            "bert",
            """
            "directionality": "bidi", "pooler_fc_size": 768, "pooler_num_attention_heads": 12, "pooler_num_fc_layers": 3,
            "pooler_size_per_head": 128, "pooler_type": "first_token_transform"
            """
        ),
        (
            "bert-classification",
            #""sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity", "version": "5.0.0"}"#
        ),
        ("roberta-answers", #""language": "english", "name": "Roberta""#),
        ("mistral-unwindowed", #""layer_types": ["full_attention", "full_attention"]"#),
        ("mistral-unwindowed", #""sliding_window": false"#),
        ("qwen2", #""sliding_window": false"#),
        ("llama", #""time_step_limit": [0.0, Infinity], "attn_logit_softcapping": 30.0"#),
        ("llama", #""rms_norm_eps": 123, "vocab_size": 7"#),
    ]

    /// Compares the fixture with the reference's numbers, with `text` for its config.json.
    static func compare(_ fixture: String, config text: String) throws {
        let source = FamilyTests.folder + "/" + fixture
        try TemporaryFolder.use { folder in
            try writeFile(Array(text.utf8), to: folder + "/config.json")
            try writeFile(Fixtures.bytes(source + "/model.safetensors"), to: folder + "/model.safetensors")
            try FamilyTests.compare(model: folder, expected: source + "/expected.safetensors")
        }
    }

    static func config(_ fixture: String) throws -> JSONObject {
        try ModelFile.config(in: FamilyTests.folder + "/" + fixture)
    }

    @Test(arguments: published) func keysThatTheReferencePassesOver(fixture: String, keys: String) throws {
        // Of doubled keys the last counts: the fixture's own.
        let own = JSON.object(try Self.config(fixture)).text()
        // One key is there already, and is replaced by standing last.
        let isReplaced = keys.hasPrefix("\"sliding_window\"")
        let parts = isReplaced ? "\(own.dropFirst().dropLast()),\(keys)" : "\(keys),\(own.dropFirst().dropLast())"
        try Self.compare(fixture, config: "\u{FEFF}{\(parts)}")
    }

    @Test func numbersHoweverTheyAreWritten() throws {
        var config = try Self.config("llama")
        let width = try #require(config["hidden_size"]?.integerValue)
        let epsilon = try #require(config["rms_norm_eps"]?.doubleValue)
        config["hidden_size"] = .number(Double(width))
        config["rms_norm_eps"] = .string("\(epsilon)")
        try Self.compare("llama", config: JSON.object(config).text())
    }

    @Test func whatIsPassedOverIsListed() throws {
        var config = try Self.config("llama")
        config["rope_interleaved"] = false
        config["attention_dropout"] = 0.5
        #expect(try ModelFile.describe(config, path: "config.json").passedOver == ["rope_interleaved"])
    }

    /// Keys that the model type's own class reads are refused by name, unless they have the default.
    @Test(arguments: [
        ("bert", "is_decoder", true), ("bert", "add_cross_attention", true),
        ("gemma3", "use_bidirectional_attention", true),
    ]) func keysThatTheReferenceReads(fixture: String, key: String, value: Bool) throws {
        var config = try Self.config(fixture)
        config[key] = .bool(value)
        let error = #expect(throws: ConfigError.self) { try ModelFile.describe(config, path: "config.json") }
        #expect(error?.offences.count == 1 && error?.offences[0].contains(key) == true)
        config[key] = .bool(!value)
        _ = try ModelFile.describe(config, path: "config.json")
    }

    /// The base of an encoder-decoder was saved without the head over its vocabulary, tied or not.
    @Test(arguments: ["mbart-untied", "bart", "led"]) func baseModelsHaveNoHeadOfTheirOwn(fixture: String) throws {
        var config = try Self.config(fixture)
        config["tie_word_embeddings"] = false
        let whole = try ModelFile.describe(config, path: "config.json").architecture
        config["architectures"] = ["SomethingModel"]
        let base = try ModelFile.describe(config, path: "config.json").architecture
        guard case .tokens(let own) = whole.head, case .tokens(let tied) = base.head else {
            return #expect(Bool(false), "\(base.head)")
        }
        #expect(own.weights == .own && tied.weights == .tied)
    }

    /// Configurations that transformers itself writes for settings that were published otherwise.
    @Test func settingsAsTheyAreSavedAgain() throws {
        var config = try Self.config("exaone4-whole")
        config["sliding_window_pattern"] = 0
        let exaone = try ModelFile.describe(config, path: "config.json").architecture
        #expect(exaone == (try ModelFile(path: FamilyTests.folder + "/exaone4-whole")).architecture)
        config = try Self.config("internlm3")
        (config["qkv_bias"], config["bias"]) = (nil, nil)
        (config["attention_bias"], config["mlp_bias"]) = (true, true)
        let intern = try ModelFile.describe(config, path: "config.json").architecture
        #expect(intern == (try ModelFile(path: FamilyTests.folder + "/internlm3")).architecture)
        config = try Self.config("nomic-bert")
        config["n_head"] = 13
        let nomic = try ModelFile.describe(config, path: "config.json").architecture
        #expect(nomic == (try ModelFile(path: FamilyTests.folder + "/nomic-bert")).architecture)
    }

    /// Encoders under the classes that transformers has for writing with them read both ways all the same.
    @Test(arguments: [("bert", "BertLMHeadModel"), ("roberta", "RobertaForCausalLM")])
    func encodersUnderAWritersName(fixture: String, name: String) throws {
        var config = try Self.config(fixture)
        config["architectures"] = [.string(name)]
        try Self.compare(fixture, config: JSON.object(config).text())
    }

    /// A file without the head that its configuration names is that of a bare encoder.
    @Test func anEncoderWithoutItsHead() throws {
        try TemporaryFolder.use { folder in
            let source = FamilyTests.folder + "/jina-bert"
            let tensors = try Safetensors(directory: source).tensors.all.filter { !$0.name.hasPrefix("cls.") }
            try Safetensors.write(
                tensors.map { (name: $0.name, tensor: try $0.tensor()) }, to: folder + "/model.safetensors")
            try writeFile(Fixtures.bytes(source + "/config.json"), to: folder + "/config.json")
            #expect(try ModelFile(path: folder).architecture.head == .none)
        }
    }

    /// A head under the name that transformers holds it by, as `torch.save` of a state dict writes it.
    @Test func aHeadAsItIsHeldInMemory() throws {
        let source = FamilyTests.folder + "/gpt-neox"
        try TemporaryFolder.use { folder in
            let tensors = try Safetensors(directory: source).tensors.all.map { stored in
                (name: stored.name == "embed_out.weight" ? "lm_head.weight" : stored.name, tensor: try stored.tensor())
            }
            try Safetensors.write(tensors, to: folder + "/model.safetensors")
            try writeFile(Fixtures.bytes(source + "/config.json"), to: folder + "/config.json")
            try FamilyTests.compare(model: folder, expected: source + "/expected.safetensors")
        }
    }

    @Test func aTextModelInsideALargerOne() throws {
        let outer: JSON = [
            "model_type": "some_vision_model", "text_config": .object(try Self.config("mistral")), "vision_config": [:],
        ]
        try Self.compare("mistral", config: outer.text())
    }

    /// Qwen3-VL's mixtures as they are published: the text model inside, and each expert as `[inputs, outputs]`.
    @Test func expertsThatAreTurnedOver() throws {
        let source = FamilyTests.folder + "/qwen3-vl-moe"
        try TemporaryFolder.use { folder in
            let tensors = try Safetensors(directory: source).tensors.all.map { stored in
                (name: "model.language_model." + stored.name, tensor: try Self.turned(stored))
            }
            try Safetensors.write(tensors, to: folder + "/model.safetensors")
            var text = try Self.config("qwen3-vl-moe")
            text["tie_word_embeddings"] = true
            let outer: JSON = ["model_type": "qwen3_vl_moe", "text_config": .object(text), "vision_config": [:]]
            try writeFile(outer.serialized(), to: folder + "/config.json")
            let expected = try Safetensors(contentsOf: source + "/expected.safetensors").tensors
            let results = try ForwardPass.run(
                ModelFile(path: folder), try FamilyTests.inputs(expected), on: Device(threads: 1))
            for (name, tensor) in results where name.hasPrefix("hidden") {
                let comparison = Comparison(tensor.values, try expected.tensor(name).values, absolute: 1e-4)
                #expect(comparison.withinTolerance, "\(name): \(comparison)")
            }
        }
    }

    private static func turned(_ stored: StoredTensor) throws -> Tensor {
        let (values, e) = (try stored.tensor().values, stored.extents)
        guard e.count == 3 else { return Tensor(values, shape: Shape(e)) }
        var turned: [Float] = []
        for expert in 0..<e[0] {
            for column in 0..<e[2] {
                for row in 0..<e[1] { turned.append(values[(expert * e[1] + row) * e[2] + column]) }
            }
        }
        return Tensor(turned, shape: [e[0], e[2], e[1]])
    }

    /// A file may give a size for each layer. Layers of different sizes are written so and read back, with the same
    /// bits; config.json has no words for them.
    @Test func sizesByLayer() throws {
        let device = Device(threads: 1)
        var architecture = TinyArchitectures.decoder(vocabulary: 64, headWidth: 12)
        guard case .decoder(var stack) = architecture.body else { return }
        stack.layers[0].attention.queryHeads = 2
        stack.layers[1].attention.keyHeads = 1
        stack.layers[2].feedForward = .gated(hidden: 34, .silu, bias: .absent)
        for index in stack.layers.indices { stack.layers[index].attention.scale = 1 / Float(12).squareRoot() }
        architecture.body = .decoder(stack)
        let inventory = try architecture.inventory()
        let source = SeededInitialiser(seed: 3, device: device, deviation: 0.3)
        let values = Dictionary(
            uniqueKeysWithValues: inventory.entries.compactMap { entry in
                source.parameter(entry).value.map { (entry.name, $0) }
            })
        try TemporaryFolder.use { folder in
            let path = folder + "/model.gguf"
            let export = try ModelExport(
                modelType: "llama", architecture, WeightSource(inventory, values: values), on: device)
            try export.writeGGUF(to: path, name: "varied")
            let file = try ModelFile(path: path)
            #expect(file.architecture == architecture)
            let tokens: [[Int32]] = [(0..<20).map { Int32($0 * 7 % 61) }]
            let wanted = try ForwardPass.run(
                .decoder(Decoder(architecture, Scope(source))), architecture, tokens.map { ForwardPass.Input($0) },
                recording: .nothing, layers: .last, on: device)[0].tensor.values
            #expect(try ForwardPass.run(file, tokens, recording: .nothing, on: device)[0].tensor.values == wanted)
            #expect(throws: ModelError.self) { try file.publishedConfig(dataType: nil) }
        }
    }
}
