import MartletJSON
import MartletLayers
import MartletModels
import MartletTemplates
import MartletTensors
import MartletTraining
import TestSupport
import Testing

/// Conversations: which bytes are the assistant's, and runs over instructions and preferences.
@Suite struct ChatTests {
    private let folder = FolderForTests()
    private static let chatML =
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
        + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"

    private func message(_ role: String, _ text: String) -> JSON { ["role": .string(role), "content": .string(text)] }

    @Test func theAssistantsBytes() throws {
        let format = ConversationFormat(try ChatTemplate(Self.chatML), JSONObject())
        let messages = [
            message("system", "s"), message("user", "é"), message("assistant", "one"), message("user", "b"),
            message("assistant", "two"),
        ]
        let (text, ranges) = try format.assistantBytes(of: messages)
        let bytes = Array(text.utf8)
        let found = ranges.map { String(decoding: bytes[$0], as: UTF8.self) }
        #expect(found == ["one<|im_end|>\n", "two<|im_end|>\n"])
    }

    /// A template that drops the reasoning of earlier turns trains on the last alone; what the prompt of an answer
    /// holds is none's.
    @Test func reasoningThatIsDropped() throws {
        let source =
            "{% for m in messages %}{% if m.role == 'assistant' %}A:{% if loop.last %}<think>{{ m.think }}</think>{% endif %}{{ m.content }};"
            + "{% else %}U:{{ m.content }};{% endif %}{% endfor %}{% if add_generation_prompt %}A:<think>{% endif %}"
        let format = ConversationFormat(try ChatTemplate(source), JSONObject())
        var messages = [
            message("user", "a"), message("assistant", "x"), message("user", "b"), message("assistant", "y"),
        ]
        for index in [1, 3] {
            var object = messages[index].objectValue ?? JSONObject()
            object["think"] = "t"
            messages[index] = .object(object)
        }
        let (text, ranges) = try format.assistantBytes(of: messages)
        #expect(ranges.map { String(decoding: Array(text.utf8)[$0], as: UTF8.self) } == ["t</think>y;"])
    }

    /// Marks of a template count bytes of the whole text; those of a text that is made aside do not count, and prefixes
    /// tell instead.
    @Test(arguments: [
        "{% generation %}{{ m.content }};{% endgeneration %}",
        "{% set text %}{% generation %}{{ m.content }};{% endgeneration %}{% endset %}{{ text }}",
    ]) func marksOfTheTemplate(_ turn: String) throws {
        let source =
            "{% for m in messages %}{% if m.role == 'assistant' %}A:\(turn){% else %}Ü:{{ m.content }};{% endif %}{% endfor %}"
            + "{% if add_generation_prompt %}A:{% endif %}"
        let format = ConversationFormat(try ChatTemplate(source), JSONObject())
        let (text, ranges) = try format.assistantBytes(of: [
            message("user", "é"), message("assistant", "one"), message("user", "b"), message("assistant", "two"),
        ])
        #expect(ranges.map { String(decoding: Array(text.utf8)[$0], as: UTF8.self) } == ["one;", "two;"])
    }

    /// Templates that write an answer otherwise once something follows it: without the thought that they put in front
    /// of the last one.
    private static let forgetful = ["CohereForAI", "NVIDIA-Nemotron", "StepFun"]

    /// 35 templates by six conversations: what is predicted is what the assistant said, whole, and nothing that others
    /// did.
    @Test(.enabled(if: Fixtures.data != nil, "needs the real templates beside the package"))
    func masksOfRealTemplates() throws {
        let folder = (Fixtures.data ?? "") + "/templates"
        let goldens = try JSON(contentsOf: (Fixtures.data ?? "") + "/goldens/chat-template-renders.json")
        var (turns, masked) = (0, 0)
        for name in Fixtures.entries(folder) where name.hasSuffix(".jinja") {
            let template = try ChatTemplate(String(decoding: Fixtures.bytes("\(folder)/\(name)"), as: UTF8.self))
            let format = ConversationFormat(template, goldens["variables"]?.objectValue ?? JSONObject())
            for (kind, context) in goldens["contexts"]?.objectValue?.members ?? [] {
                let messages = context["messages"]?.arrayValue ?? []
                // Templates may refuse tools, or a system's turn.
                guard let (text, ranges) = try? format.assistantBytes(of: messages, tools: context["tools"]) else {
                    continue
                }
                let bytes = Array(text.utf8)
                let found = ranges.map { String(decoding: bytes[$0], as: UTF8.self) }
                let own = messages.filter { $0["role"]?.stringValue == "assistant" }
                turns += own.count
                masked += found.count
                for (message, part) in zip(own, found) {
                    let words = (message["content"]?.stringValue ?? "").utf8.split { $0 <= 32 }
                    // A call stands in for an empty text, where the template knows calls.
                    let said = words.first.map { String(decoding: $0, as: UTF8.self) } ?? "get_weather"
                    #expect(part.contains(said) || !text.contains(said), "\(name), \(kind): \(part)")
                }
                for message in messages where message["role"]?.stringValue != "assistant" {
                    let content = message["content"]?.stringValue ?? ""
                    #expect(!found.contains { $0.contains(content) }, "\(name), \(kind): \(found)")
                }
                let isWhole = found.count == own.count || Self.forgetful.contains { name.hasPrefix($0) }
                #expect(isWhole, "\(name), \(kind): \(found)")
            }
        }
        #expect(turns == 133 && masked == 127, "\(masked) of \(turns)")
    }

    // MARK: - Runs

    private static let base = Fixtures.folder + "/families/llama-tied"

    /// A tokenizer of bytes is not needed: each character of a small alphabet is a token.
    private func recipe(_ objective: String, _ data: String, _ overrides: [String] = []) throws -> Recipe {
        try Recipe(
            yaml: """
                model: {from: \(Self.base)}
                tokenizer: {file: \(tokenizerFile())}
                objective: \(objective)
                data: {sources: [{paths: \(data)}]}
                length: 60
                batch: {examples: 4}
                optimizer: {learning_rate: 5e-3}
                steps: 8
                checkpoints: {every: 3, keep: 2}
                """, path: "recipe", overrides: overrides)
    }

    private func tokenizerFile() -> String {
        let vocabulary = ["A", "U", ":", ";", " "] + (97...122).map { String(UnicodeScalar(UInt8($0))) }
        let entries = vocabulary.enumerated().map { "\(JSON.string($1).text()): \($0)" }.joined(separator: ", ")
        return folder.write(
            """
            {"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
             "pre_tokenizer": null, "post_processor": null, "decoder": {"type": "Fuse"},
             "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
              "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
              "vocab": {\(entries)}, "merges": []}}
            """, to: "tokenizer.json")
    }

    private func prepare(_ name: String, _ recipe: Recipe, threads: Int = 2) throws -> (TrainingRun, ModelLearner) {
        let (device, path) = (Device(threads: threads), folder.path + "/" + name)
        let source =
            "{% for m in messages %}{% if m.role == 'assistant' %}A:{{ m.content }};{% else %}U:{{ m.content }};{% endif %}{% endfor %}"
            + "{% if add_generation_prompt %}A:{% endif %}"
        let format = ConversationFormat(try ChatTemplate(source), JSONObject())
        let preparation = try RunPreparation(recipe, folder: path, chat: format, on: device)
        let learner = try ModelLearner(preparation, on: device)
        let store = CheckpointStore(path + "/checkpoints")
        let state = try store.newest().step.map { try store.restore(learner, to: $0) }
        let run = try TrainingRun(
            path, preparation.settings, learner, preparation.stream(from: state?.cursor), validation: [], from: state)
        return (run, learner)
    }

    private func writePreferences() -> String {
        let lines = (0..<12).map { index in
            "{\"prompt\": \"say \(["yes", "no"][index % 2])\", \"chosen\": \"ok \(index % 3 == 0 ? "a" : "b")\", \"rejected\": \"never\"}\n"
        }
        return folder.write(lines.joined(), to: "preferences.jsonl")
    }

    @Test func preferencesBeginAtLogTwoAndGrow() throws {
        let recipe = try recipe("{name: preferences, beta: 0.2}", writePreferences())
        let (whole, learner) = try prepare("whole", recipe)
        _ = try whole.run()
        let losses = whole.records.map(\.loss)
        #expect(abs(losses[0] - 0.693_147_180_559_945) < 1e-6, "\(losses[0])")
        #expect(losses[7] < 0.5, "\(losses)")
        let (first, _) = try prepare("stopped", recipe, threads: 1)
        #expect(try first.run { first.state.step == 4 }.end == .stopped)
        let (second, resumed) = try prepare("stopped", recipe, threads: 3)
        _ = try second.run()
        for (a, b) in zip(learner.weights, resumed.weights) { #expect(a.tensor.values == b.tensor.values, "\(a.name)") }
    }

    /// The preview of a conversation before training: what is predicted stands in brackets.
    @Test func examplesAreShown() throws {
        let recipe = try recipe("{name: preferences}", writePreferences())
        let source =
            "{% for m in messages %}{% if m.role == 'assistant' %}A:{{ m.content }};{% else %}U:{{ m.content }};{% endif %}{% endfor %}"
            + "{% if add_generation_prompt %}A:{% endif %}"
        let format = ConversationFormat(try ChatTemplate(source), JSONObject())
        let preparation = try RunPreparation(recipe, folder: folder.path, chat: format, on: Device(threads: 1))
        #expect(
            try preparation.shown(2) == [
                ["chosen: U:say yes;A:⟦ok a;⟧", "rejected: U:say yes;A:⟦never;⟧"],
                ["chosen: U:say no;A:⟦ok b;⟧", "rejected: U:say no;A:⟦never;⟧"],
            ])
    }

    /// Preferences as trl's collections have them: a prompt apart, answers that are whole conversations with or without
    /// the prompt beside them (UltraFeedback), and several turns, of which the answers in the prompt are context.
    @Test func preferencesOfEveryForm() throws {
        func turns(_ last: String) -> String {
            #"[{"role": "user", "content": "say yes"}, {"role": "assistant", "content": "\#(last)"}]"#
        }
        let ask = #"{"role": "user", "content": "say yes"}"#
        let begin = #"{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, "# + ask
        func answer(_ text: String) -> String { #"{"role": "assistant", "content": "\#(text)"}"# }
        let data = folder.write(
            [
                #"{"prompt": "say yes", "chosen": "ok", "rejected": "no"}"#,
                #"{"prompt": "say yes", "chosen": \#(turns("ok")), "rejected": \#(turns("no"))}"#,
                #"{"chosen": \#(turns("ok")), "rejected": \#(turns("no"))}"#,
                #"{"prompt": [\#(ask)], "chosen": [\#(answer("ok"))], "rejected": [\#(answer("no"))]}"#,
                #"{"chosen": [\#(begin), \#(answer("ok"))], "rejected": [\#(begin), \#(answer("no"))]}"#,
                #"{"prompt": [\#(begin)], "chosen": "ok", "rejected": "no"}"#,
                #"{"chosen": \#(turns("ok")), "rejected": \#(turns("ok"))}"#,
            ].map { $0 + "\n" }.joined(), to: "forms.jsonl")
        let source =
            "{% for m in messages %}{{ 'A:' if m.role == 'assistant' else 'U:' }}{{ m.content }};{% endfor %}"
            + "{% if add_generation_prompt %}A:{% endif %}"
        let preparation = try RunPreparation(
            recipe("{name: preferences}", data), folder: folder.path,
            chat: ConversationFormat(try ChatTemplate(source), JSONObject()), on: Device(threads: 1))
        let one = ["chosen: U:say yes;A:⟦ok;⟧", "rejected: U:say yes;A:⟦no;⟧"]
        let two = ["chosen: U:a;A:b;U:say yes;A:⟦ok;⟧", "rejected: U:a;A:b;U:say yes;A:⟦no;⟧"]
        #expect(try preparation.shown(9) == [one, one, one, one, two, two])
        #expect(preparation.notes.contains("1 preferences whose answers are the same are left out"))
    }

    /// A prompt with a completion, as texts or messages: the completion alone is predicted (trl's default). Messages
    /// may stand under the other name, and tools be spelled in a text.
    @Test func completionsOfEveryForm() throws {
        let data = folder.write(
            #"{"prompt": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, "#
                + #"{"role": "user", "content": "c"}], "completion": [{"role": "assistant", "content": "d"}]}"# + "\n"
                + #"{"prompt": "a", "completion": "b"}"# + "\n"
                + #"{"conversations": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}"#
                + "\n"
                + #"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "#
                + #""tools": "[{\"name\": \"t\"}]"}"# + "\n", to: "completions.jsonl")
        for (begin, end) in [("", ""), ("{% generation %}", "{% endgeneration %}")] {
            let source =
                "{% for tool in tools or [] %}{{ tool.name }}{% endfor %}{% for m in messages %}"
                + "{% if m.role == 'assistant' %}A:\(begin){{ m.content }};\(end){% else %}U:{{ m.content }};{% endif %}"
                + "{% endfor %}{% if add_generation_prompt %}A:{% endif %}"
            let preparation = try RunPreparation(
                recipe("{name: instructions}", data), folder: folder.path,
                chat: ConversationFormat(try ChatTemplate(source), JSONObject()), on: Device(threads: 1))
            #expect(
                try preparation.shown(9) == [
                    ["U:a;A:b;U:c;A:⟦d;⟧"], ["U:a;A:⟦b;⟧"], ["U:a;A:⟦b;⟧"], ["tU:a;A:⟦b;⟧"],
                ])
        }
    }

    /// Learning rates fall from the head downwards: the norm behind the last layer learns as fast as the head, the
    /// tables slowest of all (ELECTRA's layer-wise decay, arXiv:2003.10555).
    @Test func ratesFallByLayer() throws {
        let recipe = try recipe("{name: preferences}", writePreferences(), ["train={layer_decay: 0.5}"])
        let (_, learner) = try prepare("rates", recipe)
        let parameters = learner.parameters
        let rates = Dictionary(uniqueKeysWithValues: zip(parameters.names, parameters.rateFactors))
        let layers = (0..<64).count { layer in parameters.names.contains { $0.hasPrefix("decoder.\(layer).") } }
        #expect(layers > 1)
        for (name, rate) in rates {
            let depth =
                name.hasPrefix("decoder.outputNorm.")
                ? 0 : (0..<layers).first { name.hasPrefix("decoder.\($0).") }.map { layers - $0 } ?? layers + 1
            let expected = (0..<depth).reduce(Float(1)) { rate, _ in rate / 2 }
            #expect(abs(rate - expected) < 1e-6, "\(name): \(rate), not \(expected)")
        }
        #expect(rates["decoder.outputNorm.weight"] == 1 && rates["tokens.weight"] != nil)
    }

    @Test func instructionsPredictTheAssistantAlone() throws {
        let data = folder.write(
            #"{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]}"# + "\n"
                + #"{"instruction": "say", "input": "it", "output": "it"}"# + "\n"
                + #"{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}"# + "\n",
            to: "chat.jsonl")
        let recipe = try recipe("{name: instructions}", data, ["batch.examples=3"])
        let device = Device(threads: 1)
        let format = ConversationFormat(
            try ChatTemplate(
                "{% for m in messages %}{{ 'A:' if m.role == 'assistant' else 'U:' }}{{ m.content.replace('\n', ' ') }};{% endfor %}"
                    + "{% if add_generation_prompt %}A:{% endif %}"), JSONObject())
        var stream = try RunPreparation(recipe, folder: folder.path, chat: format, on: device).stream(from: nil)
        let batch = try stream.next()
        #expect(batch.examples == 3)
        // "yo;", "it;" and "b;" are predicted.
        #expect(batch.targetCount == 3 + 3 + 2)
        let none = folder.write(#"{"messages": [{"role": "user", "content": "hi"}]}"# + "\n", to: "none.jsonl")
        let wrong = try self.recipe("{name: instructions}", none)
        #expect(throws: DataError.self) { try RunPreparation(wrong, folder: folder.path, chat: format, on: device) }
        #expect(throws: RunError.self) { try RunPreparation(wrong, folder: folder.path, on: device) }
    }
}
