import MartletFormats
import MartletLayers

/// VaultGemma: Gemma 2 without the norms behind the sublayers (arXiv:2510.15001).
enum VaultGemma: Family {
    static let modelTypes = ["vaultgemma"]

    static func architecture(_ config: ConfigReader) -> Architecture { Gemma.architecture(config) }

    static let harmlessKeys = Gemma.harmlessKeys
    static let prefixes = Gemma.prefixes
    static let unused = Gemma.unused

    static func names(_ architecture: Architecture) -> WeightNames {
        Llama.names(architecture).adding([
            "decoder.#.feedForward.normBefore": "layers.#.pre_feedforward_layernorm"
        ])
    }
}
