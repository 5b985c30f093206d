import MartletFormats
import MartletLayers

/// CodeGen: GPT-J whose query, value and key stand in one tensor, in four shares as it was trained (arXiv:2203.13474).
enum CodeGen: Family {
    static let modelTypes = ["codegen"]

    static func architecture(_ config: ConfigReader) -> Architecture { GPTJ.architecture(config) }

    static let harmlessKeys = GPTJ.harmlessKeys
    static let prefixes = GPTJ.prefixes
    static let unused = ["h.#.attn.causal_mask", "h.#.attn.bias", "h.#.attn.masked_bias"]

    static func names(_ architecture: Architecture) -> WeightNames {
        GPTJ.names(architecture).adding(
            .fusedAttention("h.#.attn.qkv_proj", order: ["query", "value", "key"], groups: 4))
    }
}
