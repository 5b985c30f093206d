#if Server
    import MartletAPI
    import MartletJSON
    import Testing

    /// Ollama's dialect: what it says is done, refused by its name, or told to be ignored.
    @Suite(.serialized) struct OllamaTests {
        private let messages: JSON = [["role": "user", "content": "In the beginning"]]

        @Test func whatIsNotServedIsRefusedByName() async throws {
            let service = try await TestService()
            let refused: [(String, JSON, String)] = [
                (
                    "/api/chat", ["messages": [["role": "user", "content": "x", "images": ["aGk="]]]],
                    "messages[0].images"
                ),
                ("/api/generate", ["prompt": "x", "images": ["aGk="]], "images"),
                ("/api/generate", ["prompt": "x", "suffix": "y"], "suffix"),
                ("/api/generate", ["prompt": "x", "template": "{{ .Prompt }}"], "template"),
                ("/api/generate", ["prompt": "x", "context": [1, 2]], "context"),
                ("/api/generate", ["prompt": "x", "raw": true, "system": "y"], "system"),
                ("/api/chat", ["messages": messages, "format": "xml"], "format"),
                ("/api/chat", ["messages": messages, "format": 5], "format"),
                ("/api/chat", ["messages": messages, "format": true], "format"),
                ("/api/generate", ["prompt": "x", "format": ["json"]], "format"),
                ("/api/chat", ["messages": messages, "think": "much"], "think"),
                ("/api/chat", ["messages": messages, "options": ["num_predict": "x"]], "options.num_predict"),
                ("/api/chat", ["messages": messages, "options": ["temperature": -1]], "options.temperature"),
                ("/api/chat", ["messages": messages, "tools": 5], "tools"),
                ("/api/embed", ["input": "x", "dimensions": 0], "dimensions"),
            ]
            for (path, body, name) in refused {
                let answer = try await service.ask(path, body)
                #expect(answer.status == 400 && answer.json["error"]?.stringValue != nil, "\(path) \(body)")
                #expect(answer.message.hasPrefix(name) || answer.message.contains(name + " "), "\(answer.message)")
                #expect(name.hasPrefix("options.") || !answer.message.contains("options."))
            }
            let schema: JSON = ["type": "object", "properties": ["a": ["type": "nothing"]]]
            let wrong = try await service.ask("/api/chat", ["messages": messages, "format": schema])
            #expect(wrong.status == 400 && !wrong.message.contains("response_format"))
        }

        @Test func emptyFieldsSayNothing() async throws {
            let service = try await TestService()
            let answer = try await service.ask(
                "/api/generate",
                [
                    "prompt": "x", "images": [], "suffix": "", "template": "", "system": "", "context": [],
                    "format": "", "stream": false, "options": ["num_predict": 2],
                ])
            #expect(answer.status == 200 && answer.json["eval_count"] == 2)
        }

        @Test func formatsHoldInRawTexts() async throws {
            let service = try await TestService()
            let bare = try await TestService(FixtureModel.load(template: nil))
            let schema: JSON = ["enum": ["left", "right"]]
            for (asked, isRaw) in [(service, true), (bare, false)] {
                let answer = try await asked.ask(
                    "/api/generate", ["prompt": "The", "raw": .bool(isRaw), "format": schema, "stream": false])
                #expect([#""left""#, #""right""#].contains(answer.json["response"]?.stringValue ?? ""))
            }
            let refused = try await bare.ask("/api/generate", ["prompt": "The", "system": "Be brief."])
            #expect(refused.status == 400 && refused.message.contains("chat template"))
        }

        @Test func fieldsWithoutEffectAreToldOf() async throws {
            let service = try await TestService()
            _ = try await service.ask(
                "/api/chat",
                [
                    "messages": messages, "stream": false, "keep_alive": "5m", "mood": "good",
                    "options": ["num_predict": 1, "num_ctx": 8192, "typical_p": 0.9, "mirostat": 2],
                ])
            #expect(service.ignored() == ["mood", "options.num_ctx", "options.mirostat"])
            _ = try await service.ask("/v1/responses", ["input": "x", "max_output_tokens": 1, "mood": "good"])
            #expect(service.ignored() == ["mood"])
            _ = try await service.ask(
                "/v1/chat/completions",
                ["messages": messages, "max_tokens": 1, "max_output_tokens": 1, "user": "me", "top_k": 3])
            #expect(service.ignored() == ["max_output_tokens"])
            _ = try await service.ask("/v1/embeddings", ["input": "x", "user": "me", "colour": "red"])
            #expect(service.ignored() == ["colour"])
            _ = try await service.ask("/tokenize", ["content": "x", "mood": "good"])
            #expect(service.ignored() == ["mood"])
        }

        @Test func vectorsHaveTheLengthThatIsAskedFor() async throws {
            let service = try await TestService()
            let whole = try await service.ask("/api/embed", ["input": "one"]).json["embeddings"]?[0]?.arrayValue ?? []
            let short = try await service.ask("/api/embed", ["input": "one", "dimensions": 8])
            #expect(whole.count > 8 && short.json["embeddings"]?[0]?.arrayValue?.count == 8)
        }

        @Test func chatsWithoutMessagesLoadTheModel() async throws {
            let service = try await TestService()
            for (path, body): (String, JSON) in [("/api/chat", ["messages": []]), ("/api/generate", [:])] {
                let answer = try await service.ask(path, body)
                #expect(answer.status == 200 && answer.json["done"] == true && answer.json["done_reason"] == "load")
            }
        }

        @Test func thinkingStandsInItsField() async throws {
            let service = try await TestService(FixtureModel.load(template: FixtureModel.template + "<think>\n"))
            let options: JSON = ["num_predict": 6, "temperature": 0]
            for effort: JSON in [true, false, "low", "high"] {
                let body: JSON = ["prompt": "x", "messages": messages, "options": options, "think": effort]
                var whole = try #require(body.objectValue)
                whole["stream"] = false
                let generated = try await service.ask("/api/generate", .object(whole)).json
                let thinking = try #require(generated["thinking"]?.stringValue)
                #expect(!thinking.isEmpty && generated["response"] == "")
                let lines = try await service.ask("/api/generate", body).objects
                #expect(lines.compactMap { $0["thinking"]?.stringValue }.joined() == thinking)
                #expect(try await service.ask("/api/chat", .object(whole)).json["message"]?["thinking"] != nil)
            }
        }

        /// The model answers with a whole call and the beginning of another, whose arguments are none yet.
        @Test func callsGoOutWholeAsObjects() async throws {
            let service = try await TestService(FixtureModel.load(template: FixtureModel.template + "<|python_tag|>"))
            let form: JSON = [
                "type": "object", "required": ["name", "parameters"], "additionalProperties": false,
                "properties": [
                    "name": ["const": "look"],
                    "parameters": ["type": "object", "properties": [:], "additionalProperties": false],
                ],
            ]
            let body: JSON = [
                "messages": messages, "tools": [["type": "function", "function": ["name": "look"]]], "format": form,
                "options": ["temperature": 0, "num_predict": 60], "stream": false,
            ]
            let wanted: JSON = [["function": ["index": 0, "name": "look", "arguments": [:]]]]
            let whole = try await service.ask("/api/chat", body)
            #expect(whole.json["message"]?["tool_calls"] == wanted, "\(whole.json)")
            let lines = try await service.stream("/api/chat", body).objects
            let calls = lines.filter { $0["message"]?["tool_calls"] != nil }
            #expect(calls.count == 1 && calls[0]["message"]?["tool_calls"] == wanted && calls[0]["done"] == false)
            #expect(lines.last?["done"] == true && lines.last?["done_reason"] == "length")
            let logged = service.answers.take().compactMap { $0["response"]?["message"] }
            #expect(logged.count == 2 && logged[0] == logged[1])
        }

        @Test func answersOfToolsHaveTheToolsName() async throws {
            let template = "{% for m in messages %}{{ m.role }} {{ m.name }}: {{ m.content }} {% endfor %}"
            let service = try await TestService(FixtureModel.load(template: template))
            func prompt(_ path: String, _ name: String) async throws -> Int {
                let turns: JSON = [
                    ["role": "user", "content": "a"],
                    ["role": "tool", "content": "b", "tool_call_id": "c", name: "weather"],
                ]
                let answer = try await service.ask(
                    path, ["messages": turns, "stream": false, "max_tokens": 1, "options": ["num_predict": 1]])
                let count = answer.json["prompt_eval_count"] ?? answer.json["usage"]?["prompt_tokens"]
                return try #require(count?.integerValue, "\(answer.message)")
            }
            let named = try await prompt("/v1/chat/completions", "name")
            #expect(try await prompt("/api/chat", "tool_name") == named)
            #expect(try await prompt("/api/chat", "mood") < named)
        }

        @Test func tokensHaveTheirProbabilities() async throws {
            let service = try await TestService()
            let options: JSON = ["num_predict": 5, "temperature": 0]
            let chat = try await service.ask(
                "/v1/chat/completions",
                ["messages": messages, "max_tokens": 5, "temperature": 0, "logprobs": true, "top_logprobs": 2])
            let wanted = try #require(chat.json["choices"]?[0]?["logprobs"]?["content"]?.arrayValue)
            #expect(!wanted.isEmpty)
            for (path, prompt): (String, JSON) in [("/api/chat", .null), ("/api/generate", "In the beginning")] {
                for streams: JSON in [false, true] {
                    let answer = try await service.ask(
                        path,
                        [
                            "messages": path == "/api/chat" ? messages : .null, "prompt": prompt, "options": options,
                            "stream": streams, "logprobs": true, "top_logprobs": 2,
                        ])
                    let found = answer.objects.flatMap { $0["logprobs"]?.arrayValue ?? [] }
                    #expect(found == wanted, "\(path) \(streams)")
                }
            }
            let raw = try await service.ask(
                "/api/generate",
                ["prompt": "In", "raw": true, "options": options, "stream": false, "logprobs": true])
            #expect(raw.json["logprobs"]?.arrayValue?.isEmpty == false, "\(raw.json)")
            let wrong = try await service.ask("/api/chat", ["messages": messages, "top_logprobs": 2])
            #expect(wrong.status == 400 && wrong.message.hasPrefix("top_logprobs"))
        }

        @Test func durationsAreThoseOfTheirParts() async throws {
            let service = try await TestService()
            let answer = try await service.ask(
                "/api/chat", ["messages": messages, "stream": false, "options": ["num_predict": 8]])
            let parts = ["prompt_eval_duration", "eval_duration", "total_duration"].compactMap {
                answer.json[$0]?.integerValue
            }
            #expect(parts.count == 3 && parts[0] > 0 && parts[1] > 0 && parts[0] + parts[1] <= parts[2])
        }

        /// Every error below /api/ is Ollama's: a text.
        @Test func errorsHaveOllamasEnvelope() async throws {
            let service = try await TestService()
            let asked: [(String, String, [String: String], Int)] = [
                ("GET", "/api/nothing", [:], 404), ("GET", "/api/chat", [:], 405),
                ("GET", "/api/tags", ["host": "evil.example"], 403),
                ("GET", "/api/tags", ["origin": "https://evil.example"], 403),
            ]
            for (method, path, headers, status) in asked {
                let answer = try await service.ask(path, method: method, headers: headers)
                #expect(answer.status == status && answer.json["error"]?.stringValue != nil, "\(path)")
            }
        }

        @Test func bodiesNeedNoType() async throws {
            let service = try await TestService()
            for headers in [[:], ["content-type": "application/x-www-form-urlencoded"], ["content-type": "text/plain"]]
            {
                let answer = try await service.ask(
                    "/api/generate", ["prompt": "x", "stream": false, "options": ["num_predict": 1]], headers: headers)
                #expect(answer.status == 200)
                #expect(try await service.ask("/v1/completions", ["prompt": "x"], headers: headers).status == 415)
            }
        }

        /// A text that is continued as it is waits like any other.
        @Test func rawPromptsAreCounted() async throws {
            let service = try await TestService { $0.limits.queuedTokens = 50 }
            let held = try service.service.admit(promptTokens: 45)
            let prompt = JSON.string(String(repeating: "word and ", count: 20))
            let refused = try await service.ask("/api/generate", ["prompt": prompt, "raw": true])
            #expect(refused.status == 429)
            withExtendedLifetime(held) {}
        }
    }
#endif
