#if Server
    import MartletAPI
    import MartletJSON
    import TestSupport
    import Testing

    /// The heads of requests and answers: who may ask, from where, with which methods and bodies.
    @Suite(.serialized) struct HeaderTests {
        @Test func browsersAreAskedForAName() async throws {
            let service = try await TestService { $0.keys = KeyRing(["key"]) }
            let refused = try await service.ask("/", method: "GET", headers: [:])
            #expect(refused.status == 401 && refused["www-authenticate"]?.hasPrefix("Basic realm=") == true)
            let page = try await service.ask("/", method: "GET", headers: ["authorization": "Basic OmtleQ=="])
            #expect(page.status == 200 && page["www-authenticate"] == nil)
        }

        @Test func methodsThatAnAddressTakesAreTold() async throws {
            let service = try await TestService()
            for (method, path, allowed) in [
                ("GET", "/v1/chat/completions", "POST"), ("POST", "/v1/models", "GET, HEAD"),
                ("DELETE", "/api/tags", "GET, HEAD"), ("PUT", "/v1/models/x", "GET, HEAD"),
                ("GET", "/api/delete", "DELETE"),
            ] {
                let answer = try await service.ask(path, method: method)
                #expect(answer.status == 405 && answer["allow"] == allowed, "\(path)")
            }
        }

        @Test func pagesOfAllowedOriginsSendTheHeadersTheyLike() async throws {
            let service = try await TestService { $0.origins = ["https://friend.example"] }
            let names = "authorization, content-type, x-stainless-os, x-stainless-retry-count"
            let asked = [
                "origin": "https://friend.example", "access-control-request-method": "POST",
                "access-control-request-headers": names,
            ]
            let preflight = try await service.ask("/v1/chat/completions", method: "OPTIONS", headers: asked)
            #expect(preflight.status == 204 && preflight["access-control-allow-headers"] == names)
            #expect(preflight["vary"]?.contains("Origin") == true)
            let forged = try await service.ask(
                "/v1/models", method: "OPTIONS",
                headers: ["origin": "https://friend.example", "access-control-request-headers": "a\r\nb: c"])
            #expect(forged["access-control-allow-headers"] == "authorization, content-type, x-api-key")
            for headers in [[:], ["origin": "https://friend.example"]] {
                let answer = try await service.ask("/v1/models", method: "GET", headers: headers)
                #expect(answer["vary"] == "Origin" && answer["access-control-allow-origin"] == headers["origin"])
            }
        }

        @Test(arguments: [
            ("https://example.org", "https://example.org"), ("http://LOCALHOST:3000", "http://localhost:3000"),
            ("chrome-extension://abc", "chrome-extension://abc"), ("http://[::1]:80", "http://[::1]:80"), ("*", nil),
            ("example.org", nil), ("https://example.org/", nil), ("https://", nil), ("://x", nil), ("", nil),
            ("https://*.example.org", nil), ("localhost:3000", nil), ("null", nil),
        ]) func originsAreThoseThatBrowsersSend(given: String, origin: String?) {
            #expect(ServiceSettings.origin(given) == origin)
        }

        @Test func bodiesInAnotherCodingAreRefused() async throws {
            let service = try await TestService()
            for path in ["/v1/completions", "/api/generate"] {
                let answer = try await service.ask(
                    path, ["prompt": "x"], headers: ["content-type": "application/json", "content-encoding": "gzip"])
                #expect(answer.status == 415 && answer.message.contains("content-encoding"))
            }
            let plain = try await service.ask(
                "/v1/completions", ["prompt": "x", "max_tokens": 1],
                headers: ["content-type": "application/json", "content-encoding": "identity"])
            #expect(plain.status == 200)
        }

        /// OpenAI's clients would send the same work twice more.
        @Test func workThatFailedIsNotSentAgain() {
            func header(_ status: Int, _ kind: APIError.Kind) -> String? {
                APIResponse(APIError(status: status, kind, "")).headers.first { $0.name == "x-should-retry" }?.value
            }
            #expect(header(504, .server) == "false" && header(500, .server) == "false")
            #expect(
                header(503, .unavailable) == nil && header(429, .rateLimit) == nil
                    && header(400, .invalidRequest) == nil)
        }

        @Test func errorsDoNotTellWhereModelsAre() async throws {
            let path = Fixtures.folder + "/tasks/translation-pieces"
            let service = try await TestService(ServedModel.load(name: "writer", path: path))
            let cases: [(JSON, String)] = [
                (["source_language": "xx"], "source_language"), (["target_language": "xx"], "target_language"),
            ]
            for (fields, name) in cases {
                var body = try #require(fields.objectValue)
                body["input"] = "x"
                let answer = try await service.ask("/v1/translate", .object(body))
                #expect(answer.status == 400 && answer.parameter == name, "\(answer.message)")
                #expect(!answer.message.contains("/"))
            }
            for (path, body): (String, JSON) in [("/v1/explain", ["text": ""]), ("/v1/translate", ["input": ""])] {
                let answer = try await service.ask(path, body)
                #expect(answer.status < 500, "\(path): \(answer.message)")
            }
            let empty = try await service.ask("/v1/explain", ["text": ""])
            #expect(empty.status == 200 || empty.parameter == "text")
        }
    }
#endif
