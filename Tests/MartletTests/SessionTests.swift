import Foundation
import Martlet
import MartletFormats
import MartletJSON
import MartletModels
import MartletPlatform
import TestSupport
import Testing

/// Conversations on a random model whose tokens are words.
@Suite struct SessionTests {
    /// Messages stand between marks; the answers of tools and their calls are shown too.
    static let template = """
        {{ bos_token }} {% for tool in tools or [] %}<|tool|> {{ tool.function.name }} {% endfor %}\
        {% for message in messages %}<|{{ message.role }}|> {{ message.content }} <|end|> {% endfor %}\
        {% if add_generation_prompt %}<|assistant|>{% endif %}
        """

    /// Runs `body` with the model in a folder of its own; token `id` of `renamed` is spelled as is said there.
    static func withModel(
        renamed: [Int: String] = [:], template: String? = template, _ body: (LanguageModel) async throws -> Void
    ) async throws {
        try await TemporaryFolder.use { path in
            for name in ["model.safetensors", "config.json"] {
                try writeFile(Fixtures.bytes(Fixtures.folder + "/families/llama/" + name), to: path + "/" + name)
            }
            let marks = ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
            var vocabulary = JSONObject()
            for (id, word) in ((0..<60).map { "w\($0)" } + marks).enumerated() {
                vocabulary[renamed[id] ?? word] = .integer(id)
            }
            let tokenizer: JSON = [
                "version": "1.0", "added_tokens": [], "normalizer": nil, "post_processor": nil, "decoder": nil,
                "pre_tokenizer": ["type": "WhitespaceSplit"],
                "model": ["type": "WordLevel", "vocab": .object(vocabulary), "unk_token": "w0"],
            ]
            var config = JSONObject()
            (config["bos_token"], config["eos_token"]) = ("w1", "w2")
            config["chat_template"] = template.map { .string($0) }
            try writeFile(tokenizer.serialized(), to: path + "/tokenizer.json")
            try writeFile(JSON.object(config).serialized(), to: path + "/tokenizer_config.json")
            try await body(LanguageModel.load(path: path, threads: 1))
        }
    }

    /// Templates in files of their own, as transformers 5 saves several.
    @Test func templatesHaveFiles() throws {
        try TemporaryFolder.use { path in
            for name in ["model.safetensors", "config.json"] {
                try writeFile(Fixtures.bytes(Fixtures.folder + "/families/llama/" + name), to: path + "/" + name)
            }
            let tokenizer = Fixtures.folder + "/tasks/classes/tokenizer.json"
            try writeFile(Fixtures.bytes(tokenizer), to: path + "/tokenizer.json")
            try Folder.make(path + "/additional_chat_templates")
            try writeFile(Array("plain".utf8), to: path + "/chat_template.jinja")
            try writeFile(Array("tools".utf8), to: path + "/additional_chat_templates/tool_use.jinja")
            let file = try ModelFile(path: path)
            let found = try ChatFormat.source(of: file, ModelText.tokenizer(of: file))
            #expect(found.template == "plain" && found.toolTemplate == "tools")
        }
    }

    static let options = GenerationOptions(maximumTokens: 6, endOfText: .ignored)

    /// Each answer is what the model writes after the whole conversation, and what was read before is not read again.
    @Test func answersFollowTheTranscript() async throws {
        try await Self.withModel { model in
            let session = model.session(instructions: "w9 w8")
            let first = try await session.respond(to: "w5 w6", options: Self.options)
            var prompt = "w1 <|system|> w9 w8 <|end|> <|user|> w5 w6 <|end|> <|assistant|>"
            // What continues a text begins with a blank; an answer is a text of its own.
            #expect(try await model.generate(prompt, Self.options).text() == " " + first.content)
            #expect(first.summary.rememberedTokens == 0)
            var streamed = ""
            var last: ResponseStream.Snapshot?
            for try await snapshot in session.streamResponse(to: "w30", options: Self.options) {
                streamed += snapshot.delta
                #expect(snapshot.content == streamed)
                last = snapshot
            }
            prompt =
                "w1 <|system|> w9 w8 <|end|> <|user|> w5 w6 <|end|> "
                + "<|assistant|> \(first.content) <|end|> <|user|> w30 <|end|> <|assistant|>"
            #expect(try await model.generate(prompt, Self.options).text() == " " + streamed)
            #expect(last?.summary?.rememberedTokens == 10 + 5)
            #expect(
                Array(session.transcript) == [
                    .instructions("w9 w8"), .prompt("w5 w6"), .response(first.content), .prompt("w30"),
                    .response(streamed),
                ])
            #expect(!session.isResponding)
        }
    }

    /// Wrong requests, and an answer that nobody waits for, leave the transcript as it was and the session free.
    @Test func aFailedRequestChangesNothing() async throws {
        try await Self.withModel { model in
            let session = model.session()
            await #expect(throws: GenerationError.self) {
                try await session.respond(to: "w5", options: GenerationOptions(maximumTokens: -1))
            }
            for try await _ in session.streamResponse(to: "w5", options: Self.options) { break }
            #expect(session.transcript.isEmpty && !session.isResponding)
            var stream = session.streamResponse(to: "w5", options: Self.options).makeAsyncIterator()
            _ = try await stream.next()
            let error = await #expect(throws: GenerationError.self) { try await session.respond(to: "w6") }
            #expect(error?.cause.contains("answering already") == true)
            while try await stream.next() != nil {}
            #expect(session.transcript.count == 2)
        }
    }

    /// The instructions are read ahead, and the answer stays the same.
    @Test func prewarmingReadsWhatEveryPromptBeginsWith() async throws {
        try await Self.withModel { model in
            let session = model.session(instructions: "w9 w8")
            session.prewarm()
            let warm = try await session.respond(to: "w5", options: Self.options)
            // w1 <|system|> w9 w8 <|end|> <|user|>
            #expect(warm.summary.rememberedTokens == 6)
            try await Self.withModel { other in
                let cold = try await other.session(instructions: "w9 w8").respond(to: "w5", options: Self.options)
                #expect(warm.content == cold.content && cold.summary.rememberedTokens == 0)
            }
        }
    }

    @Test func aModelWithoutATemplateNeedsOne() async throws {
        try await Self.withModel(template: nil) { model in
            let error = await #expect(throws: GenerationError.self) { try await model.session().respond(to: "w5") }
            #expect(error?.cause.contains("no chat template") == true)
            let template = try ChatTemplate("{% for m in messages %}{{ m.content }}{% endfor %}")
            let response = try await model.session(template: template).respond(to: "w5", options: Self.options)
            #expect(try await model.generate("w5", Self.options).text() == " " + response.content)
        }
    }

    // MARK: tools

    struct Clock: Tool {
        struct Arguments: Decodable { let city: String }
        let name = "clock"
        let description = "The time in a city."
        func call(arguments: Arguments) async throws -> String {
            guard arguments.city != "nowhere" else { throw TemplateError(.value, "no such city") }
            return "w\(arguments.city.utf8.count)"
        }
    }

    /// The token that the model writes first is spelled as a call: the tool is called, and its answer is read by the
    /// next round.
    @Test func aToolIsCalledAndItsAnswerIsRead() async throws {
        let options = GenerationOptions(maximumTokens: 1, endOfText: .ignored)
        let call = #"{"name":"clock","arguments":{"city":"Oslo"}}"#
        var first: Int32 = 0
        try await Self.withModel { model in
            let prompt = try model.tokens(of: "w1 <|tool|> clock <|user|> w5 <|end|> <|assistant|>")
            for try await piece in try model.generate(tokens: prompt, options) { first = piece.tokens.first ?? first }
        }
        try await Self.withModel(renamed: [Int(first): call]) { model in
            let session = model.session(tools: [Clock()])
            do {
                let response = try await session.respond(to: "w5", options: options)
                #expect(response.transcriptEntries.last == .response(response.content))
                #expect(
                    response.transcriptEntries.prefix(3) == [
                        .prompt("w5"), .toolCalls([.init(name: "clock", arguments: #"{"city":"Oslo"}"#)]),
                        .toolOutput(.init(name: "clock", content: "w4")),
                    ])
            } catch let error as GenerationError {
                // The random model may want nothing but the time; it is not asked forever.
                #expect(error.kind == .tool && error.cause.contains("17 times"))
            }
        }
    }

    @Test func callsAreFoundInEverySpelling() {
        let parser = ToolCallParser(names: ["clock", "map"])
        let oslo = Transcript.ToolCall(name: "clock", arguments: #"{"city":"Oslo"}"#)
        let map = Transcript.ToolCall(name: "map", arguments: "{}")
        #expect(parser.calls(in: #"{"name":"map"}"#) == [map])
        #expect(parser.calls(in: #"{"name": "clock", "parameters": {"city": "Oslo"}}"#) == [oslo])
        #expect(
            parser.calls(in: #" [{"name":"clock","arguments":{"city":"Oslo"}},{"name":"map","arguments":{}}]"#)
                == [oslo, map])
        #expect(
            parser.calls(
                in: """

                    <tool_call>
                    {"name": "clock", "arguments": {"city": "Oslo"}}
                    </tool_call>
                    <tool_call>
                    {"name": "map", "arguments": {}}
                    """) == [oslo, map])
        for text in [
            "It is noon.", #"{"name":"other","arguments":{}}"#, #"{"name":"clock""#, "{", "", "[1]",
            #"{"name":"map","arguments":{}} it is"#,
            #"{"name":"clock","arguments":"Oslo"}"#,
        ] {
            #expect(parser.calls(in: text).isEmpty, "\(text)")
        }
        for text in ["", " ", "{", "[{", "<tool", "<tool_call>x"] { #expect(parser.mayBecomeCall(text), "\(text)") }
        for text in ["It", "<b>", "<tool box"] { #expect(!parser.mayBecomeCall(text), "\(text)") }
        #expect(!ToolCallParser(names: []).mayBecomeCall("{"))
    }

    @Test func argumentsAreDecodedAndMistakesToldToTheModel() async throws {
        let clock = Clock()
        #expect(try await clock.output(of: .init(name: "clock", arguments: #"{"city":"Bergen"}"#)) == "w6")
        let mistake = try await clock.output(of: .init(name: "clock", arguments: "{}"))
        #expect(mistake.hasPrefix("error: these arguments"))
        let error = await #expect(throws: GenerationError.self) {
            try await clock.output(of: .init(name: "clock", arguments: #"{"city":"nowhere"}"#))
        }
        #expect(error?.kind == .tool && error?.cause.contains("no such city") == true)
    }
}
