#if Server
    import MartletAPI
    import MartletJSON
    import Testing

    /// Answers that a form is asked of: schemas, grammars, calls of functions.
    @Suite(.serialized) struct FormTests {
        private let greeting: JSON = [["role": "user", "content": "In the beginning"]]
        private let schema: JSON = [
            "type": "object", "properties": ["a": ["type": "integer", "minimum": 0, "maximum": 9]], "required": ["a"],
            "additionalProperties": false,
        ]

        private func isOfSchema(_ text: String?) -> Bool {
            guard let object = text.flatMap({ try? JSON(parsing: $0) })?.objectValue else { return false }
            return object.keys == ["a"] && object["a"]?.integerValue != nil
        }

        /// A `logit_bias` that writes the first token of `text` wherever it may come.
        private func bias(_ text: String, _ service: TestService) async throws -> JSON {
            let ids = try await service.ask("/tokenize", ["content": .string(text)]).json["tokens"]
            var bias = JSONObject()
            bias["\(try #require(ids?[0]?.integerValue))"] = 100
            return .object(bias)
        }

        private func tool(_ name: String, _ parameters: JSON? = nil) -> JSON {
            var function = JSONObject()
            function["name"] = .string(name)
            function["parameters"] = parameters
            return ["type": "function", "function": .object(function)]
        }

        /// A template that opens the thinking: what has a form is the answer all the same.
        @Test func aFormIsOfTheAnswerWhereThePromptOpensThinking() async throws {
            let service = try await TestService(FixtureModel.load(template: FixtureModel.template + "<think>\n"))
            let format: JSON = ["type": "json_schema", "json_schema": ["name": "o", "schema": schema]]
            let body: JSON = ["messages": greeting, "max_tokens": 60, "response_format": format, "temperature": 0]
            let message = try await service.ask("/v1/chat/completions", body).json["choices"]?[0]?["message"]
            #expect(isOfSchema(message?["content"]?.stringValue) && message?["reasoning_content"] == nil)
            let deltas = try await service.stream("/v1/chat/completions", body).objects
            let pieces = deltas.compactMap { $0["choices"]?[0]?["delta"]?["content"]?.stringValue }
            #expect(isOfSchema(pieces.joined()))
            let response = try await service.ask(
                "/v1/responses",
                ["input": "Hello", "text": ["format": ["type": "json_schema", "name": "o", "schema": schema]]])
            #expect(isOfSchema(response.json["output"]?[0]?["content"]?[0]?["text"]?.stringValue))
            for (path, prompt) in [("/api/chat", "message"), ("/api/generate", "response")] {
                let answer = try await service.ask(
                    path, ["messages": greeting, "prompt": "Hello", "stream": false, "format": schema]
                ).json[prompt]
                #expect(isOfSchema((answer?["content"] ?? answer)?.stringValue))
            }
            // Without a form the answer thinks.
            let free = try await service.ask("/v1/chat/completions", ["messages": greeting, "max_tokens": 4])
            #expect(free.json["choices"]?[0]?["message"]?["reasoning_content"]?.stringValue?.isEmpty == false)
        }

        @Test func completionsHaveFormsOrRefuseThem() async throws {
            let service = try await TestService()
            let format: JSON = ["type": "json_schema", "json_schema": ["schema": schema]]
            for fields: JSON in [["response_format": format], ["json_schema": schema]] {
                var body = try #require(fields.objectValue)
                (body["prompt"], body["max_tokens"]) = ("The", 40)
                let answer = try await service.ask("/v1/completions", .object(body))
                #expect(isOfSchema(answer.json["choices"]?[0]?["text"]?.stringValue), "\(fields)")
            }
            let answer = try await service.ask(
                "/v1/completions", ["prompt": "The", "grammar": "root ::= \" end\"", "max_tokens": 20])
            #expect(answer.json["choices"]?[0]?["text"] == " end")
            let cases: [(String, JSON)] = [
                ("response_format", 5), ("grammar", "root ::= ("), ("json_schema", ["type": "nothing"]),
                ("add_special_tokens", "yes"), ("echo", 1),
            ]
            for (name, value) in cases {
                var body = JSONObject()
                (body["prompt"], body[name]) = ("The", value)
                let refused = try await service.ask("/v1/completions", .object(body))
                #expect(refused.status == 400 && refused.parameter == name)
            }
        }

        @Test func functionsWithoutParametersAreCalledWithNone() async throws {
            let service = try await TestService()
            for parameters: JSON? in [nil, [:], ["type": "object", "properties": [:]]] {
                for others in [[], [tool("other", schema)]] {
                    let answer = try await service.ask(
                        "/v1/chat/completions",
                        [
                            "messages": greeting, "tools": .array([tool("f", parameters)] + others), "max_tokens": 60,
                            "tool_choice": "required",
                        ])
                    let call = answer.json["choices"]?[0]?["message"]?["tool_calls"]?[0]?["function"]
                    if call?["name"] == "f" { #expect(call?["arguments"] == "{}") }
                    #expect(call != nil && answer.json["choices"]?[0]?["finish_reason"] == "tool_calls")
                }
            }
        }

        @Test func functionsThatCannotBeMeantAreNamed() async throws {
            let service = try await TestService()
            for (tools, name) in [
                ([tool("f", ["type": "string"])], "tools[0].function.parameters.type"),
                ([tool("f"), tool("f")], "tools[1].function.name"),
                ([tool("f", "x")], "tools[0].function.parameters"),
            ] {
                let answer = try await service.ask(
                    "/v1/chat/completions", ["messages": greeting, "tools": .array(tools), "tool_choice": "required"])
                #expect(answer.status == 400 && answer.parameter == name)
            }
            let cases: [(JSON, String)] = [
                (["type": "allowed_tools", "allowed_tools": [:]], "tool_choice.allowed_tools.tools"),
                (["type": "custom", "custom": ["name": "f"]], "tool_choice.type"), (5, "tool_choice"),
            ]
            for (choice, name) in cases {
                let answer = try await service.ask(
                    "/v1/chat/completions",
                    ["messages": greeting, "tools": .array([tool("f")]), "tool_choice": choice])
                #expect(answer.status == 400 && answer.parameter == name)
            }
        }

        /// Two calls that a grammar spells: with `parallel_tool_calls` false there is one.
        @Test func callsAreOneWhereTheyMayNotBeSeveral() async throws {
            let service = try await TestService()
            let call = #"<tool_call>\n{\"name\": \"g\", \"arguments\": {\"x\": 1}}\n</tool_call>"#
            for (isParallel, count): (JSON, Int) in [(true, 2), (false, 1), (.null, 2)] {
                let body: JSON = [
                    "messages": greeting, "tools": .array([tool("zz")]), "parallel_tool_calls": isParallel,
                    "logit_bias": try await bias("g", service), "temperature": 0,
                    "grammar": .string("root ::= \"" + call + #"\n"# + call + "\""), "max_tokens": 200,
                ]
                let answer = try await service.ask("/v1/chat/completions", body)
                #expect(answer.json["choices"]?[0]?["message"]?["tool_calls"]?.arrayValue?.count == count)
                #expect(answer.json["choices"]?[0]?["finish_reason"] == "tool_calls")
                let events = try await service.stream("/v1/chat/completions", body).objects
                let names = events.compactMap {
                    $0["choices"]?[0]?["delta"]?["tool_calls"]?[0]?["function"]?["name"]
                }
                #expect(names.count == count)
            }
            let wrong = try await service.ask(
                "/v1/chat/completions", ["messages": greeting, "parallel_tool_calls": "no"])
            #expect(wrong.status == 400 && wrong.parameter == "parallel_tool_calls")
        }

        /// With functions that may be called the answer has its form, or is a call.
        @Test func aFormLeavesTheFunctionsThatMayBeCalled() async throws {
            let service = try await TestService()
            func message(_ beginning: String, _ choice: JSON = "auto") async throws -> JSON? {
                let answer = try await service.ask(
                    "/v1/chat/completions",
                    [
                        "messages": greeting, "tools": .array([tool("look", schema)]), "tool_choice": choice,
                        "grammar": "root ::= \"yes\"", "max_tokens": 60, "temperature": 0,
                        "logit_bias": try await bias(beginning, service),
                    ])
                #expect(answer.status == 200)
                return answer.json["choices"]?[0]?["message"]
            }
            let call = try await message("<")
            #expect(call?["tool_calls"]?[0]?["function"]?["name"] == "look")
            #expect(try await message("yes")?["content"] == "yes")
            #expect(try await message("<", "none")?["content"] == "yes")
        }

        /// Tokens that a form forces are known as well as the prompt, but are no part of it.
        @Test func noMoreIsCachedThanThePromptHas() async throws {
            let service = try await TestService()
            let literal = String(repeating: "In the beginning was the word. ", count: 12)
            for _ in 0..<3 {
                let answer = try await service.ask(
                    "/v1/chat/completions",
                    ["messages": greeting, "grammar": .string("root ::= \"\(literal)\""), "max_tokens": 200])
                let usage = answer.json["usage"]
                let prompt = try #require(usage?["prompt_tokens"]?.integerValue)
                let cached = try #require(usage?["prompt_tokens_details"]?["cached_tokens"]?.integerValue)
                #expect(cached <= prompt)
            }
        }
    }
#endif
