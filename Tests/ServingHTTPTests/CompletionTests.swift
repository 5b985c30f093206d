#if Server
    import MartletAPI
    import MartletJSON
    import Testing

    /// Texts that are continued: what is told of their prompts.
    @Suite(.serialized) struct CompletionTests {
        private func probabilities(_ service: TestService, _ body: JSON) async throws -> JSON {
            try #require(try await service.ask("/v1/completions", body).json["choices"]?[0]?["logprobs"])
        }

        /// The probabilities of a prompt's tokens are those that they have when they are written.
        @Test func echoedPromptsHaveProbabilities() async throws {
            let service = try await TestService()
            let ids = Array(5..<45)
            for length in [1, 2, 20, 39] {
                let prompt = JSON.array(ids[..<length].map { .integer($0) })
                let longer = JSON.array(ids[...length].map { .integer($0) })
                let next = try await probabilities(
                    service, ["prompt": prompt, "logprobs": 3, "max_tokens": 1, "temperature": 0])
                let echoed = try await probabilities(
                    service, ["prompt": longer, "logprobs": 3, "max_tokens": 0, "echo": true])
                #expect(echoed["tokens"]?.arrayValue?.count == length + 1)
                #expect(echoed["token_logprobs"]?[0]?.isNull == true && echoed["top_logprobs"]?[0]?.isNull == true)
                // Beside the most probable, the token itself.
                let best = echoed["top_logprobs"]?[length]?.objectValue
                for (text, value) in try #require(next["top_logprobs"]?[0]?.objectValue?.members) {
                    #expect(best?[text] == value)
                }
                #expect(best?[echoed["tokens"]?[length]?.stringValue ?? ""] == echoed["token_logprobs"]?[length])
            }
        }

        @Test func echoedTokensAreThoseOfTheText() async throws {
            let service = try await TestService()
            let body: JSON = ["prompt": "In the beginning", "logprobs": 0, "max_tokens": 3, "echo": true, "seed": 1]
            let whole = try #require(try await service.ask("/v1/completions", body).json["choices"]?[0])
            let lists = try #require(whole["logprobs"])
            let tokens = lists["tokens"]?.arrayValue?.compactMap(\.stringValue) ?? []
            #expect(tokens.joined() == whole["text"]?.stringValue)
            var offset = 0
            for (index, token) in tokens.enumerated() {
                #expect(lists["text_offset"]?[index] == .integer(offset))
                offset += token.unicodeScalars.count
            }
            let chunks = try await service.stream("/v1/completions", body).objects.compactMap { $0["choices"]?[0] }
            for name in ["tokens", "token_logprobs", "text_offset"] {
                let values = chunks.flatMap { $0["logprobs"]?[name]?.arrayValue ?? [] }
                #expect(values == lists[name]?.arrayValue)
            }
        }

        /// Who asks for a text to be continued writes what a template would.
        @Test func specialTokensOfRawTextsCount() async throws {
            let service = try await TestService()
            var body: JSON = ["prompt": "<s>", "max_tokens": 1]
            let answer = try await service.ask("/v1/completions", body)
            #expect(answer.json["usage"]?["prompt_tokens"] == 1, "\(answer.message)")
            body = ["prompt": "<s>", "max_tokens": 1, "parse_special": false]
            let plain = try await service.ask("/v1/completions", body).json["usage"]?["prompt_tokens"]?.integerValue
            #expect(try #require(plain) > 1)
            let raw = try await service.ask(
                "/api/generate", ["prompt": "<s>", "raw": true, "stream": false, "options": ["num_predict": 1]])
            #expect(raw.json["prompt_eval_count"] == 1, "\(raw.message)")
        }

        /// One request is one in the queue, however many texts it asks for.
        @Test func oneRequestAsksForAFewTexts() async throws {
            let service = try await TestService()
            let prompts = JSON.array(Array(repeating: "x", count: 3))
            let refused = try await service.ask("/v1/completions", ["prompt": prompts, "n": 86, "max_tokens": 1])
            #expect(refused.status == 400 && refused.parameter == "n" && refused.message.contains("258"))
            let answer = try await service.ask("/v1/completions", ["prompt": prompts, "n": 3, "max_tokens": 1])
            #expect(answer.json["choices"]?.arrayValue?.count == 9, "\(answer.message)")
        }

        @Test func wrongTokensAreNamed() async throws {
            let service = try await TestService()
            let cases: [(JSON, String)] = [
                ([-1], "prompt"), ([1_000_000], "prompt"), ([[5], [-7]], "prompt[1]"), (5, "prompt"),
            ]
            for (prompt, name) in cases {
                let answer = try await service.ask("/v1/completions", ["prompt": prompt])
                #expect(answer.status == 400 && answer.parameter == name, "\(prompt) \(answer.message)")
            }
        }

        /// A prompt that keys and values have no memory for is as much over the context as one that the model cannot
        /// read.
        @Test func promptsOverTheMemoryAreOverTheContext() async throws {
            // Three blocks of 64 positions: five layers' keys and values of two heads of 64 in f32.
            let model = try await FixtureModel.load { $0.cacheBytes = 3 * 64 * 5 * 2 * 2 * 64 * 4 }
            let service = try await TestService(model)
            guard case .text(_, let engine) = model.work else { return }
            #expect(engine.longestText < 200)
            let answer = try await service.ask(
                "/v1/completions", ["prompt": .array(Array(repeating: 5, count: 200))])
            #expect(answer.status == 400 && answer.code == "context_length_exceeded" && answer.parameter == "prompt")
            #expect(
                answer.message.contains("200") && answer.message.contains("\(engine.longestText)"), "\(answer.message)")
        }

        @Test func textsToEmbedAreNotCutUnlessTheyMayBe() async throws {
            let service = try await TestService()
            let context = try #require(service.service.models[0].context)
            let long = JSON.string(String(repeating: "word and ", count: context))
            for (path, body, name): (String, JSON, String) in [
                ("/v1/embeddings", ["input": ["x", long]], "input[1]"), ("/v1/embeddings", ["input": long], "input"),
                ("/api/embed", ["input": long, "truncate": false], "input"),
            ] {
                let refused = try await service.ask(path, body)
                #expect(refused.status == 400 && refused.message.hasPrefix(name + " has"), "\(refused.message)")
                #expect(refused.message.contains("reads \(context)"))
            }
            let cut = try await service.ask("/v1/embeddings", ["input": long, "truncate": true])
            #expect(cut.status == 200 && cut.json["usage"]?["prompt_tokens"] == .integer(context))
            #expect(try await service.ask("/api/embed", ["input": long]).status == 200)
        }

        @Test func conversationsThatNoTemplateTakesAreTooLong() async throws {
            let service = try await TestService()
            let long = JSON.string(String(repeating: "x", count: 10 << 20))
            let answer = try await service.ask(
                "/v1/chat/completions", ["messages": [["role": "user", "content": long]]])
            #expect(answer.status == 400 && answer.code == "context_length_exceeded" && answer.parameter == "messages")
            let number = try await service.ask("/v1/chat/completions", ["messages": [["role": "user", "content": 5]]])
            #expect(number.parameter == "messages[0].content" && number.message.contains("a string or an array"))
        }
    }
#endif
