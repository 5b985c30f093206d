package import MartletFormats
package import MartletJSON
package import MartletLayers

/// A model family: how to read its `config.json`, and what checkpoints call its weights. Translation only.
package protocol Family: Sendable {
    /// The values of `model_type` that it reads; a GGUF's `general.architecture` stands under the same names.
    static var modelTypes: [String] { get }

    /// The description. Offences are collected by the reader, which the caller closes.
    static func architecture(_ config: ConfigReader) -> Architecture

    /// Keys of its `config.json` that change nothing that is computed, beside those that are harmless in all.
    static var harmlessKeys: [String] { get }

    /// Keys that the code published with a model type reads beside those that are asked for, with their defaults; nil
    /// where the code is transformers' own, or unknown keys are to be refused.
    static var publishedKeys: JSONObject? { get }

    /// The names of the weights in a Hugging Face checkpoint.
    static func names(_ architecture: Architecture) -> WeightNames

    /// The names of the weights in a Hugging Face checkpoint, where checkpoints of one configuration differ in how they
    /// spell a part.
    static func names(_ architecture: Architecture, storedAs tensors: StoredTensors) -> WeightNames

    /// True where a setting says which parts are fused, so that the published code reads a checkpoint as it is.
    static var hasLayoutSetting: Bool { get }

    /// The prefixes that may stand before every name: the first that fits a checkpoint is taken.
    static var prefixes: [String] { get }

    /// Our modules that stand beside the part of the model that has the prefix.
    static var unprefixed: [String] { get }

    /// True where the head is the token table if a checkpoint has none, whatever the configuration says.
    static var tiesWhereHeadIsAbsent: Bool { get }

    /// Tensors that some checkpoints carry and the model does not need; `#` stands for a number, `*` at the end for
    /// anything.
    static var unused: [String] { get }

    /// The names of the weights in a GGUF.
    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames
}

extension Family {
    package static var harmlessKeys: [String] { [] }
    package static var publishedKeys: JSONObject? { nil }
    package static func names(_ architecture: Architecture, storedAs tensors: StoredTensors) -> WeightNames {
        names(architecture)
    }
    package static var hasLayoutSetting: Bool { false }
    package static var prefixes: [String] { [""] }
    package static var unprefixed: [String] { ["head", "sequence", "sequence.transform", "rows", "answers"] }
    package static var tiesWhereHeadIsAbsent: Bool { false }
    package static var unused: [String] { [] }
    package static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames { GGUFNames.decoder }
}

/// The whole registry: add a family by adding a line.
package enum Families {
    package static let all: [any Family.Type] = [
        Llama.self, Mixtral.self, QwenExperts.self, Gemma.self, Gemma3n.self, Gemma4.self, Phi3.self,
        GPT2.self, GPTNeo.self, GPTNeoX.self, GPTJ.self, OPT.self, Bloom.self, Phi.self, Falcon.self,
        Granite.self, SmolLM3.self, OLMo.self, Cohere.self, GLM.self, StarCoder2.self, GPTBigCode.self, StableLM.self,
        EXAONE4.self, LlamaRelatives.self, Nemotron.self, MPT.self, CodeGen.self, VaultGemma.self,
        Ministral3.self, GPTOSS.self, DeepSeek.self, GLMExperts.self, ErnieExperts.self, PhiMoE.self, Apertus.self,
        Llama4.self,
        BERT.self, JinaBERT.self, NomicBERT.self, MPNet.self, RoFormer.self, RoBERTa.self, DistilBERT.self, ALBERT.self,
        ELECTRA.self,
        DeBERTa.self, ModernBERT.self, EuroBERT.self, JinaEmbeddings3.self, GTE.self,
        Longformer.self,
        T5.self, SwitchTransformers.self, T5Gemma.self, BART.self, LED.self, Transformer.self, CTranslate2.self,
    ]

    /// The reason why models of a type that no family reads cannot be run, where that is known.
    static func refusal(_ modelType: String) -> String? {
        recurrent.contains(modelType) ? recurrence : nil
    }

    /// Model types some or all of whose layers carry a state from token to token in place of keys and values.
    private static let recurrent: Set<String> = [
        "mamba", "mamba2", "falcon_mamba", "falcon_h1", "jamba", "zamba", "zamba2", "bamba", "rwkv", "rwkv6", "rwkv7",
        "recurrent_gemma", "xlstm", "qwen3_next", "qwen3_5", "lfm2", "lfm2_moe", "nemotron_h", "granitemoehybrid",
        "plamo2",
        "minimax", "kimi_linear", "olmo_hybrid", "griffin", "retnet", "falcon-h1", "granitehybrid", "nemotron-h",
        "nemotron_h_moe", "rwkv6qwen2", "arwkv7", "qwen3next", "lfm2moe", "granite-hybrid",
    ]

    private static let recurrence =
        "its layers keep a recurrent state (a state space model or linear attention), and only attention over keys and values is computed here"

    package static func reading(_ modelType: String) -> (any Family.Type)? {
        all.first { $0.modelTypes.contains(modelType) }
    }
}
