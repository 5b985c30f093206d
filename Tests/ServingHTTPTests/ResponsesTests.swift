#if Server
    import MartletAPI
    import MartletJSON
    import Testing

    /// The object and the events of `/v1/responses`.
    @Suite(.serialized) struct ResponsesTests {
        private let look: JSON = [
            "type": "function", "name": "look", "description": "Looks.", "strict": true,
            "parameters": [
                "type": "object", "properties": ["a": ["type": "string", "minLength": 400]], "required": ["a"],
            ],
        ]

        @Test func theResponseSaysAgainWhatWasAskedFor() async throws {
            let service = try await TestService()
            let format: JSON = ["type": "json_schema", "name": "o", "schema": ["enum": [1, 2]]]
            let fields: JSON = [
                "instructions": "Be brief.", "metadata": ["key": "value"], "parallel_tool_calls": false,
                "tools": .array([look]), "tool_choice": "none", "text": ["format": format], "truncation": "auto",
                "max_output_tokens": 20, "reasoning": ["effort": "low"],
            ]
            var body = try #require(fields.objectValue)
            body["input"] = "Hello"
            let answer = try await service.ask("/v1/responses", .object(body))
            #expect(answer.status == 200 && answer.json["status"] == "completed")
            for (key, value) in fields.objectValue?.members ?? [] { #expect(answer.json[key] == value, "\(key)") }
            let plain = try await service.ask("/v1/responses", ["input": "Hello", "max_output_tokens": 1]).json
            let cases: [(String, JSON)] = [
                ("instructions", .null), ("metadata", [:]), ("parallel_tool_calls", true), ("tools", []),
                ("tool_choice", "auto"), ("text", ["format": ["type": "text"]]), ("truncation", "disabled"),
            ]
            for (key, value) in cases {
                #expect(plain[key] == value, "\(key)")
            }
        }

        @Test func errorsNameTheFieldsOfTheRequest() async throws {
            let service = try await TestService()
            let long = JSON.string(String(repeating: "word and ", count: 300))
            let wrong: [(JSON, String)] = [
                (["input": "x", "max_output_tokens": -2], "max_output_tokens"), (["input": [[:]]], "input[0].role"),
                (["input": [["role": "user", "content": "x"], ["role": "king", "content": "x"]]], "input[1].role"),
                (["instructions": "x", "input": [["type": "reasoning"], ["role": "user"]]], "input[1].content"),
                (["input": [["type": "function_call", "call_id": "c"]]], "input[0].name"),
                (["input": [["type": "function_call_output", "call_id": "c"]]], "input[0].output"),
                (["input": []], "input"), (["input": 5], "input"), (["input": long], "input"),
                (["input": "x", "text": ["format": ["type": "xml"]]], "text.format.type"),
                (["input": "x", "text": ["format": ["type": "json_schema"]]], "text.format.schema"),
                (
                    ["input": "x", "text": ["format": ["type": "json_schema", "schema": ["type": "odd"]]]],
                    "text.format.schema"
                ),
                (["input": "x", "tools": [["type": "function"]]], "tools[0].name"),
                (["input": "x", "tools": [["type": "web_search"]]], "tools[0].type"),
                (["input": "x", "include": ["everything"]], "include[0]"), (["input": "x", "metadata": 5], "metadata"),
                (["input": "x", "metadata": ["a": 5]], "metadata.a"),
                (["input": "x", "truncation": "bogus"], "truncation"),
                (["input": "x", "top_logprobs": 21], "top_logprobs"),
                (["input": "x", "parallel_tool_calls": 5], "parallel_tool_calls"),
                (["input": "x", "store": 1], "store"),
                (["input": "x", "prompt": ["id": "p"]], "prompt"),
            ]
            for (body, name) in wrong {
                let answer = try await service.ask("/v1/responses", body)
                #expect(answer.status == 400 && answer.parameter == name, "\(body) \(answer.message)")
                for own in ["messages", "response_format", "max_tokens"] { #expect(!answer.message.contains(own)) }
            }
        }

        /// Every item is opened and closed, and the last event holds the items that were told of.
        private func check(_ events: [JSON], status: String, kinds: [String]) throws {
            let end = try #require(events.last)
            #expect(
                end["type"]?.stringValue == "response." + status && end["response"]?["status"]?.stringValue == status)
            let items = try #require(end["response"]?["output"]?.arrayValue)
            #expect(items.compactMap { $0["type"]?.stringValue } == kinds)
            let added = events.filter { $0["type"] == "response.output_item.added" }
            let done = events.filter { $0["type"] == "response.output_item.done" }
            #expect(added.count == items.count && done.compactMap { $0["item"] } == items)
            for (index, item) in items.enumerated() {
                #expect(added[index]["output_index"] == .integer(index) && added[index]["item"]?["id"] == item["id"])
                let deltas = events.filter { $0["item_id"] == item["id"] && $0["delta"] != nil }
                let text = deltas.compactMap { $0["delta"]?.stringValue }.joined()
                #expect(text == (item["arguments"] ?? item["content"]?[0]?["text"])?.stringValue)
                #expect(item["status"]?.stringValue == (index == items.count - 1 ? status : "completed"))
            }
            #expect(events.enumerated().allSatisfy { $1["sequence_number"] == .integer($0) })
        }

        @Test func itemsThatAreCutSaySo() async throws {
            let service = try await TestService()
            let call: JSON = [
                "input": "Hello", "tools": .array([look]), "tool_choice": ["type": "function", "name": "look"],
                "max_output_tokens": 12, "temperature": 0,
            ]
            let whole = try await service.ask("/v1/responses", call)
            #expect(whole.json["status"] == "incomplete" && whole.json["output"]?[0]?["status"] == "incomplete")
            #expect(whole.json["output"]?[0]?["name"] == "look" && whole.json["tools"] == .array([look]))
            try check(
                await service.stream("/v1/responses", call).objects, status: "incomplete", kinds: ["function_call"])
            let text: JSON = ["input": "Hello", "max_output_tokens": 12, "temperature": 0]
            try check(await service.stream("/v1/responses", text).objects, status: "incomplete", kinds: ["message"])
            #expect(try await service.ask("/v1/responses", text).json["output"]?[0]?["status"] == "incomplete")
        }

        @Test func thinkingIsAnItem() async throws {
            let service = try await TestService(FixtureModel.load(template: FixtureModel.template + "<think>\n"))
            let body: JSON = ["input": "Hello", "max_output_tokens": 9, "temperature": 0]
            let whole = try await service.ask("/v1/responses", body).json
            #expect(whole["output"]?.arrayValue?.count == 1 && whole["output"]?[0]?["type"] == "reasoning")
            #expect(whole["usage"]?["output_tokens_details"]?["reasoning_tokens"] == 9)
            let events = try await service.stream("/v1/responses", body).objects
            try check(events, status: "incomplete", kinds: ["reasoning"])
            #expect(events.contains { $0["type"] == "response.reasoning_text.delta" })
        }

        @Test func probabilitiesComeWhereTheyAreAskedFor() async throws {
            let service = try await TestService()
            for fields: JSON in [
                ["top_logprobs": 2], ["include": ["message.output_text.logprobs"], "top_logprobs": 2],
            ] {
                var body = try #require(fields.objectValue)
                (body["input"], body["max_output_tokens"]) = ("Hello", 3)
                let answer = try await service.ask("/v1/responses", .object(body))
                let tokens = answer.json["output"]?[0]?["content"]?[0]?["logprobs"]?.arrayValue ?? []
                #expect(tokens.count == 3 && tokens.allSatisfy { $0["top_logprobs"]?.arrayValue?.count == 2 })
            }
        }

        /// Calls that a model made at once come in items of their own, and are one message of it again.
        @Test func callsAndTheirOutputsAreAConversation() async throws {
            let service = try await TestService()
            let call: JSON = ["type": "function_call", "call_id": "a", "name": "look", "arguments": "{}"]
            let output: JSON = ["type": "function_call_output", "call_id": "a", "output": "seen"]
            let answer = try await service.ask(
                "/v1/responses",
                [
                    "input": .array([["role": "user", "content": "x"], call, call, output]), "tools": .array([look]),
                    "max_output_tokens": 1,
                ])
            #expect(answer.status == 200)
        }
    }
#endif
