import MartletFormats
import MartletJSON
import MartletLayers
import MartletModels
import TestSupport
import Testing

/// Hostile configurations: none can trap or exhaust memory, all are refused in words.
@Suite struct ConfigSafetyTests {
    static let types = Families.all.flatMap { $0.modelTypes }.sorted()

    static let sizes = [
        "hidden_size", "n_embd", "num_hidden_layers", "n_layer", "num_layers", "num_attention_heads", "n_head",
        "num_heads",
        "num_key_value_heads", "num_kv_heads", "head_dim", "vocab_size", "intermediate_size", "ffn_dim", "num_experts",
        "num_local_experts", "num_experts_per_tok", "max_position_embeddings", "n_positions", "rotary_dim",
        "word_embed_proj_dim", "shared_expert_intermediate_size", "moe_intermediate_size",
    ]

    /// Describes the model and counts its parameters, as loading does first.
    static func describe(_ type: String, _ changes: [(String, JSON)]) throws -> Architecture {
        var config = JSONObject()
        config["model_type"] = .string(type)
        for (key, value) in changes { config[key] = value }
        let architecture = try ModelFile.describe(config, path: "config.json").architecture
        _ = try architecture.inventory().total
        return architecture
    }

    @Test(arguments: types, [0, 1, 3, 7, 4_097, Int(Int32.max), Int.max, -1])
    func anySize(type: String, size: Int) {
        for key in Self.sizes { _ = try? Self.describe(type, [(key, .integer(size))]) }
        // Of all at once, and of pairs whose product is what would overflow.
        _ = try? Self.describe(type, Self.sizes.map { ($0, .integer(size)) })
        for key in Self.sizes where key != "hidden_size" {
            _ = try? Self.describe(type, [("hidden_size", .integer(size)), (key, .integer(size))])
        }
    }

    @Test(arguments: types) func otherKinds(type: String) {
        let values: [JSON] = [
            .null, true, "x", 0.5, [], [1, [2]], [:], ["rope_type": "yarn"], ["type": "longrope"], [[["local"], 1e9]],
        ]
        for value in values {
            for key in Self.sizes + [
                "rope_scaling", "rope_parameters", "layer_types", "attention_types", "mlp_only_layers",
            ] {
                _ = try? Self.describe(type, [(key, value)])
            }
        }
    }

    /// A configuration that says nothing but its type, by transformers' own defaults.
    @Test(arguments: [
        ("llama", 6_738_415_616), ("mistral", 7_241_732_096), ("qwen2", 12_049_846_272), ("qwen3", 12_049_461_248),
        ("mixtral", 46_702_792_704), ("qwen2_moe", 14_315_784_192), ("qwen3_moe", 15_350_731_776),
        ("gemma", 8_537_680_896), ("gemma2", 2_614_341_888), ("gemma3_text", 2_628_658_432), ("phi3", 3_821_079_552),
        ("phi", 1_418_270_720), ("gpt_neox", 20_554_567_680), ("gptj", 6_050_882_784), ("gpt_neo", 1_315_575_808),
        ("gpt2", 124_439_808), ("opt", 125_239_296), ("bloom", 16_156_544), ("falcon", 6_921_720_704),
    ]) func absentKeysHaveTheReferencesDefaults(type: String, parameters: Int) throws {
        #expect(try Self.describe(type, []).inventory().total == parameters)
    }

    @Test func contradictionsAreNamed() {
        #expect(throws: ConfigError.self) { try Self.describe("llama", [("num_key_value_heads", 7)]) }
        #expect(throws: ConfigError.self) { try Self.describe("mixtral", [("num_experts_per_tok", 9)]) }
        #expect(throws: ConfigError.self) { try Self.describe("gptj", [("rotary_dim", 1_024)]) }
        #expect(throws: ConfigError.self) { try Self.describe("gpt_neox", [("hidden_size", 12)]) }
        #expect(throws: ConfigError.self) { try Self.describe("falcon", [("num_ln_in_parallel_attn", 2)]) }
    }
}
