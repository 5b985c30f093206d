#if Server
    import MartletAPI
    import MartletGeneration
    import MartletJSON
    import MartletPlatform
    import MartletServingHTTP
    import Testing

    /// The behaviour of the server towards clients that leave, dawdle, overload and pry.
    @Suite(.serialized) struct BehaviourTests {
        private func endless(stream: Bool) -> JSON {
            ["prompt": "The", "max_tokens": 200, "temperature": 1, "ignore_eos": true, "stream": .bool(stream)]
        }

        @Test(arguments: [false, true]) func aClientThatLeavesIsNoticed(streams: Bool) async throws {
            try await withServer(model: FixtureModel.load()) { server async throws in
                try await server.whileNothingIsComputed {
                    for round in 0..<12 {
                        let socket = try Socket(port: server.port)
                        socket.send(TestServer.request("POST", "/v1/completions", endless(stream: streams)))
                        try await server.until { server.load.waiting == round + 1 }
                        if round % 2 == 0 { socket.reset() } else { socket.close() }
                        try await server.until { server.server.connectionCount == 0 }
                    }
                }
                #expect(await server.isIdle(), "\(server.load) \(server.service.metrics.counts)")
                #expect(server.service.metrics.counts.disconnects == 12)
                let after = try await server.ask("POST", "/v1/completions", ["prompt": "The", "max_tokens": 2])
                #expect(after.status == 200)
            }
        }

        /// Clients that leave at once, or while their text is written, which may end before it is noticed.
        @Test(arguments: [false, true]) func clientsLeaveWhenTheyLike(streams: Bool) async throws {
            try await withServer(model: FixtureModel.load()) { server async throws in
                for round in 0..<300 where server.service.metrics.counts.disconnects < 8 {
                    #expect(await server.isIdle(), "\(server.load) \(server.service.metrics.counts)")
                    let socket = try Socket(port: server.port)
                    socket.send(TestServer.request("POST", "/v1/completions", endless(stream: streams)))
                    if round % 3 > 0 {
                        try await server.until { server.service.metrics.counts.inFlight > 0 || socket.hasAnswer }
                    }
                    if round % 2 == 0 { socket.reset() } else { socket.close() }
                }
                #expect(await server.isIdle(), "\(server.load) \(server.service.metrics.counts)")
                #expect(server.service.metrics.counts.disconnects >= 8)
            }
        }

        /// The client has left before the head of its answer, so that nobody begins to write it.
        @Test func anAnswerThatIsNeverWrittenIsCountedOut() async throws {
            try await withServer { server async throws in
                var answer: APIResponse? = await server.service.respond(
                    to: APIRequest(
                        method: "POST", path: "/v1/completions",
                        headers: ["host": "127.0.0.1", "content-type": "application/json"],
                        body: endless(stream: true).serialized()))
                #expect(answer?.status == 200 && server.service.metrics.counts.inFlight == 1)
                answer = nil
                #expect(server.service.metrics.counts.inFlight == 0)
            }
        }

        @Test func clientsThatLeaveTheQueueFreeTheirPlace() async throws {
            try await withServer(model: FixtureModel.load()) { server async throws in
                try await server.whileNothingIsComputed {
                    let sockets = try (0..<10).map { _ in try Socket(port: server.port) }
                    for socket in sockets {
                        socket.send(TestServer.request("POST", "/v1/completions", endless(stream: true)))
                    }
                    try await server.until { server.load.waiting == 10 }
                    for socket in sockets { socket.close() }
                }
                #expect(await server.isIdle())
            }
        }

        @Test func moreThanTheQueueTakesIsRefusedAtOnce() async throws {
            try await withServer({ $0.limits.requests = 3 }, model: FixtureModel.load()) { server async throws in
                try await server.whileNothingIsComputed {
                    let sockets = try (0..<3).map { _ in try Socket(port: server.port) }
                    for socket in sockets {
                        socket.send(TestServer.request("POST", "/v1/completions", endless(stream: true)))
                    }
                    try await server.until { server.service.metrics.counts.inFlight == 3 }
                    let refused = try await server.ask("POST", "/v1/completions", endless(stream: false))
                    #expect(refused.status == 429 && refused.error?["code"] == "rate_limit_exceeded")
                    #expect(refused.headers["retry-after"].flatMap { Int($0) } != nil)
                    for socket in sockets { socket.close() }
                }
                #expect(await server.isIdle())
            }
            try await withServer({ $0.limits.queuedTokens = 50 }) { server async throws in
                let body: JSON = ["prompt": .array(Array(repeating: 5, count: 20)), "max_tokens": 1]
                do {
                    let held = try server.service.admit(promptTokens: 40)
                    let refused = try await server.ask("POST", "/v1/completions", body)
                    #expect(refused.status == 429 && refused.headers["retry-after"] != nil)
                    withExtendedLifetime(held) {}
                }
                #expect(try await server.ask("POST", "/v1/completions", body).status == 200)
            }
        }

        @Test func limitsOfHeadsAndBodiesHaveAnswers() async throws {
            try await withServer({ $0.limits.bodyBytes = 1_000 }) { server async throws in
                let heads = ["X-Long: " + String(repeating: "x", count: 70_000)]
                #expect(try await server.ask("GET", "/health", headers: heads).status == 431)
                let announced = try await server.ask(
                    "POST", "/v1/completions",
                    headers: ["Content-Type: application/json", "Content-Length: 10000000000"])
                #expect(announced.status == 413 && announced.error?["code"] == "body_too_large")
                let socket = try Socket(port: server.port)
                socket.send(
                    "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
                )
                for _ in 0..<8 { socket.send("100\r\n" + String(repeating: " ", count: 256) + "\r\n") }
                let answer = try Answer(await socket.readAll(seconds: 120))
                #expect(answer.status == 413)
                socket.close()
                let broken = try Socket(port: server.port)
                broken.send("GET / HTTP/1.1\r\nHost localhost\r\n\r\n")
                #expect(try Answer(await broken.readAll(seconds: 120)).status == 400)
                broken.close()
            }
        }

        @Test func silentConnectionsAndBodiesEndByDeadline() async throws {
            try await withServer({
                $0.limits.idleSeconds = 1
                $0.limits.bodySeconds = 1
                $0.limits.bodyBytes = 1_000
            }) { server async throws in
                let silent = try Socket(port: server.port)
                let dripped = try Socket(port: server.port)
                dripped.send("GET /health HTT")
                let body = try Socket(port: server.port)
                body.send(
                    "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{"
                )
                async let first = silent.closes(within: 120)
                async let second = dripped.closes(within: 120)
                async let third = body.closes(within: 120)
                let ends = await [first, second, third]
                #expect(ends == [true, true, true])
                for socket in [silent, dripped, body] { socket.close() }
            }
        }

        @Test func withKeysEveryRouteButHealthIsClosed() async throws {
            try await withServer({ $0.keys = KeyRing(file: "# keys\nfirst-key\n  second-key  \n") }) {
                server async throws in
                #expect(try await server.ask("GET", "/health").status == 200)
                for path in ["/", "/metrics", "/v1/models", "/openapi.json", "/nothing", "/api/tags"] {
                    #expect(try await server.ask("GET", path).status == 401, "\(path)")
                }
                for header in [
                    "Authorization: Bearer second-key", "x-api-key: first-key",
                    "Authorization: Basic OmZpcnN0LWtleQ==",
                ] {
                    #expect(try await server.ask("GET", "/v1/models", headers: [header]).status == 200, "\(header)")
                }
                for header in ["Authorization: Bearer second-kez", "Authorization: Bearer ", "x-api-key: first"] {
                    #expect(try await server.ask("GET", "/v1/models", headers: [header]).status == 401)
                }
            }
        }

        @Test func otherNamesAndOriginsAreNotAnswered() async throws {
            try await withServer({ $0.origins = ["https://friend.example"] }) { server async throws in
                func status(_ lines: [String]) async throws -> Int {
                    let socket = try Socket(port: server.port)
                    defer { socket.close() }
                    let head = ["GET /v1/models HTTP/1.1"] + lines + ["Connection: close", "", ""]
                    socket.send(head.joined(separator: "\r\n"))
                    return try await Answer(socket.readAll(seconds: 120)).status
                }
                #expect(try await status(["Host: evil.example"]) == 403)
                #expect(try await status(["Host: localhost:1234"]) == 200)
                #expect(try await status(["Host: 127.0.0.1", "Origin: https://evil.example"]) == 403)
                #expect(try await status(["Host: 127.0.0.1", "Origin: https://friend.example"]) == 200)
                #expect(try await status(["Host: 127.0.0.1:5", "Origin: http://127.0.0.1:5"]) == 200)
            }
        }

        @Test func answersAreTheSameAloneAndBesideOthers() async throws {
            try await withServer { server async throws in
                func text(_ index: Int) async throws -> String {
                    let answer = try await server.ask(
                        "POST", "/v1/completions",
                        [
                            "prompt": .string("Canary \(index):"), "max_tokens": 12, "temperature": 1,
                            "seed": .integer(index), "ignore_eos": true,
                        ])
                    return try #require(answer.json["choices"]?[0]?["text"]?.stringValue)
                }
                var alone: [String] = []
                for index in 0..<8 { alone.append(try await text(index)) }
                let together = try await withThrowingTaskGroup(of: (Int, String).self) { group in
                    for index in 0..<8 { group.addTask { (index, try await text(index)) } }
                    return try await group.reduce(into: Array(repeating: "", count: 8)) { $0[$1.0] = $1.1 }
                }
                #expect(together == alone && Set(alone).count > 4)
            }
        }

        @Test func drainingTakesNoMoreAndEndsWhatIsLeftWithAnError() async throws {
            try await withServer { server async throws in
                let socket = try Socket(port: server.port)
                socket.send(TestServer.request("POST", "/v1/completions", endless(stream: true)))
                _ = await socket.readAll(seconds: 120) { $0.count > 400 }
                server.service.drain()
                #expect(try await server.ask("GET", "/ready").status == 503)
                #expect(try await server.ask("GET", "/health").status == 200)
                let refused = try await server.ask("POST", "/v1/completions", endless(stream: false))
                #expect(refused.status == 503 && refused.headers["retry-after"] != nil)
                await server.server.stop(after: 0)
                let rest = String(decoding: await socket.readAll(seconds: 120), as: UTF8.self)
                socket.close()
                #expect(rest.contains("\"error\"") || rest.contains("finish_reason\":\"length"))
            }
        }

        @Test func manyConnectionsLeaveNothingBehind() async throws {
            try await withServer { server async throws in
                for _ in 0..<40 { _ = try await server.ask("GET", "/health") }
                try await server.until { server.server.connectionCount == 0 }
                let metrics = try await server.ask("GET", "/metrics")
                let text = String(decoding: metrics.body, as: UTF8.self)
                #expect(text.contains("martlet:http_requests_total{route=\"/health\",status=\"200\"} 40"))
                #expect(text.contains("martlet:time_to_first_token_seconds_bucket{le=\"+Inf\"} 0"))
            }
        }
    }
#endif
