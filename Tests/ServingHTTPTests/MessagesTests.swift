#if Server
    import MartletAPI
    import MartletJSON
    import Testing

    /// Conversations in Anthropic's shape: `/v1/messages` and the count of its tokens.
    @Suite(.serialized) struct MessagesTests {
        private let greeting: JSON = [["role": "user", "content": "Hello"]]
        private let look: JSON = [
            "name": "look", "description": "Looks.",
            "input_schema": ["type": "object", "properties": ["a": ["enum": ["here", "there"]]], "required": ["a"]],
        ]

        /// The content that the events of a stream build up, checked to be opened and closed in order.
        private func content(_ events: [JSON]) throws -> [JSON] {
            var blocks: [JSONObject] = []
            var (isOpen, input) = (false, "")
            #expect(events.first?["type"] == "message_start" && events.last?["type"] == "message_stop")
            for event in events {
                switch event["type"]?.stringValue {
                case "content_block_start":
                    #expect(!isOpen && event["index"]?.integerValue == blocks.count)
                    blocks.append(try #require(event["content_block"]?.objectValue))
                    (isOpen, input) = (true, "")
                case "content_block_delta":
                    #expect(isOpen && event["index"]?.integerValue == blocks.count - 1)
                    let delta = try #require(event["delta"]?.objectValue)
                    for name in ["text", "thinking"] {
                        guard let piece = delta[name]?.stringValue else { continue }
                        blocks[blocks.count - 1][name] = .string((blocks.last?[name]?.stringValue ?? "") + piece)
                    }
                    input += delta["partial_json"]?.stringValue ?? ""
                case "content_block_stop":
                    if !input.isEmpty { blocks[blocks.count - 1]["input"] = try JSON(parsing: input) }
                    isOpen = false
                default: break
                }
            }
            #expect(!isOpen)
            return blocks.map { .object($0) }
        }

        private func withoutNames(_ blocks: JSON?) -> [JSON] {
            (blocks?.arrayValue ?? []).map { block in
                var block = block.objectValue ?? JSONObject()
                block["id"] = nil
                return .object(block)
            }
        }

        @Test func anAnswerIsTheChatsAndItsStreams() async throws {
            let service = try await TestService()
            let body: JSON = ["messages": greeting, "max_tokens": 8, "temperature": 0, "system": "Be brief."]
            let whole = try await service.ask("/v1/messages", body)
            let message = whole.json
            #expect(whole.status == 200 && whole["request-id"] == whole["x-request-id"])
            #expect(message["type"] == "message" && message["role"] == "assistant" && message["model"] == "fixture")
            #expect(message["stop_reason"] == "max_tokens" && message["stop_sequence"] == .null)
            #expect(message["usage"]?["output_tokens"] == 8)
            let chat = try await service.ask(
                "/v1/chat/completions",
                [
                    "messages": [["role": "system", "content": "Be brief."], ["role": "user", "content": "Hello"]],
                    "max_tokens": 8, "temperature": 0,
                ]
            ).json
            #expect(message["content"]?[0]?["text"] == chat["choices"]?[0]?["message"]?["content"])
            let read = ["input_tokens", "cache_read_input_tokens"].compactMap { message["usage"]?[$0]?.integerValue }
            #expect(read.reduce(0, +) == chat["usage"]?["prompt_tokens"]?.integerValue)
            let counted = try await service.ask("/v1/messages/count_tokens", body).json
            #expect(counted == ["input_tokens": .integer(read.reduce(0, +))])
            let events = try await service.stream("/v1/messages", body).objects
            #expect(try content(events) == message["content"]?.arrayValue)
            let end = events.first { $0["type"] == "message_delta" }
            #expect(end?["delta"]?["stop_reason"] == "max_tokens" && end?["usage"]?["output_tokens"] == 8)
            #expect(events.first?["message"]?["content"] == [])
        }

        @Test func aStopTextIsNamed() async throws {
            let service = try await TestService()
            let body: JSON = ["messages": greeting, "max_tokens": 12, "temperature": 0]
            let text = try await service.ask("/v1/messages", body).json["content"]?[0]?["text"]?.stringValue ?? ""
            let stop = String(text.dropFirst(4).prefix(3))
            var stopped = try #require(body.objectValue)
            stopped["stop_sequences"] = ["never written", .string(stop)]
            let answer = try await service.ask("/v1/messages", .object(stopped)).json
            #expect(answer["stop_reason"] == "stop_sequence" && answer["stop_sequence"] == .string(stop))
            let before = text.firstRange(of: stop).map { String(text[..<$0.lowerBound]) }
            #expect(before != nil && answer["content"]?[0]?["text"]?.stringValue == before)
        }

        @Test func toolsAreUsedAndTheirResultsRead() async throws {
            let service = try await TestService()
            var body = JSONObject()
            (body["messages"], body["tools"], body["max_tokens"]) = (greeting, .array([look]), 60)
            body["temperature"] = 0
            for choice: JSON in [["type": "tool", "name": "look"], ["type": "any"]] {
                body["tool_choice"] = choice
                let answer = try await service.ask("/v1/messages", .object(body)).json
                let use = try #require(answer["content"]?[0])
                #expect(answer["stop_reason"] == "tool_use" && use["type"] == "tool_use" && use["name"] == "look")
                #expect(["here", "there"].contains(use["input"]?["a"]) && use["id"]?.stringValue?.isEmpty == false)
                let events = try await service.stream("/v1/messages", .object(body)).objects
                #expect(try withoutNames(.array(content(events))) == withoutNames(answer["content"]))
            }
            let history: JSON = [
                ["role": "user", "content": "Hello"],
                [
                    "role": "assistant",
                    "content": [
                        ["type": "thinking", "thinking": "So.", "signature": ""], ["type": "text", "text": "I look."],
                        ["type": "tool_use", "id": "t", "name": "look", "input": ["a": "here"]],
                    ],
                ],
                [
                    "role": "user",
                    "content": [
                        ["type": "tool_result", "tool_use_id": "t", "content": [["type": "text", "text": "seen"]]],
                        ["type": "text", "text": "And now?", "cache_control": ["type": "ephemeral"]],
                    ],
                ],
            ]
            let function: JSON = ["name": "look", "description": "Looks.", "parameters": look["input_schema"] ?? .null]
            let call: JSON = ["id": "t", "type": "function", "function": ["name": "look", "arguments": ["a": "here"]]]
            let chat: JSON = [
                "messages": [
                    ["role": "user", "content": "Hello"],
                    [
                        "role": "assistant", "content": "I look.", "reasoning_content": "So.", "tool_calls": [call],
                    ],
                    ["role": "tool", "tool_call_id": "t", "content": "seen"],
                    ["role": "user", "content": "And now?"],
                ],
                "tools": [["type": "function", "function": function]],
            ]
            let asked = try await service.ask(
                "/v1/messages/count_tokens", ["messages": history, "tools": .array([look])])
            let same = try await service.ask("/v1/chat/completions/input_tokens", chat)
            #expect(asked.json["input_tokens"] != nil && asked.json["input_tokens"] == same.json["input_tokens"])
        }

        /// Conversations as clients write them, and the messages of a chat that say the same.
        @Test func turnsAreThoseOfAChat() async throws {
            let service = try await TestService()
            func text(_ text: String) -> JSON { ["type": "text", "text": .string(text)] }
            func turn(_ role: String, _ content: JSON) -> JSON { ["role": .string(role), "content": content] }
            let image: JSON = ["type": "image", "source": ["type": "base64", "media_type": "image/png", "data": ""]]
            let use: JSON = ["type": "tool_use", "id": "t", "name": "look", "input": [:]]
            func result(_ content: JSON) -> JSON {
                ["type": "tool_result", "tool_use_id": "t", "content": content, "is_error": true]
            }
            let call: JSON = ["id": "t", "type": "function", "function": ["name": "look", "arguments": [:]]]
            let called: JSON = ["role": "assistant", "content": "", "tool_calls": [call]]
            let (note, failed) = ("[image: not read by this server]", "Error: none")
            let cases: [(system: JSON, given: [JSON], chat: [JSON])] = [
                (
                    [text("x-anthropic-billing-header: cc_version=1; cch=2;"), text("Be brief.")],
                    [
                        turn("user", "a"), turn("user", [text("b"), text("c")]), turn("assistant", "d"),
                        turn("user", "e"),
                    ],
                    [turn("system", "Be brief."), turn("user", "a\nb\nc"), turn("assistant", "d"), turn("user", "e")]
                ),
                (
                    .null, [turn("user", "a"), turn("system", "s")],
                    [turn("user", "a\n<system-reminder>\ns\n</system-reminder>")]
                ),
                (
                    .null, [turn("user", [text("a"), image]), turn("assistant", "b"), turn("user", "c")],
                    [turn("user", .string("a\n" + note)), turn("assistant", "b"), turn("user", "c")]
                ),
                (
                    .null, [turn("user", "a"), turn("assistant", [use]), turn("user", [result([image])])],
                    [
                        turn("user", "a"), called,
                        ["role": "tool", "tool_call_id": "t", "content": .string("Error: " + note)],
                    ]
                ),
                (
                    .null, [turn("user", "a"), turn("assistant", [use]), turn("user", [result("none"), text("b")])],
                    [
                        turn("user", "a"), called, ["role": "tool", "tool_call_id": "t", "content": .string(failed)],
                        turn("user", "b"),
                    ]
                ),
            ]
            for (system, given, chat) in cases {
                let body: JSON = ["system": system, "messages": .array(given), "max_tokens": 6, "temperature": 0]
                let answer = try await service.ask("/v1/messages", body)
                let same = try await service.ask(
                    "/v1/chat/completions", ["messages": .array(chat), "max_tokens": 6, "temperature": 0])
                #expect(answer.status == 200, "\(answer.message)")
                let usage = answer.json["usage"]
                let read = ["input_tokens", "cache_read_input_tokens"].compactMap { usage?[$0]?.integerValue }
                #expect(read.reduce(0, +) == same.json["usage"]?["prompt_tokens"]?.integerValue, "\(given)")
                #expect(
                    answer.json["content"]?[0]?["text"] == same.json["choices"]?[0]?["message"]?["content"], "\(given)")
            }
        }

        /// Templates of Mistral's insist on names of nine letters and digits, which no client sends.
        @Test func namesOfCallsAreAsTheTemplateWantsThem() async throws {
            let template =
                FixtureModel.template + """
                    [TOOL_CALLS]{% for m in messages %}{% if m.tool_call_id is defined and m.tool_call_id|length != 9 %}
                    {{ raise_exception("names have nine letters") }}{% endif %}{% endfor %}
                    """
            let service = try await TestService(FixtureModel.load(template: template))
            let messages: JSON = [
                ["role": "user", "content": "a"],
                [
                    "role": "assistant",
                    "content": [["type": "tool_use", "id": "toolu_0123", "name": "look", "input": [:]]],
                ],
                [
                    "role": "user",
                    "content": [["type": "tool_result", "tool_use_id": "toolu_0123", "content": "seen"]],
                ],
            ]
            let answer = try await service.ask("/v1/messages", ["messages": messages, "max_tokens": 1])
            #expect(answer.status == 200, "\(answer.message)")
        }

        @Test func aConversationThatIsTooLongIsToldInTheWordsThatClientsLookFor() async throws {
            let long = JSON.string(String(repeating: "word and ", count: 3_000))
            let answer = try await TestService().ask(
                "/v1/messages", ["messages": [["role": "user", "content": long]], "max_tokens": 1])
            #expect(answer.status == 400 && answer.message.hasPrefix("prompt is too long: "), "\(answer.message)")
        }

        @Test func thinkingIsABlock() async throws {
            let service = try await TestService(FixtureModel.load(template: FixtureModel.template + "<think>\n"))
            let body: JSON = ["messages": greeting, "max_tokens": 9, "temperature": 0]
            let answer = try await service.ask("/v1/messages", body).json
            #expect(answer["content"]?.arrayValue?.count == 1 && answer["content"]?[0]?["type"] == "thinking")
            let events = try await service.stream("/v1/messages", body).objects
            #expect(try content(events) == answer["content"]?.arrayValue)
        }

        @Test func anAnswerHasAForm() async throws {
            let service = try await TestService()
            let format: JSON = ["type": "json_schema", "schema": ["enum": ["yes", "no"]]]
            for fields: JSON in [["output_config": ["format": format]], ["output_format": format]] {
                var body = try #require(fields.objectValue)
                (body["messages"], body["max_tokens"]) = (greeting, 20)
                let answer = try await service.ask("/v1/messages", .object(body)).json
                #expect([#""yes""#, #""no""#].contains(answer["content"]?[0]?["text"]?.stringValue))
            }
        }

        /// The end of an answer follows from its beginning, which the client gives.
        @Test func anAnswerGoesOnFromItsBeginning() async throws {
            let service = try await TestService()
            let body: JSON = ["messages": greeting, "max_tokens": 12, "temperature": 0]
            let text = try await service.ask("/v1/messages", body).json["content"]?[0]?["text"]?.stringValue ?? ""
            let beginning = text.split(separator: " ").prefix(3).reduce(into: "") { $0 += " " + $1 }
            let messages: JSON = [
                ["role": "user", "content": "Hello"], ["role": "assistant", "content": .string(beginning)],
            ]
            let rest = try await service.ask(
                "/v1/messages", ["messages": messages, "max_tokens": 12, "temperature": 0])
            let end = try #require(rest.json["content"]?[0]?["text"]?.stringValue)
            #expect(!beginning.isEmpty && (beginning + end).hasPrefix(text))
            let chat: JSON = [
                "messages": messages, "max_tokens": 12, "temperature": 0, "continue_final_message": true,
            ]
            let choice = try await service.ask("/v1/chat/completions", chat).json["choices"]?[0]
            #expect(choice?["message"]?["content"]?.stringValue == end)
            let wrong = try await service.ask(
                "/v1/chat/completions", ["messages": greeting, "continue_final_message": true])
            #expect(wrong.parameter == "continue_final_message")
        }

        @Test func errorsHaveTheirEnvelopeAndNameTheField() async throws {
            let service = try await TestService()
            let image: JSON = ["type": "image", "source": ["type": "base64", "media_type": "image/png", "data": ""]]
            let wrong: [(JSON, String)] = [
                (["max_tokens": 1], "messages"), (["messages": []], "messages"),
                (["messages": [["role": "king", "content": "x"]]], "messages[0].role"),
                (["messages": [["role": "user"]]], "messages[0].content"),
                (["messages": [["role": "user", "content": [image]]]], "messages[0].content[0].type"),
                (["messages": [["role": "user", "content": [["type": "text"]]]]], "messages[0].content[0].text"),
                (
                    ["messages": [["role": "user", "content": [["type": "tool_result"]]]]],
                    "messages[0].content[0].tool_use_id"
                ),
                (
                    [
                        "messages": [
                            ["role": "assistant", "content": [["type": "tool_use", "id": "t", "name": "look"]]]
                        ]
                    ],
                    "messages[0].content[0].input"
                ),
                (["system": [["type": "text"]], "messages": greeting], "system[0].text"),
                (["messages": greeting, "max_tokens": "many"], "max_tokens"),
                (["messages": greeting, "stop_sequences": [""]], "stop_sequences"),
                (["messages": greeting, "tools": [["type": "web_search_20250305", "name": "w"]]], "tools[0].type"),
                (["messages": greeting, "tools": [["name": "w"]]], "tools[0].input_schema"),
                (["messages": greeting, "tools": [["name": "", "input_schema": [:]]]], "tools[0].name"),
                (["messages": greeting, "tool_choice": ["type": "any"]], "tool_choice"),
                (["messages": greeting, "thinking": ["type": "deep"]], "thinking.type"),
                (
                    [
                        "messages": greeting,
                        "output_config": ["format": ["type": "json_schema", "schema": ["type": "odd"]]],
                    ],
                    "output_config.format.schema"
                ),
                (["messages": greeting, "mcp_servers": [["url": "x"]]], "mcp_servers"),
            ]
            for (body, name) in wrong {
                let answer = try await service.ask("/v1/messages", body)
                #expect(answer.status == 400 && answer.json["type"] == "error", "\(body)")
                #expect(answer.json["error"]?["type"] == "invalid_request_error")
                #expect(answer.json["request_id"]?.stringValue == answer["request-id"])
                #expect(answer.message.contains(name), "\(name): \(answer.message)")
            }
            let missing = try await service.ask("/v1/messages", ["model": "nobody's", "messages": greeting])
            #expect(missing.status == 404 && missing.json["error"]?["type"] == "not_found_error")
        }
    }
#endif
