#if Server
    import MartletAPI
    import MartletJSON
    import Testing

    /// Answers that a request's head alone decides.
    @Suite struct HeadTests {
        private static let stream: JSON = ["prompt": "The", "max_tokens": 3, "stream": true]

        private func answer(_ server: TestServer, _ head: [String], _ body: [UInt8] = []) async throws -> [UInt8] {
            let socket = try Socket(port: server.port)
            defer { socket.close() }
            socket.send(Array((head.joined(separator: "\r\n") + "\r\n\r\n").utf8) + body)
            return await socket.readAll(seconds: 120)
        }

        @Test func twoHostFieldsAreRefused() async throws {
            try await withServer { server async throws in
                let bytes = try await answer(
                    server, ["GET /v1/models HTTP/1.1", "Host: evil.example", "Host: 127.0.0.1"])
                #expect(try Answer(bytes).status == 400)
            }
        }

        /// An older client gets a text that ends with its connection, in no chunks.
        @Test func olderClients() async throws {
            try await withServer { server async throws in
                let body = HeadTests.stream.serialized()
                let bytes = try await answer(
                    server,
                    [
                        "POST /v1/completions HTTP/1.0", "Host: 127.0.0.1", "Content-Type: application/json",
                        "Content-Length: \(body.count)",
                    ], body)
                let answer = try Answer(bytes)
                #expect(String(decoding: bytes, as: UTF8.self).hasPrefix("HTTP/1.0 200"))
                #expect(answer.headers["transfer-encoding"] == nil && answer.headers["connection"] == "close")
                #expect(String(decoding: answer.body, as: UTF8.self).hasSuffix("data: [DONE]\n\n"))
            }
        }

        /// A long body is not waited for where it changes nothing.
        @Test(arguments: [
            ("POST /v1/completions", 401), ("POST /v1/nothing", 401), ("PUT /health", 401),
        ]) func longBodiesAreNotRead(request: String, status: Int) async throws {
            try await withServer({ $0.keys = KeyRing(file: "key-1\n") }) { server async throws in
                let bytes = try await answer(
                    server,
                    [
                        "\(request) HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json",
                        "Content-Length: 1000000",
                    ])
                let answer = try Answer(bytes)
                #expect(answer.status == status && answer.headers["connection"] == "close")
            }
        }
    }
#endif
