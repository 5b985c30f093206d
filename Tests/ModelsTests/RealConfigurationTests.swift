import MartletFormats
import MartletJSON
import MartletModels
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

    /// What the model type's own class reads is refused by name, unless it has the default.
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

    @Test func aTextModelInsideALargerOne() throws {
        let outer: JSON = [
            "model_type": "some_vision_model", "text_config": .object(try Self.config("mistral")), "vision_config": [:],
        ]
        try Self.compare("mistral", config: outer.text())
    }
}
