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

    /// Classes that are others by another name.
    private static let synonyms: [String: TokenizerClass] = [
        "DistilBertTokenizer": .bert, "ElectraTokenizer": .bert, "MobileBertTokenizer": .bert,
        "ConvBertTokenizer": .bert, "BartTokenizer": .roberta, "LongformerTokenizer": .roberta,
        "LEDTokenizer": .roberta, "CodeGenTokenizer": .gpt2, "MT5Tokenizer": .t5,
    ]

    /// The class of a model type whose files name none.
    private static let usual: [String: TokenizerClass] = [
        "bert": .bert, "distilbert": .bert, "electra": .bert, "ernie": .bert, "mpnet": .mpnet, "gpt2": .gpt2,
        "gpt_neo": .gpt2, "opt": .gpt2, "codegen": .gpt2, "gptj": .gpt2, "roberta": .roberta, "bart": .roberta,
        "longformer": .roberta, "led": .roberta, "deberta": .deberta, "qwen2": .qwen2, "qwen3": .qwen2, "t5": .t5,
        "mt5": .t5, "umt5": .t5, "longt5": .t5, "switch_transformers": .t5, "albert": .albert,
        "xlm-roberta": .xlmRoberta, "camembert": .camembert, "pegasus": .pegasus, "deberta-v2": .debertaV2,
    ]

    /// - Parameters:
    ///   - name: `tokenizer_class`, where the files say it.
    ///   - modelType: the `model_type` of config.json.
    init?(name: String?, modelType: String?) {
        guard let name else {
            guard let modelType, let known = TokenizerClass.usual[modelType] else { return nil }
            self = known
            return
        }
        let plain = name.utf8.suffix(4).elementsEqual("Fast".utf8) ? String(name.dropLast(4)) : name
        guard let known = TokenizerClass(rawValue: plain) ?? TokenizerClass.synonyms[plain] else { return nil }
        self = known
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
        case .roberta, .xlmRoberta, .camembert: TokenizerClass.framed
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

    /// True where a mask takes the blank before it.
    var masksBlanks: Bool { [.mpnet, .camembert].contains(self) }

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
        case .t5: Frame(single: ["A", "eos_token"], second: ["B", "eos_token"])
        case .pegasus: Frame(single: ["A", "eos_token"], first: ["A"], second: ["B", "eos_token"])
        case .gpt2, .qwen2: nil
        }
    }
}
