#if Server
    import MartletAPI
    import MartletJSON
    import Testing

    /// Requests of clients that were made for other servers: addresses, empty fields, forms by other names.
    @Suite(.serialized) struct OtherClientsTests {
        private let messages: JSON = [["role": "user", "content": "In the beginning"]]

        @Test func addressesAreFoundBehindAnyBase() async throws {
            let service = try await TestService()
            for path in ["/v1/completions/", "//v1/completions", "/v1//completions//"] {
                let answer = try await service.ask(path, ["prompt": "x", "max_tokens": 1])
                #expect(answer.status == 200, "\(path)")
            }
            let name = try #require(service.service.models.first?.name)
            let encoded = name.utf8.map { "%" + ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
            for given in [name, encoded] {
                let answer = try await service.ask("/v1/models/" + given, method: "GET")
                #expect(answer.status == 200 && answer.json["id"]?.stringValue == name)
            }
            for broken in ["%", "%zz", "%f", "%+1", "%ff"] {
                let answer = try await service.ask("/v1/models/" + broken, method: "GET")
                #expect(answer.status == 404 && answer.message.contains(broken.quoted), "\(answer.message)")
            }
            for path in ["/chat/completions", "/v1/v1/chat/completions"] {
                let answer = try await service.ask(path, ["messages": messages])
                #expect(answer.status == 404 && answer.message.contains("; /v1/chat/completions is served."))
            }
            #expect(try await service.ask("/v1", method: "GET").message == "There is nothing at /v1.")
        }

        @Test func methodsAreTold() async throws {
            let service = try await TestService()
            for (path, methods) in [("/v1/completions", "POST"), ("/health", "GET, HEAD"), ("*", "GET, HEAD, POST")] {
                let answer = try await service.ask(path, method: "OPTIONS")
                #expect(answer.status == 204 && answer["allow"] == methods && answer.body.isEmpty)
            }
            #expect(try await service.ask("/nothing", method: "OPTIONS").status == 404)
        }

        @Test func whatSaysNothingIsTaken() async throws {
            let service = try await TestService()
            let fields: [JSON] = [
                ["max_tokens": -1, "stop": ["e"]], ["max_completion_tokens": -1, "stop": ["e"]], ["top_logprobs": 0],
                ["functions": []], ["grammar": ""], ["n": 9],
            ]
            for given in fields {
                var body = try #require(given.objectValue)
                body["messages"] = messages
                if body["stop"] == nil { body["max_tokens"] = 1 }
                let answer = try await service.ask("/v1/chat/completions", .object(body))
                #expect(answer.status == 200, "\(given) \(answer.message)")
            }
            let answer = try await service.ask("/v1/completions", ["prompt": "x", "suffix": "", "max_tokens": 1])
            #expect(answer.status == 200)
        }

        @Test func thinkingIsCountedAndLeftOut() async throws {
            let service = try await TestService(FixtureModel.load(template: FixtureModel.template + "<think>\n"))
            let answer = try await service.ask(
                "/v1/chat/completions",
                ["messages": [["role": "user", "content": "Hello"]], "max_tokens": 9, "temperature": 0])
            let details = answer.json["usage"]?["completion_tokens_details"]
            #expect(details?["reasoning_tokens"] == 9, "\(answer.message)")
            let template = "{{ reasoning_effort }} {{ enable_thinking is defined and enable_thinking }}"
            let other = try await TestService(FixtureModel.load(template: template))
            let cases: [(JSON, String)] = [
                (["reasoning_effort": "none"], "none False"), (["reasoning_effort": "low"], "low False"),
                (["reasoning_effort": "none", "chat_template_kwargs": ["enable_thinking": true]], "none True"),
                (["chat_template_kwargs": ["enable_thinking": true, "reasoning_effort": "x"]], "x True"),
            ]
            for (fields, wanted) in cases {
                var body = try #require(fields.objectValue)
                body["messages"] = messages
                let prompt = try await other.ask("/apply-template", .object(body)).json["prompt"]
                #expect(prompt?.stringValue == wanted)
            }
            let effort = "{{ enable_thinking is defined }}"
            let third = try await TestService(FixtureModel.load(template: effort))
            for (word, wanted): (JSON, String) in [("none", "True"), ("low", "False"), (.null, "False")] {
                let answer = try await third.ask("/apply-template", ["messages": messages, "reasoning_effort": word])
                #expect(answer.json["prompt"]?.stringValue == wanted)
            }
        }

        /// Clients begin with instructions and send several messages of one role, whatever a template takes.
        @Test func conversationsAreMadeToFitStrictTemplates() async throws {
            func prompt(_ service: TestService, _ turns: [(JSON, JSON)]) async throws -> ServiceAnswer {
                try await service.ask(
                    "/apply-template", ["messages": .array(turns.map { ["role": $0.0, "content": $0.1] })])
            }
            let turns: [(JSON, JSON)] = [
                ("system", "s"), ("user", "a"), ("user", "b"), ("assistant", "c"), ("user", "d"),
            ]
            // As Gemma 2's.
            let strict = try await TestService(
                FixtureModel.load(
                    template: """
                        {% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}\
                        {% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}\
                        {{ raise_exception('roles must alternate') }}{% endif %}({{ m.role }}){{ m.content }}{% endfor %}
                        """))
            #expect(
                try await prompt(strict, turns).json["prompt"]?.stringValue
                    == "(user)s\n\na\n\nb(assistant)c(user)d")
            #expect(try await prompt(strict, [("user", "a")]).json["prompt"] == "(user)a")
            let refused = try await prompt(strict, [("assistant", "a")])
            #expect(refused.status == 400 && refused.message.contains("roles must alternate"))
            // As Mistral's, which has a place for instructions.
            let alternating = try await TestService(
                FixtureModel.load(
                    template: """
                        {% for m in messages %}{% if not loop.first and m.role == messages[loop.index0 - 1].role %}\
                        {{ raise_exception('roles must alternate') }}{% endif %}({{ m.role }}){{ m.content }}{% endfor %}
                        """))
            #expect(
                try await prompt(alternating, turns).json["prompt"]?.stringValue
                    == "(system)s(user)a\n\nb(assistant)c(user)d")
        }

        @Test func aBodyMayBeginWithAMark() async throws {
            let service = try await TestService()
            func answer(_ body: [UInt8]) async throws -> ServiceAnswer {
                let answer = await service.service.respond(
                    to: APIRequest(
                        method: "POST", path: "/tokenize",
                        headers: ["host": "localhost", "content-type": "application/json"], body: body))
                guard case .whole(let bytes) = answer.body else { throw CancellationError() }
                return ServiceAnswer(status: answer.status, headers: answer.headers, body: bytes)
            }
            #expect(try await answer([0xEF, 0xBB, 0xBF] + Array(#"{"content": "x"}"#.utf8)).status == 200)
            #expect(try await answer([]).message == "The body is empty, but a JSON object is expected.")
            let cut = try await answer(Array("{".utf8)).message
            #expect(!cut.contains("file") && cut.hasSuffix("it may be cut short."), "\(cut)")
        }

        @Test func formsByOtherNamesHold() async throws {
            let service = try await TestService()
            let schema: JSON = ["enum": ["left", "right"]]
            let quoted = [#""left""#, #""right""#]
            let forms: [(JSON, [String])] = [
                (["guided_json": schema], quoted), (["guided_json": .string(schema.text())], quoted),
                (["guided_regex": "(ab|ba)c"], ["abc", "bac"]),
                (["guided_choice": ["a \"b\"\\", "c\nd"]], ["a \"b\"\\", "c\nd"]),
                (["guided_grammar": #"root ::= "yes" | "no""#], ["yes", "no"]),
                (["structured_outputs": ["json": schema]], quoted),
                (["structured_outputs": ["regex": "x{3}"]], ["xxx"]),
                (["structured_outputs": ["choice": ["one", "two"]]], ["one", "two"]),
                (["structured_outputs": ["grammar": #"root ::= "yes""#]], ["yes"]),
                (["response_format": ["type": "json_object", "schema": schema]], quoted),
            ]
            for (form, texts) in forms {
                var body = try #require(form.objectValue)
                body["max_tokens"] = 40
                body["prompt"] = "In the"
                let text = try await service.ask("/v1/completions", .object(body)).json["choices"]?[0]?["text"]
                #expect(texts.contains(text?.stringValue ?? ""), "\(form) \(text ?? .null)")
                body["prompt"] = nil
                body["messages"] = messages
                let answer = try await service.ask("/v1/chat/completions", .object(body))
                let content = answer.json["choices"]?[0]?["message"]?["content"]?.stringValue
                #expect(texts.contains(content ?? ""), "\(form) \(content ?? "")")
            }
            #expect(service.ignored().isEmpty)
            let wrong: [(JSON, String)] = [
                (["guided_regex": "("], "guided_regex"), (["guided_choice": []], "guided_choice"),
                (["structured_outputs": ["json": ["type": "nothing"]]], "structured_outputs.json"),
                (["structured_outputs": ["structural_tag": [:]]], "structured_outputs.structural_tag"),
                (["structured_outputs": "x"], "structured_outputs"),
            ]
            for (form, name) in wrong {
                var body = try #require(form.objectValue)
                body["prompt"] = "In the"
                let answer = try await service.ask("/v1/completions", .object(body))
                #expect(answer.status == 400 && answer.parameter == name, "\(answer.message)")
            }
        }

        @Test func allowedToolsAreTheToolsThatThereAre() async throws {
            let service = try await TestService()
            let tools: JSON = .array(
                ["left", "right", "up"].map { ["type": "function", "function": ["name": .string($0)]] })
            func answer(_ choice: JSON) async throws -> ServiceAnswer {
                try await service.ask(
                    "/v1/chat/completions",
                    ["messages": messages, "tools": tools, "tool_choice": choice, "max_tokens": 60])
            }
            let names: JSON = [["type": "function", "function": ["name": "up"]]]
            let forced = try await answer(
                ["type": "allowed_tools", "allowed_tools": ["mode": "required", "tools": names]])
            let call = forced.json["choices"]?[0]?["message"]?["tool_calls"]?[0]
            #expect(call?["function"]?["name"] == "up", "\(forced.message)")
            let free = try await answer(["type": "allowed_tools", "allowed_tools": ["mode": "auto", "tools": names]])
            #expect(free.status == 200)
            let responses = try await service.ask(
                "/v1/responses",
                [
                    "input": "Go", "max_output_tokens": 60,
                    "tools": [["type": "function", "name": "left"], ["type": "function", "name": "up"]],
                    "tool_choice": [
                        "type": "allowed_tools", "mode": "required", "tools": [["type": "function", "name": "left"]],
                    ],
                ])
            #expect(responses.json["output"]?[0]?["name"] == "left", "\(responses.message)")
            for (tools, name): (JSON, String) in [
                ([], "tool_choice.allowed_tools.tools"),
                ([["type": "function", "function": ["name": "down"]]], "tool_choice.allowed_tools.tools[0]"),
            ] {
                let wrong = try await answer(
                    ["type": "allowed_tools", "allowed_tools": ["mode": "auto", "tools": tools]])
                #expect(wrong.status == 400 && wrong.parameter == name, "\(wrong.message)")
            }
        }

        @Test func theTokenItselfIsAmongTheProbable() async throws {
            let service = try await TestService()
            for most in [0, 2] {
                let answer = try await service.ask(
                    "/v1/completions",
                    [
                        "prompt": "The", "max_tokens": 12, "temperature": 3, "seed": 5, "logprobs": .integer(most),
                        "echo": true,
                    ])
                let lists = try #require(answer.json["choices"]?[0]?["logprobs"])
                let tokens = try #require(lists["tokens"]?.arrayValue)
                #expect(tokens.count > 4)
                for (index, token) in tokens.enumerated() where lists["token_logprobs"]?[index]?.isNull == false {
                    let best = try #require(lists["top_logprobs"]?[index]?.objectValue)
                    #expect(best[try #require(token.stringValue)] == lists["token_logprobs"]?[index])
                    #expect((max(1, most)...most + 1).contains(best.count))
                }
            }
        }

        /// No token is lost where text is held back until it shows whether it is a call, and streams tell the same.
        @Test func callsHaveTheirProbabilities() async throws {
            let service = try await TestService()
            let tools: JSON = .array(
                ["left", "right"].map { ["type": "function", "function": ["name": .string($0)]] })
            for choice: JSON in ["required", "auto", ["type": "function", "function": ["name": "left"]]] {
                for most in [1, 2, 3, 5, 8, 13, 40] {
                    let body: JSON = [
                        "messages": messages, "tools": tools, "tool_choice": choice, "max_tokens": .integer(most),
                        "logprobs": true, "temperature": 1, "seed": 7,
                    ]
                    let whole = try await service.ask("/v1/chat/completions", body).json
                    let tokens = try #require(whole["choices"]?[0]?["logprobs"]?["content"]?.arrayValue)
                    #expect(whole["usage"]?["completion_tokens"] == .integer(tokens.count), "\(choice) \(most)")
                    let streamed = try await service.stream("/v1/chat/completions", body).objects
                        .flatMap { $0["choices"]?[0]?["logprobs"]?["content"]?.arrayValue ?? [] }
                    #expect(streamed == tokens, "\(choice) \(most)")
                }
            }
        }

        @Test func numbersOutOfRangeAreToldAsTheyStand() async throws {
            let service = try await TestService()
            for (field, message): (JSON, String) in [
                (["max_tokens": 1.5], "max_tokens is 1.5, but a whole number from 0 to 16777216 is expected."),
                (["temperature": -1], "temperature is -1, but a number from 0 to 100 is expected."),
                (["top_p": 1.25], "top_p is 1.25, but a number from 0 to 1 is expected."),
                (["seed": 1e19], "seed is 1e+19, but a whole number from -9223372036854775808 to 9223372036854775807"),
            ] {
                var body = try #require(field.objectValue)
                body["prompt"] = "x"
                let answer = try await service.ask("/v1/completions", .object(body))
                #expect(answer.status == 400 && answer.message.hasPrefix(message), "\(answer.message)")
            }
        }

        @Test func errorsSayTheFieldInTheClientsWords() async throws {
            let service = try await TestService()
            let image = try await service.ask(
                "/v1/responses",
                ["input": [["role": "user", "content": [["type": "input_image", "image_url": "x"]]]]])
            #expect(image.parameter == "input[0].content[0].type" && !image.message.contains("messages"))
            #expect(image.message.hasPrefix("input[0].content[0] is of type"), "\(image.message)")
        }

        @Test func theDocumentIsTrueOfEveryRoute() async throws {
            let service = try await TestService()
            let document = try await service.ask("/openapi.json", method: "GET").json
            let paths = try #require(document["paths"]?.objectValue)
            for (path, methods) in paths.members {
                for (method, operation) in methods.objectValue?.members ?? [] {
                    let address = path.replacing("{id}", with: service.service.models[0].name)
                    let answer = try await service.ask(
                        address, method == "post" ? [:] : nil, method: method.uppercased())
                    #expect(![404, 405].contains(answer.status), "\(method) \(path)")
                    guard answer.status >= 400 else { continue }
                    let reference = operation["responses"]?["default"]?["content"]?["application/json"]?["schema"]?[
                        "$ref"]
                    let isText = answer.json["error"]?.stringValue != nil
                    let envelope =
                        isText ? "OllamaError" : answer.json["type"] == "error" ? "AnthropicError" : "Error"
                    #expect(reference?.stringValue == "#/components/schemas/" + envelope, "\(path)")
                    guard answer.message.hasSuffix("is missing.") else { continue }
                    let schema = operation["requestBody"]?["content"]?["application/json"]?["schema"]
                    let needed = schema?["required"]?.arrayValue?.compactMap(\.stringValue) ?? []
                    #expect(needed.contains { answer.message == $0 + " is missing." }, "\(path): \(answer.message)")
                }
            }
        }

        @Test func tokensOfResponsesAreCounted() async throws {
            let service = try await TestService()
            let body: JSON = ["input": "In the beginning", "instructions": "Go on", "max_output_tokens": 2]
            let counted = try await service.ask("/v1/responses/input_tokens", body).json["input_tokens"]
            let answered = try await service.ask("/v1/responses", body).json["usage"]?["input_tokens"]
            #expect(counted != nil && counted == answered)
        }

        @Test func ollamaIsToldWhatAModelIs() async throws {
            let service = try await TestService()
            for path in ["/api/tags", "/api/ps"] {
                let models = try await service.ask(path, method: "GET").json["models"]
                let details = models?[0]?["details"]
                #expect(details?["quantization_level"]?.stringValue?.hasPrefix("Q") == true, "\(details ?? .null)")
                #expect(details?["parameter_size"]?.stringValue?.last == "M", "\(details ?? .null)")
                let again = try await service.ask(path, method: "GET").json["models"]
                #expect(models == again)
            }
        }
    }
#endif
