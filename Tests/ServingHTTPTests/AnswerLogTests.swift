#if Server
    import Martlet
    import MartletAPI
    import MartletJSON
    import Testing

    /// Every answered generation is kept, and can be checked.
    @Suite(.serialized) struct AnswerLogTests {
        private let asked: [(path: String, body: JSON)] = [
            ("/v1/chat/completions", ["messages": [["role": "user", "content": "Hello"]], "max_tokens": 6]),
            ("/v1/completions", ["prompt": ["Hello", "The"], "max_tokens": 6, "n": 2, "logprobs": 1, "echo": true]),
            ("/v1/responses", ["input": "Hello", "max_output_tokens": 6]),
            ("/v1/messages", ["messages": [["role": "user", "content": "Hello"]], "max_tokens": 6]),
            ("/api/chat", ["messages": [["role": "user", "content": "Hello"]], "options": ["num_predict": 6]]),
            ("/api/generate", ["prompt": "Hello", "options": ["num_predict": 6]]),
            ("/api/generate", ["prompt": "Hello", "raw": true, "options": ["num_predict": 6]]),
        ]

        /// A request with `temperature` and a seed of its own, where its dialect has them.
        private func body(_ path: String, _ body: JSON, streams: Bool) -> JSON {
            var object = body.objectValue ?? JSONObject()
            object["stream"] = .bool(streams)
            if path.hasPrefix("/api/") {
                var options = object["options"]?.objectValue ?? JSONObject()
                (options["temperature"], options["seed"]) = (0.9, 5)
                object["options"] = .object(options)
            } else {
                (object["temperature"], object["seed"]) = (0.9, 5)
            }
            return .object(object)
        }

        private func reseeded(_ request: JSON) -> JSON {
            var object = request.objectValue ?? JSONObject()
            if let options = object["options"] { object["options"] = reseeded(options) } else { object["seed"] = 6 }
            return .object(object)
        }

        @Test func everyAnswerIsKeptAndTheSameAgain() async throws {
            let model = try await FixtureModel.model.value
            let (service, check) = (try await TestService(model), AnswerCheck(model))
            for (path, given) in asked {
                var texts: [JSON] = []
                for streams in [false, true] {
                    let body = body(path, given, streams: streams)
                    #expect(try await service.ask(path, body).status == 200)
                    let entries = service.answers.take()
                    #expect(entries.count == 1, "\(path)")
                    let entry = try #require(entries.first)
                    #expect(entry["path"] == .string(path) && entry["request"] == body)
                    #expect(entry["system_fingerprint"] == .string(model.fingerprint))
                    #expect(try await check.check(entry) == .same, "\(path)")
                    let answer = try #require(entry["response"])
                    texts += [
                        answer["choices"], answer["message"], answer["response"], answer["output"]?[0]?["content"],
                        answer["content"],
                    ].compactMap { $0 }
                }
                #expect(texts.count == 2 && texts.first == texts.last)
            }
        }

        @Test func anotherAnswerIsFound() async throws {
            let model = try await FixtureModel.model.value
            let (service, check) = (try await TestService(model), AnswerCheck(model))
            for (path, given) in asked {
                _ = try await service.ask(path, body(path, given, streams: false))
                // Another seed, another text.
                var entry = try #require(service.answers.take().first?.objectValue)
                entry["request"] = reseeded(try #require(entry["request"]))
                guard case .different = try await check.check(.object(entry)) else {
                    Issue.record("\(path): another text is not found")
                    continue
                }
            }
        }

        /// The element type of the KV cache decides on bits, so it is part of the fingerprint.
        @Test func fingerprintsTellCachesApart() async throws {
            let plain = try await FixtureModel.model.value
            var prints = [plain.fingerprint]
            for cache in [CacheType.q8_0, .bf16] {
                let model = try await FixtureModel.load { $0.cache = cache }
                prints.append(model.fingerprint)
                let service = try await TestService(model)
                _ = try await service.ask(
                    "/v1/completions", ["prompt": "In the beginning", "max_tokens": 24, "temperature": 0])
                let entry = try #require(service.answers.take().first)
                #expect(try await AnswerCheck(model).check(entry) == .same)
                #expect(
                    try await AnswerCheck(plain).check(entry)
                        == .otherModel(logged: model.fingerprint, here: plain.fingerprint))
            }
            #expect(Set(prints).count == 3)
            #expect(try await FixtureModel.load().fingerprint == plain.fingerprint)
        }
    }
#endif
