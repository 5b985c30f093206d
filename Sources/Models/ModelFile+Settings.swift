import MartletFormats
package import MartletJSON
package import MartletLayers

// The settings that describe a model, and the families that read them.

extension ModelFile {
    /// The contents of a folder's config.json.
    package static func config(in directory: String) throws -> JSONObject {
        let path = directory + "/config.json"
        guard let config = try JSON(contentsOf: path, as: .python).objectValue else {
            throw ModelError("\(path): the configuration is not a JSON object")
        }
        return settings(of: config)
    }

    /// The settings of the language model in one that also sees or hears, as those of a model of its own; nil for a
    /// model that only reads.
    package static func textPart(of config: JSONObject) -> JSONObject? {
        guard let outer = config["model_type"]?.stringValue, Families.reading(outer) == nil,
            var text = config["text_config"]?.objectValue ?? besideSight(config, outer)
        else { return nil }
        // Where the part does not say its type, it is the larger model's own, or what LLaVA began with.
        let types = [text["model_type"]?.stringValue, outer + "_text", "llama"].compactMap { $0 }
        guard let type = types.first(where: { Families.reading($0) != nil }) else { return nil }
        text["model_type"] = .string(type)
        // The class that is named writes; inside a larger model it may be the bare one.
        text["architectures"] = [.string(GGUFDialect.writing(type)?.className ?? "ForCausalLM")]
        let shared = [
            "tie_word_embeddings", "eos_token_id", "bos_token_id", "pad_token_id", "quantization_config",
            "quantization",
        ]
        for key in shared where text[key] == nil {
            text[key] = config[key]
        }
        return text
    }

    /// The settings of a larger model that has those of its text part beside it: Qwen2-VL as it was published.
    private static func besideSight(_ config: JSONObject, _ modelType: String) -> JSONObject? {
        guard ["qwen2_vl", "qwen2_5_vl"].contains(modelType), config["hidden_size"] != nil else { return nil }
        var text = config
        text["vision_config"] = nil
        return text
    }

    /// Reads the description of a model from its configuration.
    ///
    /// - Throws: ``ModelError`` for a model type that no family reads, ``ConfigError`` for everything wrong with the
    ///   rest.
    package static func describe(
        _ config: JSONObject, path: String
    ) throws -> (modelType: String, family: any Family.Type, architecture: Architecture, passedOver: [String]) {
        guard let modelType = config["model_type"]?.stringValue else {
            throw ModelError("\(path): the configuration has no model_type, which says what kind of model it is")
        }
        guard let family = Families.reading(modelType) else {
            if let reason = Families.refusal(modelType) {
                throw ModelError("\(path): model type \(modelType) is not supported: \(reason)")
            }
            let known = Families.all.flatMap { $0.modelTypes }.sorted().joined(separator: ", ")
            throw ModelError("\(path): model type \(modelType) is not supported. Known are \(known)")
        }
        let reader = ConfigReader(config, path: path)
        // How weights are packed is read where they are.
        reader.ignore("quantization_config", "quantization")
        var architecture = family.architecture(reader)
        if let sizes = LayerSizes(config) {
            reader.ignore(LayerSizes.key)
            architecture = try sizes.applied(to: architecture, path: path)
        }
        for contradiction in architecture.contradictions { reader.reject(contradiction) }
        try reader.finish(
            ignoring: family.harmlessKeys, reference: ConfigurationKeys.of(modelType) ?? family.publishedKeys)
        return (modelType, family, architecture, reader.passedOver)
    }
}
