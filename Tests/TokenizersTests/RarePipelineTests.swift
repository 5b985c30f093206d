import MartletJSON
import MartletTokenizers
import Testing

/// Pipelines that random ones found to differ: ids and offsets by Hugging Face tokenizers 0.23.3.
struct RarePipelineTests {
    private func check(_ pipeline: JSONObject, _ text: String, _ ids: [Int32], _ offsets: [(Int, Int)]) throws {
        let tokenizer = try Tokenizer(json: .object(pipeline))
        let encoding = try tokenizer.encoding(of: text)
        #expect(encoding.ids == ids)
        #expect(encoding.offsets == offsets.map { Encoding.Offsets($0.0, $0.1) })
        #expect(try tokenizer.encode(text) == ids)
    }

    private func words(_ words: [String]) -> JSON {
        var vocabulary = JSONObject()
        for (id, word) in words.enumerated() { vocabulary[word] = .integer(id) }
        return ["type": "WordLevel", "vocab": .object(vocabulary), "unk_token": "<unk>"]
    }

    private func byteLevel(prefix: Bool, regex: Bool = true) -> JSON {
        ["type": "ByteLevel", "add_prefix_space": .bool(prefix), "trim_offsets": true, "use_regex": .bool(regex)]
    }

    private let roberta: JSON = [
        "type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1], "trim_offsets": true,
        "add_prefix_space": false,
    ]

    /// A processor behind another gets more encodings than there are texts. (It once read beyond them.)
    @Test func offsetsAreTrimmedBehindATemplate() throws {
        var pipeline = JSONObject()
        pipeline["model"] = words(["<unk>", "<s>", "</s>", "Ġa", "Ġb"])
        pipeline["pre_tokenizer"] = byteLevel(prefix: true)
        let start: JSON = ["SpecialToken": ["id": "<s>", "type_id": 0]]
        let text: JSON = ["Sequence": ["id": "A", "type_id": 0]]
        let end: JSON = ["SpecialToken": ["id": "</s>", "type_id": 0]]
        let template: JSON = [
            "type": "TemplateProcessing", "single": [start, text, end], "pair": [text, text],
            "special_tokens": [
                "<s>": ["id": "<s>", "ids": [1], "tokens": ["<s>"]],
                "</s>": ["id": "</s>", "ids": [2], "tokens": ["</s>"]],
            ],
        ]
        pipeline["post_processor"] = ["type": "Sequence", "processors": [template, roberta]]
        let none = (0, 0)
        try check(
            pipeline, "a b", [1, 1, 2, 2, 3, 4, 2, 2, 2, 2],
            [none, none, none, none, (1, 1), (2, 3), none, none, none, none])
    }

    /// An added token that is found in normalized text, with the blanks it takes.
    @Test func blanksOfNormalizedAddedTokens() throws {
        var pipeline = JSONObject()
        pipeline["model"] = words(["<unk>", "a", ",", "é"])
        pipeline["normalizer"] = ["type": "NFD"]
        pipeline["added_tokens"] = [
            [
                "id": 3, "content": "é", "single_word": false, "lstrip": false, "rstrip": true, "normalized": true,
                "special": false,
            ]
        ]
        pipeline["pre_tokenizer"] = ["type": "Whitespace"]
        pipeline["post_processor"] = byteLevel(prefix: false)
        try check(pipeline, "a, e\u{301}\n\na", [1, 2, 3, 1], [(0, 1), (1, 2), (3, 6), (8, 9)])
    }

    /// Unigram's unknown tokens show the text of the stages before, whose blanks have another name.
    @Test func blanksOfUnknownTokens() throws {
        var pipeline = JSONObject()
        pipeline["model"] = [
            "type": "Unigram", "unk_id": 0, "byte_fallback": false, "vocab": [["<unk>", 0], ["a", -1], ["b", -2]],
        ]
        pipeline["pre_tokenizer"] = byteLevel(prefix: true, regex: false)
        pipeline["post_processor"] = roberta
        try check(pipeline, "11 a1 ", [1, 0, 1, 0, 2], [(0, 0), (1, 2), (3, 4), (4, 5), (0, 0)])
    }

    /// Numbers that are no digits are no words, but the fractions and powers of Latin-1 are.
    @Test func wordsOfExpressions() throws {
        var pipeline = JSONObject()
        pipeline["model"] = words(["<unk>", "H", "₂", "O", "H₂O", ",", "½", "x", "x½"])
        pipeline["pre_tokenizer"] = split(#"\w+|[^\w\s]+"#, "Removed", isInverted: true)
        try check(pipeline, "H₂O, x½", [1, 2, 3, 5, 8], [(0, 1), (1, 4), (4, 5), (5, 6), (7, 10)])
    }

    private func split(_ regex: String, _ behavior: String, isInverted: Bool = false) -> JSON {
        [
            "type": "Split", "pattern": ["Regex": .string(regex)], "behavior": .string(behavior),
            "invert": .bool(isInverted),
        ]
    }

    /// An empty match cuts where it stands.
    @Test(arguments: [
        (#"(?=[A-Z])"#, "Isolated", [0, 1, 3]), (#"(?=[A-Z])"#, "MergedWithNext", [0, 1, 3]),
        (#"(?=(\d{3})+(?!\d))"#, "Isolated", [0, 7, 10, 19]),
        (#"\d{1,3}(?=(?:\d{3})*\b)"#, "Isolated", [0, 6, 7, 10, 13, 25, 27]),
    ])
    func emptyMatches(_ regex: String, _ behavior: String, _ starts: [Int]) throws {
        var pipeline = JSONObject()
        pipeline["model"] = words(["<unk>"])
        pipeline["pre_tokenizer"] = split(regex, behavior)
        let encoding = try Tokenizer(json: .object(pipeline)).encoding(of: "aBcDxx1234567 12a 1234½ 12①")
        #expect(encoding.offsets.map(\.start) == starts)
    }

    @Test func emptyMatchesAreReplaced() throws {
        var pipeline = JSONObject()
        pipeline["model"] = words(["<unk>"])
        pipeline["normalizer"] = ["type": "Replace", "pattern": ["Regex": "(?=[A-Z])"], "content": "_"]
        pipeline["pre_tokenizer"] = ["type": "CharDelimiterSplit", "delimiter": "_"]
        try check(pipeline, "aBcD", [0, 0, 0], [(0, 1), (1, 3), (3, 4)])
    }
}
