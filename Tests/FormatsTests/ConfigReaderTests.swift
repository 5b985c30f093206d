import MartletFormats
import MartletJSON
import Testing

@Suite("Settings of a model")
struct ConfigReaderTests {
    private func reader(_ text: String) throws -> ConfigReader {
        ConfigReader(try #require(try JSON(parsing: text).objectValue), path: "config.json")
    }

    private func offences(_ config: ConfigReader, ignoring: [String] = []) -> [String] {
        do {
            try config.finish(ignoring: ignoring)
            return []
        } catch {
            return error.offences
        }
    }

    @Test("values, defaults, aliases and null")
    func values() throws {
        let config = try reader(
            """
            {"hidden_size": 64, "n_layer": 5, "eps": 1e-5, "theta": 10000, "tie": true, "act": "gelu", "head_dim": null,
             "eos": [1, 2], "one": 7, "factors": [1, 2.5], "names": ["a", "b"], "types": ["full", "sliding"], "raw": {"x": [1]}}
            """)
        #expect(config.integer("hidden_size") == 64)
        #expect(config.integer("num_hidden_layers", "n_layer") == 5)
        #expect(config.integer("absent", default: 3) == 3)
        #expect(config.optionalInteger("head_dim") == nil)
        #expect(config.integer("head_dim", default: 8) == 8)
        #expect(config.number("eps") == 1e-5)
        #expect(config.number("theta") == 10000)
        #expect(config.number("absent", default: 0.5) == 0.5)
        #expect(config.optionalNumber("absent") == nil)
        #expect(config.bool("tie"))
        #expect(config.bool("absent", default: true))
        #expect(config.optionalBool("absent") == nil)
        #expect(config.string("act") == "gelu")
        #expect(config.string("absent", default: "x") == "x")
        #expect(config.optionalString("absent") == nil)
        #expect(config.choice("act", of: ["silu": 1, "gelu": 2]) == 2)
        #expect(config.choice("absent", of: ["silu": 1], default: 9) == 9)
        #expect(config.optionalIntegers("eos") == [1, 2])
        #expect(config.optionalIntegers("one") == [7])
        #expect(config.optionalIntegers("absent") == nil)
        #expect(config.optionalNumbers("factors") == [1, 2.5])
        #expect(config.optionalStrings("names") == ["a", "b"])
        #expect(config.optionalChoices("types", of: ["full": 0, "sliding": 1]) == [0, 1])
        #expect(config.json("raw") == ["x": [1]])
        #expect(config.has("tie") && !config.has("head_dim") && !config.has("absent"))
        try config.finish()
    }

    @Test("everything wrong is named at once, by its key")
    func allOffences() throws {
        let config = try reader(
            """
            {"hidden_size": "64", "heads": 0, "layers": 2.5, "vocab": -1, "positions": 4294967296, "eps": true, "act": "swish", "tie": 1,
             "eos": [1, "2"], "rope": [1], "typo_size": 3, "name": {}}
            """)
        #expect(config.integer("hidden_size") == 1)
        #expect(config.integer("heads") == 1)
        #expect(config.integer("layers") == 1)
        #expect(config.integer("vocab", in: 2...10) == 2)
        #expect(config.integer("positions", default: 9) == 9)
        #expect(config.number("eps", in: 0...0.5) == 0.5)
        #expect(config.choice("act", of: ["silu": 1, "gelu": 2]) == 1)
        #expect(!config.bool("tie"))
        #expect(config.optionalIntegers("eos") == nil)
        #expect(config.optionalObject("rope") != nil)
        #expect(config.string("name") == "")
        #expect(config.integer("kv", "num_kv") == 1)
        config.reject("5 heads do not divide 64")
        #expect(
            offences(config) == [
                #""hidden_size" should be an integer from 1 to 2147483647, it is "64""#,
                #""heads" should be an integer from 1 to 2147483647, it is 0"#,
                #""layers" should be an integer from 1 to 2147483647, it is 2.5"#,
                #""vocab" should be an integer from 2 to 10, it is -1"#,
                #""positions" should be an integer from 1 to 2147483647, it is 4294967296"#,
                #""eps" should be a number from 0.0 to 0.5, it is true"#,
                #""act" should be one of "silu", "gelu", it is "swish""#,
                #""tie" should be true or false, it is 1"#,
                #""eos" should be integers from 1 to 2147483647, it is [1,"2"]"#,
                #""rope" should be an object, it is [1]"#,
                #""name" should be a string, it is {}"#, #""kv" is missing (nor is there "num_kv")"#,
                "5 heads do not divide 64",
                #"unknown key "typo_size""#,
            ])
    }

    @Test("nested objects are held to the same")
    func nested() throws {
        let config = try reader(
            #"{"rope_scaling": {"rope_type": "yarn", "factor": "x", "beta": 2, "none": null}, "x": {}}"#)
        let rope = try #require(config.optionalObject("rope_parameters", "rope_scaling"))
        #expect(rope.string("rope_type", "type") == "yarn")
        #expect(rope.number("factor") == 1)
        #expect(rope.integer("original") == 1)
        #expect(config.optionalObject("absent") == nil)
        #expect(config.object("required").integer("inner") == 1)
        _ = config.object("x")
        #expect(
            offences(config) == [
                #""rope_scaling.factor" should be a number, it is "x""#, #""rope_scaling.original" is missing"#,
                #""required" is missing"#,
                #""required.inner" is missing"#, #"unknown key "rope_scaling.beta""#,
            ])
    }

    @Test("two names for one setting must agree")
    func contradiction() throws {
        let config = try reader(#"{"n_embd": 64, "hidden_size": 32, "n_head": 4, "heads": 4}"#)
        #expect(config.integer("hidden_size", "n_embd") == 32)
        #expect(config.integer("n_head", "heads") == 4)
        #expect(offences(config) == [#""hidden_size" and "n_embd" contradict each other"#])
    }

    @Test("harmless keys pass, whatever they say")
    func harmless() throws {
        let config = try reader(
            """
            {"architectures": ["X"], "use_cache": false, "top_k": 50, "initializer_range": 0.02, "n_ctx": 1024, "unset": null}
            """)
        #expect(offences(config) == [#"unknown key "n_ctx""#])
        #expect(offences(config, ignoring: ["n_ctx"]) == [])
        config.ignore("n_ctx")
        #expect(offences(config) == [])
        let meaningful = try reader(
            #"{"is_decoder": true, "pruned_heads": {"0": [1]}, "quantization_config": {"bits": 4}}"#)
        #expect(offences(meaningful) == [#"unknown keys "is_decoder", "pruned_heads", "quantization_config""#])
        let nested = try reader(#"{"rope": {"use_cache": true}}"#)
        _ = nested.object("rope")
        #expect(offences(nested) == [#"unknown key "rope.use_cache""#])
    }

    @Test("of the keys that nobody asked for, those of the reference are held to its defaults")
    func reference() throws {
        let keys = try #require(
            try JSON(parsing: #"{"mlp_bias": false, "scale": 1, "layers": null, "size": 4}"#).objectValue)
        func reader(_ text: String) throws -> ConfigReader { try self.reader(text) }
        let passing = try reader(#"{"mlp_bias": false, "scale": 1.0, "typo": [1], "rope": {"x": 1}, "size": 9}"#)
        #expect(passing.integer("size") == 9)
        _ = passing.optionalObject("rope")
        try passing.finish(reference: keys)
        #expect(passing.passedOver == ["typo", "rope.x"])
        let refused = try reader(#"{"mlp_bias": true, "scale": 1.5, "layers": ["full"], "typo": 1, "dropout": 1}"#)
        let error = #expect(throws: ConfigError.self) { try refused.finish(reference: keys) }
        #expect(
            error?.offences == [
                #""mlp_bias" is true, which this model type reads; only false is supported"#,
                #""scale" is 1.5, which this model type reads; only 1 is supported"#,
                #""layers" is ["full"], which this model type reads; only null is supported"#,
            ])
    }

    @Test("numbers as configurations spell them")
    func spellings() throws {
        let config = try reader(
            #"{"width": 64.0, "eps": "1e-6", "list": [1.0, 2], "window": false, "half": 2.5, "word": "x"}"#)
        #expect(config.integer("width") == 64)
        #expect(config.number("eps") == 1e-6)
        #expect(config.optionalIntegers("list") == [1, 2])
        #expect(config.optionalInteger("window") == nil)
        #expect(config.integer("half", default: 3) == 3)
        #expect(config.number("word", default: 3) == 3)
        #expect(offences(config).count == 2)
    }

    @Test("a file that is no JSON, no object, or not there")
    func files() throws {
        let folder = try TemporaryFolder()
        let cut = try folder.file("cut.json", Array(#"{"a": 1"#.utf8))
        let list = try folder.file("list.json", Array("[1]".utf8))
        #expect(throws: ConfigError(path: list, offences: ["it holds an array instead of an object"])) {
            try ConfigReader(contentsOf: list)
        }
        for path in [cut, folder.path + "/none.json"] {
            let error = #expect(throws: ConfigError.self) { try ConfigReader(contentsOf: path) }
            #expect(error?.path == path)
            #expect(error?.offences.count == 1)
        }
    }

    /// The harmless keys cover what transformers writes beside a family's own.
    @Test(
        "configs as transformers writes them have only the family's keys left",
        arguments: [
            (
                "llama-saved",
                [
                    "attention_bias", "head_dim", "hidden_act", "hidden_size", "intermediate_size",
                    "max_position_embeddings", "mlp_bias",
                    "num_attention_heads", "num_hidden_layers", "num_key_value_heads", "rms_norm_eps",
                    "rope_parameters",
                    "tie_word_embeddings", "vocab_size",
                ]
            ),
            (
                "gpt2-saved",
                [
                    "activation_function", "add_cross_attention", "layer_norm_epsilon", "n_ctx", "n_embd", "n_head",
                    "n_inner", "n_layer",
                    "n_positions",
                    "reorder_and_upcast_attn", "scale_attn_by_inverse_layer_idx", "scale_attn_weights",
                    "summary_activation",
                    "summary_first_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj",
                    "tie_word_embeddings",
                    "vocab_size",
                ]
            ),
        ])
    func saved(name: String, own: [String]) throws {
        let config = try ConfigReader(contentsOf: fixtures + "families/\(name)/config.json")
        try config.finish(ignoring: own)
    }

    @Test("GGUF metadata is read the same way")
    func gguf() throws {
        let file = try GGUF(contentsOf: fixtures + "formats/reference.gguf")
        let config = ConfigReader(file.metadata.json(prefix: "kind."), path: file.path)
        #expect(config.integer("uint16") == 60000)
        #expect(config.number("float32") == Double(Float(0.1)))
        #expect(config.integer("missing") == 1)
        let unknown = ["uint8", "int8", "int16", "uint32", "int32", "uint64", "int64", "float64", "bool", "string"]
        #expect(
            offences(config) == [
                #""missing" is missing"#, "unknown keys " + unknown.map { "\"\($0)\"" }.joined(separator: ", "),
            ])
        #expect(file.metadata.json(prefix: "array.")["uint8"] == [200, 1])
        #expect(file.metadata.json()["general.architecture"] == "test")
    }
}
