import Foundation
import MartletFormats
import MartletJSON
import TestSupport
import Testing

/// `martlet chat` as a script sees it: a random model with a template of its own.
@Suite struct ChatTests {
    /// Every word is a token; messages stand between marks.
    static let template = """
        {{ bos_token }} {% for message in messages %}<|{{ message.role }}|> {{ message.content }} <|end|> {% endfor %}\
        {% if add_generation_prompt %}<|assistant|>{% endif %}
        """

    /// A copy of a fixture with a tokenizer and a template beside it.
    static func model(in path: String, template: String? = template) throws {
        for name in ["model.safetensors", "config.json"] {
            let original = Fixtures.folder + "/families/llama/" + name
            try FileManager.default.copyItem(atPath: original, toPath: path + "/" + name)
        }
        let marks = ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
        var vocabulary = JSONObject()
        for (id, word) in ((0..<60).map { "w\($0)" } + marks).enumerated() { vocabulary[word] = .integer(id) }
        let tokenizer: JSON = [
            "version": "1.0", "added_tokens": [], "normalizer": nil, "post_processor": nil, "decoder": nil,
            "pre_tokenizer": ["type": "WhitespaceSplit"],
            "model": ["type": "WordLevel", "vocab": .object(vocabulary), "unk_token": "w0"],
        ]
        var config = JSONObject()
        (config["bos_token"], config["eos_token"]) = (["content": "w1"], "w2")
        config["chat_template"] = template.map { .string($0) }
        try writeFile(tokenizer.serialized(), to: path + "/tokenizer.json")
        try writeFile(JSON.object(config).serialized(), to: path + "/tokenizer_config.json")
    }

    static func answers(_ path: String, _ lines: [String]) throws -> [JSON] {
        let result = try Command.run(
            ["chat", "-m", path, "--system", "w9 w8", "--max-tokens", "6", "--json"],
            input: lines.map { $0 + "\n" }.joined())
        #expect(result.status == 0, "\(result.errors)")
        return try result.output.split(separator: "\n").map { try JSON(parsing: String($0)) }
    }

    @Test func answersAreThoseOfTheWholeConversation() throws {
        try TemporaryFolder.use { path in
            try Self.model(in: path)
            let answers = try Self.answers(path, ["w5 w6", "", "w30 w31 w32"])
            #expect(answers.count == 2)
            let first = answers[0]["text"]?.stringValue ?? ""
            var prompt = "w1 <|system|> w9 w8 <|end|> <|user|> w5 w6 <|end|> <|assistant|>"
            func generated() throws -> String? {
                let result = try Command.run(["generate", "-m", path, "--max-tokens", "6", "--json", prompt])
                return try JSON(parsing: result.output)["text"]?.stringValue
            }
            // What continues a text begins with a blank; an answer is a text of its own.
            #expect(try generated() == " " + first)
            prompt =
                "w1 <|system|> w9 w8 <|end|> <|user|> w5 w6 <|end|> "
                + "<|assistant|> \(first) <|end|> <|user|> w30 w31 w32 <|end|> <|assistant|>"
            #expect(try generated() == " " + (answers[1]["text"]?.stringValue ?? ""))
            // What the second prompt begins with was known: the first prompt and all of the answer but its last token.
            #expect(answers[0]["usage"]?["cached_tokens"]?.integerValue == 0)
            #expect(answers[1]["usage"]?["cached_tokens"]?.integerValue == 10 + 5)
        }
    }

    @Test func plainOutputIsTheAnswers() throws {
        try TemporaryFolder.use { path in
            try Self.model(in: path)
            let result = try Command.run(
                ["chat", "-m", path, "--system", "w9 w8", "--max-tokens", "6"], input: "w5 w6\nw30 w31 w32\n")
            let wanted = try Self.answers(path, ["w5 w6", "w30 w31 w32"]).compactMap { $0["text"]?.stringValue }
            #expect(result.output == wanted.map { $0 + "\n" }.joined())
            #expect(result.errors.isEmpty)
        }
    }

    @Test func aModelWithoutATemplateIsRefused() throws {
        try TemporaryFolder.use { path in
            try Self.model(in: path, template: nil)
            let result = try Command.run(["chat", "-m", path], input: "w5\n")
            #expect(result.status == 1 && result.errors.contains("chat template"))
        }
    }
}
