#if Server
    import Martlet
    import MartletAPI
    import MartletGeneration
    import MartletJSON
    import MartletLayers
    import Testing

    /// The answers of the routes, over loopback sockets.
    @Suite(.serialized) struct RouteTests {
        private let greeting: JSON = [["role": "user", "content": "In the beginning"]]

        @Test func aChatIsAnsweredWholeAndInEventsWithTheSameText() async throws {
            try await withServer { server async throws in
                let body: JSON = [
                    "messages": greeting, "max_tokens": 12, "temperature": 0.8, "seed": 7,
                    "stream_options": ["include_usage": true],
                ]
                let whole = try await server.ask("POST", "/v1/chat/completions", body)
                #expect(whole.status == 200)
                let text = try #require(whole.json["choices"]?[0]?["message"]?["content"]?.stringValue)
                #expect(whole.json["choices"]?[0]?["finish_reason"] == "length")
                #expect(whole.json["usage"]?["completion_tokens"] == 12)
                let details = try #require(whole.json["usage"]?["completion_tokens_details"])
                let accepted = try #require(details["accepted_prediction_tokens"]?.integerValue)
                #expect(accepted >= 0 && details["rejected_prediction_tokens"]?.integerValue ?? -1 >= 0)
                var streamed = try #require(body.objectValue)
                streamed["stream"] = true
                let events = try await server.ask("POST", "/v1/chat/completions", .object(streamed)).events
                #expect(events.first?["choices"]?[0]?["delta"]?["role"] == "assistant")
                let pieces = events.compactMap { $0["choices"]?[0]?["delta"]?["content"]?.stringValue }
                #expect(pieces.joined() == text)
                #expect(events.last?.isNull == true)
                let usage = try #require(events.dropLast().last)
                #expect(usage["choices"] == [])
                // The second one finds the prompt in the cache.
                for key in ["prompt_tokens", "completion_tokens", "total_tokens"] {
                    #expect(usage["usage"]?[key] == whole.json["usage"]?[key])
                }
                #expect(Set(events.dropLast().compactMap { $0["id"]?.stringValue }).count == 1)
            }
        }

        @Test func choicesHaveSeedsOfTheirOwnAndStopTextsEndThem() async throws {
            try await withServer { server async throws in
                let answer = try await server.ask(
                    "POST", "/v1/completions",
                    ["prompt": "The", "max_tokens": 16, "temperature": 1.2, "n": 3, "seed": 1])
                let texts = answer.json["choices"]?.arrayValue?.compactMap { $0["text"]?.stringValue } ?? []
                #expect(texts.count == 3 && Set(texts).count == 3)
                let second = try await server.ask(
                    "POST", "/v1/completions", ["prompt": "The", "max_tokens": 16, "temperature": 1.2, "seed": 2])
                #expect(second.json["choices"]?[0]?["text"]?.stringValue == texts[1])
                let middle = try #require(texts[0].split(separator: " ").dropFirst().first.map(String.init))
                let stopped = try await server.ask(
                    "POST", "/v1/completions",
                    ["prompt": "The", "max_tokens": 16, "temperature": 1.2, "seed": 1, "stop": .string(middle)])
                let text = try #require(stopped.json["choices"]?[0]?["text"]?.stringValue)
                #expect(texts[0].hasPrefix(text + middle))
                #expect(stopped.json["choices"]?[0]?["finish_reason"] == "stop")
            }
        }

        @Test func probabilitiesAreThoseOfTheModel() async throws {
            try await withServer { server async throws in
                let answer = try await server.ask(
                    "POST", "/v1/chat/completions",
                    [
                        "messages": greeting, "max_tokens": 4, "temperature": 0, "logprobs": true, "top_logprobs": 3,
                    ])
                let tokens = try #require(answer.json["choices"]?[0]?["logprobs"]?["content"]?.arrayValue)
                #expect(tokens.count == 4)
                for token in tokens {
                    let best = try #require(token["top_logprobs"]?.arrayValue)
                    #expect(best.count == 3 && best[0]["logprob"] == token["logprob"])
                    #expect(best.allSatisfy { ($0["logprob"]?.doubleValue ?? 1) <= 0 })
                }
                // A bias of 100 on the second best makes it the choice.
                let second = try #require(tokens[0]["top_logprobs"]?[1]?["token"]?.stringValue)
                let ids = try await server.ask("POST", "/tokenize", ["content": .string(second)]).json["tokens"]
                if ids?.arrayValue?.count == 1, let id = ids?[0]?.integerValue {
                    let biased = try await server.ask(
                        "POST", "/v1/chat/completions",
                        [
                            "messages": greeting, "max_tokens": 1, "temperature": 0,
                            "logit_bias": .object(
                                ["\(id)": 100].reduce(into: JSONObject()) { $0[$1.key] = .integer($1.value) }),
                        ])
                    #expect(biased.json["choices"]?[0]?["message"]?["content"]?.stringValue == second)
                }
            }
        }

        @Test func everyWrongFieldIsNamed() async throws {
            let wrong: [(JSON, String)] = [
                (["temperature": -0.1], "temperature"), (["temperature": "hot"], "temperature"),
                (["top_p": 1.1], "top_p"), (["n": 0], "n"), (["n": 129], "n"), (["max_tokens": -2], "max_tokens"),
                (["max_tokens": 1.5], "max_tokens"), (["top_logprobs": 21, "logprobs": true], "top_logprobs"),
                (["presence_penalty": 2.1], "presence_penalty"), (["logit_bias": ["999999": 1]], "logit_bias"),
                (["stop": [""]], "stop"), (["stop": .array(Array(repeating: "x", count: 17))], "stop"),
                (["repetition_penalty": 0], "repetition_penalty"), (["stream": "yes"], "stream"),
                (["response_format": ["type": "xml"]], "response_format.type"),
                (["tool_choice": "required"], "tool_choice"), (["modalities": ["audio"]], "modalities"),
            ]
            try await withServer { server async throws in
                for (fields, name) in wrong {
                    var body = try #require(fields.objectValue)
                    body["messages"] = greeting
                    let answer = try await server.ask("POST", "/v1/chat/completions", .object(body))
                    #expect(answer.status == 400 && answer.error?["param"]?.stringValue == name, "\(fields)")
                    #expect(answer.error?.objectValue?.keys.sorted() == ["code", "message", "param", "type"])
                }
                for messages: JSON in [[], [["role": "king", "content": "x"]], [["role": "user"]], ["x"]] {
                    let answer = try await server.ask("POST", "/v1/chat/completions", ["messages": messages])
                    #expect(answer.status == 400 && answer.error?["param"]?.stringValue?.hasPrefix("messages") == true)
                }
            }
        }

        @Test func aPromptOverTheContextIsRefusedWithBothNumbers() async throws {
            try await withServer { server async throws in
                let context = try #require(server.service.models[0].context)
                let answer = try await server.ask(
                    "POST", "/v1/completions", ["prompt": .array(Array(repeating: 5, count: context + 3))])
                #expect(answer.status == 400 && answer.error?["code"] == "context_length_exceeded")
                let message = try #require(answer.error?["message"]?.stringValue)
                #expect(message.contains("\(context + 3)") && message.contains("\(context)"))
            }
        }

        @Test func addressesThatAreNotThereHaveEnvelopes() async throws {
            try await withServer { server async throws in
                for (method, path, status) in [
                    ("GET", "/nothing", 404), ("GET", "/v1/chat/completions", 405), ("GET", "/v1/models/other", 404),
                ] {
                    let answer = try await server.ask(method, path)
                    #expect(answer.status == status && answer.error?["message"]?.stringValue != nil)
                }
                let plain = try await server.ask(
                    "POST", "/v1/completions", nil, headers: ["Content-Length: 0", "Content-Type: text/plain"])
                #expect(plain.status == 415 || plain.status == 400)
            }
        }

        @Test func embeddingsAreFloatsOrTheSameInBase64() async throws {
            try await withServer { server async throws in
                let floats = try await server.ask("POST", "/v1/embeddings", ["input": ["one", "two words"]])
                let vectors = try #require(floats.json["data"]?.arrayValue?.map { $0["embedding"]?.arrayValue ?? [] })
                #expect(vectors.count == 2 && vectors[0].count == server.service.models[0].architecture.width)
                let coded = try await server.ask(
                    "POST", "/v1/embeddings", ["input": "one", "encoding_format": "base64", "dimensions": 4])
                let text = try #require(coded.json["data"]?[0]?["embedding"]?.stringValue)
                #expect(text.utf8.count == 24)
            }
        }

        /// 32 callers at once get the vectors that each gets alone, in a few common passes.
        @Test func embeddingsOfManyCallersShareThePasses() async throws {
            let model = try await FixtureModel.load()
            try await withServer(model: model) { server async throws in
                func vector(_ number: Int) async throws -> JSON {
                    let answer = try await server.ask("POST", "/v1/embeddings", ["input": .string("word \(number)")])
                    #expect(answer.status == 200)
                    return answer.json["data"]?[0]?["embedding"] ?? .null
                }
                var alone: [JSON] = []
                for number in 0..<32 { alone.append(try await vector(number)) }
                let passes = server.load.textPasses
                #expect(passes == 32)
                var callers: [Task<JSON, any Error>] = []
                try await server.whileNothingIsComputed {
                    callers = (0..<32).map { number in Task { try await vector(number) } }
                    try await server.until { server.load.waiting == 32 }
                }
                for (caller, own) in zip(callers, alone) { #expect(try await caller.value == own) }
                #expect(server.load.textPasses - passes <= 6)
            }
        }

        /// A request that names no model means the one that is made for vectors, where there is one.
        @Test func vectorsAreThoseOfTheEncoderOfSentences() async throws {
            try await withServer { server async throws in
                let settings = ServedModel.Settings(threads: 1)
                server.service.add(
                    try await ServedModel.load(name: "vectors", path: EmbeddedModel.path(.sentences), settings))
                let found = try await server.ask("POST", "/v1/embeddings", ["input": "A cat sits on a mat."])
                #expect(found.json["model"] == "vectors")
                #expect(found.json["data"]?[0]?["embedding"]?.arrayValue?.count == 384)
                let named = try await server.ask("POST", "/v1/embeddings", ["input": "a", "model": "fixture"])
                #expect(named.json["model"] == "fixture")
                let texts: JSON = ["The train leaves at noon.", "A kitten is lying on a rug."]
                let ranked = try await server.ask(
                    "POST", "/v1/rerank", ["query": "A cat sits on a mat.", "documents": texts])
                #expect(ranked.json["model"] == "vectors" && ranked.json["results"]?[0]?["index"] == 1)
                let ollama = try await server.ask("POST", "/api/embed", ["input": "a"])
                #expect(ollama.json["model"] == "vectors")
                let text = try await server.ask("POST", "/v1/completions", ["prompt": "a", "max_tokens": 1])
                #expect(text.json["model"] == "fixture")
            }
        }

        @Test func textAndTokensAreTheSameBothWays() async throws {
            try await withServer { server async throws in
                let tokens = try await server.ask("POST", "/tokenize", ["content": "Héllo wörld", "add_special": true])
                let text = try await server.ask("POST", "/detokenize", ["tokens": tokens.json["tokens"] ?? []])
                #expect(text.json["content"]?.stringValue?.contains("Héllo wörld") == true)
                let prompt = try await server.ask("POST", "/apply-template", ["messages": greeting])
                #expect(prompt.json["prompt"] == "user: In the beginning\nassistant:")
            }
        }

        @Test func toolsAreParsedOutOfAnswers() async throws {
            try await withServer { server async throws in
                let tool: JSON = ["type": "function", "function": ["name": "look", "parameters": [:]]]
                let answer = try await server.ask(
                    "POST", "/v1/chat/completions",
                    [
                        "messages": greeting, "max_tokens": 4, "temperature": 0, "tools": [tool],
                        "tool_choice": ["type": "function", "function": ["name": "look"]],
                    ])
                #expect(answer.status == 200)
                #expect(answer.json["choices"]?[0]?["message"]?["tool_calls"]?[0]?["function"]?["name"] == "look")
            }
        }
    }
#endif
