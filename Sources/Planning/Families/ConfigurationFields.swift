package import MartletJSON

/// The fields of a `config.json`, read one by one; what was wrong, what was defaulted and what nobody asked for is
/// kept.
///
/// A field that is absent or null takes the default that the model type documents (the configuration classes of
/// transformers 5.23), and is listed. A field without a default, of the wrong kind, or outside sensible bounds is a
/// problem; all problems are thrown together.
package struct ConfigurationFields {
    package let modelType: String
    private let object: JSONObject
    private var asked: [String] = []
    private(set) var problems: [String] = []
    private(set) var defaulted: [String] = []

    /// Sizes beyond this are mistakes, and would let products overflow.
    private static let largest = 1 << 28
    /// Layers are described one by one.
    static let mostLayers = 1 << 14

    package init(_ object: JSONObject, modelType: String) { (self.object, self.modelType) = (object, modelType) }

    /// Keys that say nothing about what a model costs.
    private static let irrelevant = [
        "_name_or_path", "_attn_implementation", "activation_function", "add_cross_attention", "architectures",
        "attention_dropout", "attention_probs_dropout_prob", "attn_pdrop", "auto_map", "bos_token_id",
        "classifier_dropout",
        "dropout", "dtype", "embd_pdrop", "eos_token_id", "gradient_checkpointing", "hidden_act", "hidden_activation",
        "hidden_dropout", "hidden_dropout_prob", "id2label", "initializer_factor", "initializer_range", "is_decoder",
        "is_encoder_decoder", "label2id", "layer_norm_eps", "layer_norm_epsilon", "layerdrop", "model_type",
        "pad_token_id",
        "problem_type", "resid_pdrop", "rms_norm_eps", "rope_scaling", "rope_parameters", "rope_theta", "sep_token_id",
        "summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj",
        "task_specific_params", "tokenizer_class", "torch_dtype", "transformers_version", "unk_token_id", "use_cache",
        "decoder_start_token_id", "forced_eos_token_id", "forced_bos_token_id", "decoder_start_token_id",
        "quantization_config",
    ]

    /// Keys of the file that had no part in the plan.
    package var ignored: [String] {
        object.keys.filter { key in !asked.contains(key) && !ConfigurationFields.irrelevant.contains(key) }
    }

    /// The value under the first of `keys` that is there and not null.
    private mutating func value(_ keys: [String]) -> (key: String, value: JSON)? {
        asked += keys
        for key in keys {
            if let value = object[key], !value.isNull { return (key, value) }
        }
        return nil
    }

    package mutating func problem(_ text: String) { problems.append(text) }

    /// A whole number from 0 to 2²⁸, or `nil` when it is absent, which is listed.
    package mutating func optionalInteger(_ keys: String...) -> Int? {
        let before = problems.count
        let found = readInteger(keys)
        if found == nil, problems.count == before { defaulted.append(keys[0]) }
        return found
    }

    private mutating func readInteger(_ keys: [String]) -> Int? {
        guard let (key, value) = value(keys) else { return nil }
        let most = key.contains("layers") ? ConfigurationFields.mostLayers : ConfigurationFields.largest
        guard let number = value.integerValue, (0...most).contains(number) else {
            problem("\(key) must be a whole number from 0 to \(most), and is \(value.text())")
            return nil
        }
        return number
    }

    /// A positive whole number; `standard` where absent.
    package mutating func integer(_ keys: String..., standard: Int) -> Int {
        guard let number = readInteger(keys) else {
            defaulted.append("\(keys[0]) = \(standard)")
            return standard
        }
        if number == 0 { problem("\(keys[0]) must not be 0") }
        return max(number, 1)
    }

    /// A positive whole number that has no default.
    package mutating func required(_ keys: String...) -> Int {
        guard let number = readInteger(keys) else {
            problem("\(keys[0]) is missing and has no default")
            return 1
        }
        return max(number, 1)
    }

    /// A truth value; `standard` where absent.
    package mutating func flag(_ key: String, standard: Bool) -> Bool {
        scalar(key, standard, "true or false", \.boolValue)
    }

    /// A text; `standard` where absent.
    package mutating func text(_ key: String, standard: String) -> String {
        scalar(key, standard, "a string", \.stringValue)
    }

    private mutating func scalar<Scalar>(
        _ key: String, _ standard: Scalar, _ expected: String, _ read: (JSON) -> Scalar?
    ) -> Scalar {
        guard let (_, value) = value([key]) else {
            defaulted.append("\(key) = \(standard)")
            return standard
        }
        guard let scalar = read(value) else {
            problem("\(key) must be \(expected), and is \(value.text())")
            return standard
        }
        return scalar
    }

    /// A list, or nil when it is absent, which is listed.
    package mutating func list(_ key: String) -> [JSON]? {
        guard let (_, value) = value([key]) else {
            defaulted.append(key)
            return nil
        }
        guard let list = value.arrayValue else {
            problem("\(key) must be a list, and is \(value.kind)")
            return nil
        }
        return list
    }

    /// A nested configuration; an empty one where it is absent.
    package mutating func nested(_ key: String) -> ConfigurationFields {
        guard let (_, value) = value([key]) else {
            return ConfigurationFields(JSONObject(), modelType: "\(modelType).\(key)")
        }
        guard let object = value.objectValue else {
            problem("\(key) must be an object, and is \(value.kind)")
            return ConfigurationFields(JSONObject(), modelType: modelType)
        }
        return ConfigurationFields(object, modelType: "\(modelType).\(key)")
    }

    /// Takes over what a nested configuration found out.
    package mutating func absorb(_ nested: ConfigurationFields, from key: String) {
        problems += nested.problems.map { "\(key).\($0)" }
        defaulted += nested.defaulted.map { "\(key).\($0)" }
    }

    /// The class the checkpoint was written by, as `LlamaForCausalLM`: the head follows from it.
    package mutating func className(standard: String) -> String {
        let before = defaulted
        if let name = list("architectures")?.first?.stringValue { return name }
        defaulted = before + ["architectures = \(standard)"]
        return standard
    }

    /// Divides what must go in evenly.
    package mutating func quotient(_ dividend: Int, _ divisor: Int, _ names: String) -> Int {
        guard divisor > 0, dividend % divisor == 0 else {
            problem("\(names): \(divisor) does not divide \(dividend)")
            return max(1, dividend / max(divisor, 1))
        }
        return dividend / divisor
    }
}
