import MartletFormats
import MartletLayers
import MartletModels
import MartletPlatform
import TestSupport
import Testing

/// The table in Documentation/Models.md, against what the registry and the fixtures say.
///
/// With MARTLET_WRITE_TABLE=1 in the environment the table is written instead.
@Suite struct ModelTableTests {
    static let path = Fixtures.folder + "/../../Documentation/Models.md"

    /// A published model of each type, where one goes by it.
    private static let examples: [String: String] = [
        "albert": "albert/albert-base-v2", "apertus": "swiss-ai/Apertus-8B-Instruct-2509",
        "arcee": "arcee-ai/AFM-4.5B", "bart": "facebook/bart-large-cnn", "bert": "google-bert/bert-base-uncased",
        "blenderbot": "facebook/blenderbot-400M-distill", "bloom": "bigscience/bloom-560m",
        "camembert": "almanach/camembert-base", "codegen": "Salesforce/codegen-350M-mono",
        "cohere": "CohereLabs/c4ai-command-r-v01", "cohere2": "CohereLabs/c4ai-command-r7b-12-2024",
        "ctranslate2": "a directory with model.bin", "cwm": "facebook/cwm", "deberta": "microsoft/deberta-base",
        "deberta-v2": "microsoft/deberta-v3-base", "deepseek_v2": "deepseek-ai/DeepSeek-V2-Lite-Chat",
        "deepseek_v3": "moonshotai/Moonlight-16B-A3B-Instruct",
        "distilbert": "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
        "electra": "google/electra-small-discriminator", "ernie": "nghuyong/ernie-3.0-base-zh",
        "ernie4_5": "baidu/ERNIE-4.5-0.3B-PT", "ernie4_5_moe": "baidu/ERNIE-4.5-21B-A3B-PT",
        "eurobert": "EuroBERT/EuroBERT-210m",
        "exaone4": "LGAI-EXAONE/EXAONE-4.0-1.2B", "falcon": "tiiuae/falcon-7b-instruct", "gemma": "google/gemma-2b",
        "gemma2": "google/gemma-2-2b-it", "gemma3_text": "google/gemma-3-1b-it, google/embeddinggemma-300m",
        "gemma3n_text": "google/gemma-3n-E2B-it, google/gemma-3n-E4B-it (text)",
        "gemma4_text": "google/gemma-4-E2B-it, google/gemma-4-31B-it (text)",
        "gemma4_unified_text": "google/gemma-4-12B-it (text)",
        "new": "Alibaba-NLP/gte-multilingual-base",
        "glm": "zai-org/glm-4-9b-chat-hf", "glm4": "zai-org/GLM-4-9B-0414", "glm4_moe": "zai-org/GLM-4.5-Air",
        "gpt2": "openai-community/gpt2", "gpt_bigcode": "bigcode/starcoderbase-1b",
        "gpt_neo": "EleutherAI/gpt-neo-125m", "gpt_neox": "EleutherAI/pythia-160m", "gpt_oss": "openai/gpt-oss-20b",
        "gptj": "EleutherAI/gpt-j-6b", "granite": "ibm-granite/granite-3.3-2b-instruct",
        "granitemoe": "ibm-granite/granite-3.1-1b-a400m-instruct", "hunyuan_v1_dense": "tencent/Hunyuan-0.5B-Instruct",
        "hyperclovax": "naver-hyperclovax/HyperCLOVAX-SEED-Text-Instruct-0.5B",
        "internlm3": "internlm/internlm3-8b-instruct", "iquestcoder": "IQuestLab/IQuest-Coder-V1-40B-Instruct",
        "jais2": "inceptionai/Jais-2-8B-Chat",
        "jina_bert_v2": "jinaai/jina-embeddings-v2-base-en (a `bert` with ALiBi)",
        "jina_embeddings_v3": "jinaai/jina-embeddings-v3-hf",
        "led": "allenai/led-base-16384", "llama": "meta-llama/Llama-3.2-1B-Instruct",
        "llama4_text": "meta-llama/Llama-4-Scout-17B-16E-Instruct (text)",
        "longformer": "allenai/longformer-base-4096", "longt5": "google/long-t5-local-base",
        "m2m_100": "facebook/nllb-200-distilled-600M", "marian": "Helsinki-NLP/opus-mt-en-de",
        "mbart": "facebook/mbart-large-50-many-to-many-mmt", "ministral3": "mistralai/Ministral-3-3B-Instruct-2512",
        "mistral": "mistralai/Mistral-7B-Instruct-v0.3", "mixtral": "mistralai/Mixtral-8x7B-Instruct-v0.1",
        "modernbert": "answerdotai/ModernBERT-base", "mpnet": "sentence-transformers/all-mpnet-base-v2",
        "mpt": "mosaicml/mpt-7b", "mt5": "google/mt5-small", "nemotron": "nvidia/Minitron-4B-Base",
        "nomic_bert": "nomic-ai/nomic-embed-text-v1.5",
        "nomic_bert_moe": "nomic-ai/nomic-embed-text-v2-moe (GGUF)",
        "olmo": "allenai/OLMo-1B-hf", "olmo2": "allenai/OLMo-2-0425-1B",
        "olmo3": "allenai/Olmo-3-7B-Instruct", "olmoe": "allenai/OLMoE-1B-7B-0924", "opt": "facebook/opt-125m",
        "pegasus": "google/pegasus-xsum", "phi": "microsoft/phi-2", "phi3": "microsoft/Phi-3.5-mini-instruct",
        "phimoe": "microsoft/Phi-3.5-MoE-instruct", "qwen2": "Qwen/Qwen2.5-0.5B-Instruct",
        "qwen2_5_vl_text": "Qwen/Qwen2.5-VL-3B-Instruct (text)", "qwen2_moe": "Qwen/Qwen1.5-MoE-A2.7B-Chat",
        "qwen2_vl_text": "Qwen/Qwen2-VL-2B-Instruct (text)", "qwen3": "Qwen/Qwen3-0.6B",
        "qwen3_moe": "Qwen/Qwen3-30B-A3B",
        "qwen3_vl_moe_text": "Qwen/Qwen3-VL-30B-A3B-Instruct (text)",
        "qwen3_vl_text": "Qwen/Qwen3-VL-2B-Instruct (text)", "roberta": "FacebookAI/roberta-base",
        "roformer": "junnyu/roformer_chinese_base", "seed_oss": "ByteDance-Seed/Seed-OSS-36B-Instruct",
        "smollm3": "HuggingFaceTB/SmolLM3-3B", "stablelm": "stabilityai/stablelm-2-1_6b",
        "starcoder2": "bigcode/starcoder2-3b", "switch_transformers": "google/switch-base-8",
        "t5": "google/flan-t5-small", "t5gemma": "google/t5gemma-2b-2b-ul2-it",
        "transformer": "what `martlet train` makes",
        "umt5": "google/umt5-small", "vaultgemma": "google/vaultgemma-1b", "xlm-roberta": "FacebookAI/xlm-roberta-base",
    ]

    /// By model type: its architecture in the first fixture that has it.
    private static func fixtures() throws -> [String: Architecture] {
        var found: [String: Architecture] = [:]
        for name in FamilyTests.supported.sorted() {
            let file = try ModelFile(path: FamilyTests.folder + "/" + name)
            // A model that writes says more than one that does not.
            if found[file.modelType]?.writes != true { found[file.modelType] = file.architecture }
        }
        return found
    }

    private static func row(_ modelType: String, _ architecture: Architecture?) -> String {
        func mark(_ value: Bool?) -> String { value.map { $0 ? "yes" : "–" } ?? "not tested" }
        let kind =
            switch architecture?.body {
            case .decoder: "decoder"
            case .encoder: "encoder"
            case .encoderDecoder: "encoder-decoder"
            case nil: ""
            }
        let hasName = ModelFile.hasGGUFName(modelType)
        let isTrained: Bool? = architecture.map { _ in true }
        let columns = [
            "`\(modelType)`", examples[modelType] ?? "", kind, architecture == nil ? "not tested" : "yes",
            mark(hasName),
            mark(hasName), mark(isTrained),
            architecture == nil ? "not tested" : architecture?.writes == true ? "text" : "vectors, labels",
        ]
        return "| " + columns.joined(separator: " | ") + " |"
    }

    private static func table() throws -> [String] {
        let fixtures = try fixtures()
        let types = Set(Families.all.flatMap { $0.modelTypes }).sorted()
        return [
            "| model type | for example | kind | run | GGUF | quantize | train | serve |",
            "|---|---|---|---|---|---|---|---|",
        ] + types.map { row($0, fixtures[$0]) }
    }

    @Test func theTableIsWhatTheTestsKnow() throws {
        let text = String(decoding: Fixtures.bytes(Self.path), as: UTF8.self)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let wanted = try Self.table()
        if unsafe getenv("MARTLET_WRITE_TABLE") != nil {
            let before = lines.prefix { !$0.hasPrefix("| model type") }
            let after = lines.drop { !$0.hasPrefix("| model type") }.drop { $0.hasPrefix("|") }
            try writeFile(Array((before + wanted + after).joined(separator: "\n").utf8), to: Self.path)
            return
        }
        let found = lines.filter { $0.hasPrefix("|") }
        for line in wanted where !found.contains(line) { Issue.record("missing or stale: \(line)") }
        #expect(found.count == wanted.count, "rows that nobody knows; MARTLET_WRITE_TABLE=1 writes the table anew")
    }

    @Test func everyTypeHasAnExample() {
        let types = Set(Families.all.flatMap { $0.modelTypes })
        #expect(types.subtracting(Self.examples.keys).sorted() == [])
        #expect(Set(Self.examples.keys).subtracting(types).sorted() == [])
    }
}
