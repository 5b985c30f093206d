/// A tokenizer's class in transformers, by which the files that older tokenizers were saved in are understood: what
/// stands around a text, which tokens are special, how pieces are numbered.
///
/// Source: the classes of transformers 5.
enum TokenizerClass: String {
    case bert = "BertTokenizer"
    case mpnet = "MPNetTokenizer"
    case gpt2 = "GPT2Tokenizer"
    case roberta = "RobertaTokenizer"
    case deberta = "DebertaTokenizer"
    case qwen2 = "Qwen2Tokenizer"
    case t5 = "T5Tokenizer"
    case albert = "AlbertTokenizer"
    case xlmRoberta = "XLMRobertaTokenizer"
    case camembert = "CamembertTokenizer"
    case pegasus = "PegasusTokenizer"
    case debertaV2 = "DebertaV2Tokenizer"
    case llama = "LlamaTokenizer"
    case codeLlama = "CodeLlamaTokenizer"
    case gemma = "GemmaTokenizer"
    case mbart = "MBartTokenizer"
    case mbart50 = "MBart50Tokenizer"
    case nllb = "NllbTokenizer"
    case m2m100 = "M2M100Tokenizer"
    case blenderbot = "BlenderbotTokenizer"
    case byT5 = "ByT5Tokenizer"
    /// Mistral's own file, whatever class is named.
    case tekken = "MistralCommonBackend"
    /// No class of its own: whatever a SentencePiece model says of itself.
    case sentencePiece = "TokenizersBackend"

    /// Classes that are others by another name.
    private static let synonyms: [String: TokenizerClass] = [
        "DistilBertTokenizer": .bert, "ElectraTokenizer": .bert, "MobileBertTokenizer": .bert,
        "ConvBertTokenizer": .bert, "BartTokenizer": .roberta, "LongformerTokenizer": .roberta,
        "LEDTokenizer": .roberta, "CodeGenTokenizer": .gpt2, "MT5Tokenizer": .t5,
        "BertGenerationTokenizer": .sentencePiece,
    ]

    /// The class of a model type whose files name none.
    private static let usual: [String: TokenizerClass] = [
        "bert": .bert, "distilbert": .bert, "electra": .bert, "ernie": .bert, "mpnet": .mpnet, "gpt2": .gpt2,
        "gpt_neo": .gpt2, "opt": .gpt2, "codegen": .gpt2, "gptj": .gpt2, "roberta": .roberta, "bart": .roberta,
        "longformer": .roberta, "led": .roberta, "deberta": .deberta, "qwen2": .qwen2, "qwen3": .qwen2, "t5": .t5,
        "mt5": .t5, "umt5": .t5, "longt5": .t5, "switch_transformers": .t5, "albert": .albert,
        "xlm-roberta": .xlmRoberta, "camembert": .camembert, "pegasus": .pegasus, "deberta-v2": .debertaV2,
        "gemma": .gemma, "gemma2": .gemma, "gemma3_text": .gemma, "mbart": .mbart, "m2m_100": .m2m100,
        "blenderbot": .blenderbot, "nomic_bert": .bert, "jina_embeddings_v3": .xlmRoberta, "phi": .gpt2,
        "starcoder2": .gpt2, "qwen2_moe": .qwen2, "qwen3_moe": .qwen2, "bert-generation": .sentencePiece,
    ]

    /// Model types whose files are read as they say, whatever class they name.
    private static let unclassed: Set<String> = [
        "mistral", "mixtral", "ministral", "ministral3", "mistral3", "phi3", "phimoe", "internlm2", "internlm3",
        "minicpm", "minicpm3", "ernie4_5", "ernie4_5_moe", "nemotron",
    ]

    /// Classes that part texts by what their files do not hold, and by what.
    private static let parting: [String: String] = [
        "BertJapaneseTokenizer": "MeCab or Sudachi", "RoFormerTokenizer": "jieba", "CpmTokenizer": "jieba",
        "PhobertTokenizer": "fastBPE's codes", "BertweetTokenizer": "rules for tweets",
        "BartphoTokenizer": "a second vocabulary", "FSMTTokenizer": "Moses' rules", "XLMTokenizer": "Moses' rules",
        "FlaubertTokenizer": "Moses' rules", "HerbertTokenizer": "its own rules",
        "BlenderbotSmallTokenizer": "its own rules", "OpenAIGPTTokenizer": "its own rules",
        "CTRLTokenizer": "its own rules", "CanineTokenizer": "scalars' numbers",
    ]

    /// The means by which a class parts texts, where its files do not say it and it is not done here.
    static func parting(ofClass name: String?, modelType: String?) -> (name: String, what: String)? {
        let name = name.map(plain) ?? (modelType == "roformer" ? "RoFormerTokenizer" : "")
        return parting[name].map { (name, $0) }
    }

    private static func plain(_ name: String) -> String {
        name.utf8.suffix(4).elementsEqual("Fast".utf8) ? String(name.dropLast(4)) : name
    }

    /// - Parameters:
    ///   - name: `tokenizer_class`, where the files say it.
    ///   - modelType: the `model_type` of config.json.
    ///   - hasPieces: whether there is a SentencePiece model by the usual name, which says enough of itself.
    init?(name: String?, modelType: String?, hasPieces: Bool) {
        let known = name.flatMap { name in
            let name = TokenizerClass.plain(name)
            return TokenizerClass(rawValue: name) ?? TokenizerClass.synonyms[name]
        }
        let usual = modelType.flatMap { TokenizerClass.usual[$0] }
        if hasPieces, modelType.map(TokenizerClass.unclassed.contains) ?? false {
            self = .sentencePiece
        } else if let found = known ?? usual, name == nil || known != nil {
            self = found
        } else if hasPieces {
            self = .sentencePiece
        } else {
            return nil
        }
    }

    /// The parts of transformers that name special tokens, in its order.
    static let roles = [
        "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
    ]

    /// The special tokens where the files name no others, by their role.
    var tokens: [String: String] {
        switch self {
        case .bert:
            [
                "unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]",
                "mask_token": "[MASK]",
            ]
        case .deberta, .debertaV2:
            [
                "bos_token": "[CLS]", "eos_token": "[SEP]", "unk_token": "[UNK]", "sep_token": "[SEP]",
                "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]",
            ]
        case .mpnet: TokenizerClass.framed.merging(["unk_token": "[UNK]"]) { $1 }
        case .roberta, .xlmRoberta, .camembert, .blenderbot: TokenizerClass.framed
        case .mbart: TokenizerClass.framed.merging([TokenizerClass.language: "en_XX"]) { $1 }
        case .mbart50:
            TokenizerClass.framed.merging([TokenizerClass.language: "en_XX"]) { $1 }.filter { $0.key != "bos_token" }
        case .nllb: TokenizerClass.framed.merging([TokenizerClass.language: "eng_Latn"]) { $1 }
        case .m2m100:
            TokenizerClass.framed.merging([TokenizerClass.language: "en"]) { $1 }
                .filter { !["cls_token", "mask_token"].contains($0.key) }
        case .llama, .codeLlama: ["bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"]
        case .tekken: ["bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"]
        case .gemma:
            [
                "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", "pad_token": "<pad>",
                "mask_token": "<mask>",
            ]
        case .byT5: ["eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"]
        case .sentencePiece: [:]
        case .gpt2:
            ["bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"]
        case .qwen2: ["eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>", "pad_token": "<|endoftext|>"]
        case .t5: ["eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"]
        case .albert:
            [
                "bos_token": "[CLS]", "eos_token": "[SEP]", "unk_token": "<unk>", "sep_token": "[SEP]",
                "pad_token": "<pad>", "cls_token": "[CLS]", "mask_token": "[MASK]",
            ]
        case .pegasus:
            ["eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask_2>"]
        }
    }

    private static let framed = [
        "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "</s>", "pad_token": "<pad>",
        "cls_token": "<s>", "mask_token": "<mask>",
    ]

    /// The setting that names the language which is read.
    static let language = "src_lang"

    /// True where a mask takes the blank before it.
    var masksBlanks: Bool { [.mpnet, .camembert, .mbart, .mbart50, .nllb, .blenderbot].contains(self) }

    /// True where the files say which special tokens stand around a text, and whether one begins it where they do not.
    var asksForFrame: (asks: Bool, begins: Bool) {
        switch self {
        case .gpt2, .qwen2, .sentencePiece: (true, false)
        case .llama, .codeLlama, .gemma, .tekken: (true, true)
        default: (false, false)
        }
    }

    /// Returns whether a class of this name is Llama's, which begins texts where the files do not say it, also for the
    /// model types whose files are read as they say.
    static func begins(ofClass name: String?) -> Bool {
        name.flatMap { TokenizerClass(rawValue: plain($0)) }.map { [.llama, .codeLlama].contains($0) } ?? false
    }

    /// The special tokens around a text, and around two; roles stand for their tokens, A and B for the texts.
    struct Frame {
        let single: [String]
        /// The part of the first text.
        let first: [String]
        /// The part of the second text.
        let second: [String]
        /// True where the second part is of segment 1.
        var hasSegments = false

        init(single: [String], first: [String]? = nil, second: [String], hasSegments: Bool = false) {
            (self.single, self.first, self.second) = (single, first ?? single, second)
            self.hasSegments = hasSegments
        }
    }

    var frame: Frame? {
        switch self {
        case .bert, .albert, .debertaV2:
            Frame(single: ["cls_token", "A", "sep_token"], second: ["B", "sep_token"], hasSegments: true)
        case .deberta: Frame(single: ["cls_token", "A", "sep_token"], second: ["sep_token", "B", "sep_token"])
        case .mpnet, .roberta, .xlmRoberta, .camembert:
            Frame(single: ["bos_token", "A", "eos_token"], second: ["eos_token", "B", "eos_token"])
        case .t5, .byT5: Frame(single: ["A", "eos_token"], second: ["B", "eos_token"])
        case .pegasus: Frame(single: ["A", "eos_token"], first: ["A"], second: ["B", "eos_token"])
        case .blenderbot: Frame(single: ["A", "eos_token"], second: ["B", "eos_token"], hasSegments: true)
        case .mbart:
            Frame(
                single: ["A", "eos_token", TokenizerClass.language], first: ["A"],
                second: ["B", "eos_token", TokenizerClass.language])
        case .mbart50, .nllb, .m2m100:
            Frame(
                single: [TokenizerClass.language, "A", "eos_token"], first: [TokenizerClass.language, "A"],
                second: ["B", "eos_token"])
        case .gpt2, .qwen2, .llama, .codeLlama, .gemma, .tekken, .sentencePiece: nil
        }
    }
}
