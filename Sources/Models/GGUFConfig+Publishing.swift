import MartletFormats
package import MartletJSON
import MartletLayers

extension ModelFile {
    /// The settings of the model that is run of a config.json: those of the text part where it also sees, under a name
    /// of their own where one model type stands for several families.
    package static func settings(of config: JSONObject) -> JSONObject {
        textPart(of: config) ?? JinaBERT.settings(config) ?? config
    }

    /// The settings of a model that is run, as publishers spell them.
    package static func published(_ config: JSONObject) -> JSONObject { JinaBERT.published(config) }

    /// Returns whether GGUF has a name for models of this type.
    package static func hasGGUFName(_ modelType: String) -> Bool { GGUFDialect.writing(modelType) != nil }

    /// The GGUF architecture (`general.architecture`) of a model of this type; nil where it has no name.
    package var ggufArchitecture: String? { GGUFDialect.writing(modelType, architecture.body)?.architecture }

    /// The class that transformers loads a model of this type with, where it is known.
    package static func className(_ modelType: String) -> String? { GGUFDialect.writing(modelType)?.className }

    /// A `generation_config.json` with the tokens that a `config.json` names; nil where it names none.
    package static func generationConfig(_ config: JSONObject) -> JSONObject? {
        var generation = JSONObject()
        for key in ["bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id"] {
            if let id = config[key], !id.isNull { generation[key] = id }
        }
        guard !generation.isEmpty else { return nil }
        generation["_from_model_config"] = true
        return generation
    }

    /// The settings by which a model writes: those of its config.json, or what a GGUF says in those words.
    package func writingConfig() throws -> JSONObject {
        if case .gguf = container { try publishedConfig(dataType: nil) } else { try config() }
    }

    /// A `config.json` that transformers reads: a directory's own, or what a GGUF says in those words.
    ///
    /// - Parameters:
    ///   - dataType: of the weights, in words of config.json; nil leaves what stands there.
    /// - Throws: ``ModelError`` for a GGUF that says what config.json has no words for.
    package func publishedConfig(dataType: String?) throws -> JSONObject {
        var config: JSONObject
        switch container {
        case .directory(let path):
            config = JinaBERT.published(try ModelFile.config(in: path))
            // What is written is unpacked.
            if quantization != nil { (config["quantization_config"], config["quantization"]) = (nil, nil) }
        case .gguf(let file):
            config = try GGUFConfig.translate(file)
            if config[LayerSizes.key] != nil {
                throw ModelError(
                    "\(file.path): config.json has no words for layers of different sizes; keep the model as a GGUF")
            }
            if let dialect = GGUFDialect.writing(modelType, architecture.body), !architecture.classifies {
                config["architectures"] = [.string(dialect.className)]
            }
            if config[GGUFHead.transformKey] != nil {
                throw ModelError(
                    "\(file.path): the classifier has no pooler, for which config.json has no words; keep the model as a "
                        + "GGUF")
            }
            config = JinaBERT.published(config)
            for (key, name) in [("bos", "bos"), ("eos", "eos"), ("pad", "padding")] {
                if let id = try file.metadata.integer("tokenizer.ggml.\(name)_token_id") {
                    config["\(key)_token_id"] = .integer(id)
                }
            }
            if config["rope_scaling"]?["rope_type"]?.stringValue == "divided" {
                config["rope_scaling"] = try publishedScaling(file.path)
            }
        }
        if let dataType { config[config["dtype"] == nil ? "torch_dtype" : "dtype"] = .string(dataType) }
        return config
    }

    /// The settings whose divisors a GGUF holds. They are not stored; all published models share them but for the
    /// factor.
    private func publishedScaling(_ path: String) throws -> JSON {
        guard case .decoder(let stack) = architecture.body,
            case .rotary(var rotary)? = stack.layers.first?.attention.positions,
            case .divided(let divisors) = rotary.scaling, let factor = divisors.max()
        else { return .null }
        let (low, high, trained): (Float, Float, Int) = (1, 4, 8_192)
        rotary.scaling = .llama3(factor: factor, low: low, high: high, trained: trained)
        let expected = RotaryFrequencies(rotary).divisors
        guard zip(divisors, expected).allSatisfy({ abs($0 - $1) <= 1e-4 * abs($1) }) else {
            throw ModelError("\(path): config.json has no words for the divisors in rope_freqs.weight")
        }
        return [
            "rope_type": "llama3", "factor": .number(Double(factor)), "low_freq_factor": .number(Double(low)),
            "high_freq_factor": .number(Double(high)), "original_max_position_embeddings": .integer(trained),
        ]
    }
}
