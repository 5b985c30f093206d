internal import CMartletModelsData
package import MartletJSON

/// The keys of `config.json` that a model type's own configuration class of transformers reads, each with its default.
///
/// A key that stands here changes what the reference computes; one that does not is passed over there, whatever it
/// says. Made by `Tools/configuration_keys.py`.
package enum ConfigurationKeys {
    /// The keys that the configuration class of `modelType` reads; nil for a type that transformers does not have.
    package static func of(_ modelType: String) -> JSONObject? { table[modelType]?.objectValue }

    private static let table: JSON = {
        let bytes = unsafe Array(
            UnsafeBufferPointer(
                start: martlet_configuration_keys_json_bytes(), count: martlet_configuration_keys_json_size))
        return (try? JSON(parsing: bytes)) ?? .null
    }()
}
