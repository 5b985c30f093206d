#if Server
    import Martlet
    import MartletAPI
    import MartletFormats
    import MartletGeneration
    import MartletJSON
    import MartletPlatform
    import MartletServingHTTP
    import MartletTokenizers
    import Synchronization
    import Testing

    /// The model that ships, with a chat template of its own, loaded once for all tests.
    enum FixtureModel {
        static let template = """
            {% for m in messages %}{{ m.role }}: {{ m.content }}
            {% endfor %}{% if tools %}<tool_call>{% endif %}{% if add_generation_prompt %}assistant:{% endif %}
            """

        /// The one that all tests share.
        static let model = Task { try await load() }

        /// One with an engine of its own, for tests that hold it or count what waits, and for those of other settings.
        ///
        /// - Parameter template: of its chats; nil for a model without.
        static func load(
            template: String? = template, _ change: (inout ServedModel.Settings) -> Void = { _ in }
        ) async throws -> ServedModel {
            let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
            let shipped = try GGUF(contentsOf: "/\(root)/Sources/CShippedModel/english.gguf")
            var metadata = shipped.metadata
            metadata["tokenizer.chat_template"] = template.map { .string($0) }
            let path = "/tmp/martlet-serving-\(getpid())-\(UInt64.random(in: 0...UInt64.max)).gguf"
            try GGUF.write(
                shipped.tensors.names.map { name in
                    guard let stored = shipped.tensors[name] else {
                        throw FileError(path: path, operation: "read", reason: name)
                    }
                    return (name, try stored.tensor())
                }, metadata: metadata, to: path)
            defer { unsafe unlink(path) }
            var settings = ServedModel.Settings(threads: 1)
            settings.slots = 4
            change(&settings)
            return try await ServedModel.load(name: "fixture", path: path, settings)
        }
    }

    /// A server on a free port of the loopback interface while `body` runs.
    func withServer<Result: Sendable>(
        _ change: (inout ServiceSettings) -> Void = { _ in }, model: ServedModel? = nil,
        _ body: @Sendable @escaping (TestServer) async throws -> Result
    ) async throws -> Result {
        var settings = ServiceSettings()
        change(&settings)
        let service = ModelService(settings)
        if let model { service.add(model) } else { service.add(try await FixtureModel.model.value) }
        let server = HTTPServer(service, host: "127.0.0.1", port: 0)
        let (ports, sender) = AsyncStream<Int>.makeStream()
        let run = Task { try await server.run { sender.yield($0) } }
        var port = 0
        for await given in ports {
            port = given
            break
        }
        do {
            let result = try await body(TestServer(service: service, server: server, port: port))
            await server.stop(after: 0.2)
            try await run.value
            return result
        } catch {
            await server.stop(after: 0)
            try? await run.value
            throw error
        }
    }

    struct TestServer: Sendable {
        let service: ModelService
        let server: HTTPServer
        let port: Int

        /// Sends one request and reads the answer until the connection closes.
        func ask(
            _ method: String, _ path: String, _ body: JSON? = nil, headers: [String] = []
        ) async throws -> Answer {
            let socket = try Socket(port: port)
            defer { socket.close() }
            socket.send(TestServer.request(method, path, body, headers: headers + ["Connection: close"]))
            return try await Answer(socket.readAll(seconds: 120))
        }

        static func request(_ method: String, _ path: String, _ body: JSON?, headers: [String] = []) -> [UInt8] {
            let bytes = body?.serialized() ?? []
            var lines = ["\(method) \(path) HTTP/1.1", "Host: 127.0.0.1"] + headers
            if body != nil { lines += ["Content-Type: application/json", "Content-Length: \(bytes.count)"] }
            return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + bytes
        }

        /// Waits until nothing is being answered; false after two minutes.
        func isIdle() async -> Bool {
            (try? await until { service.metrics.counts.inFlight == 0 && load.isIdle }) != nil
        }

        /// Waits for a state, two minutes at the most.
        func until(_ isReached: () -> Bool) async throws {
            let end = ContinuousClock.now + .seconds(120)
            while !isReached() {
                try #require(ContinuousClock.now < end, "\(load) \(service.metrics.counts)")
                try await Task.sleep(for: .milliseconds(2))
            }
        }

        /// Runs `body` while the engine's thread is held: whatever is sent meanwhile waits.
        func whileNothingIsComputed(_ body: () async throws -> Void) async throws {
            guard case .text(let model, _)? = service.models.first?.work else { return try await body() }
            let gate = Gate()
            let held = Task(executorPreference: model.engine) { gate.hold() }
            try await until { gate.isHeld }
            do { try await body() } catch {
                gate.open()
                throw error
            }
            gate.open()
            await held.value
        }

        var load: EngineLoad { service.models.first?.load ?? EngineLoad(running: 0, waiting: 0) }
    }

    extension ServedModel {
        /// The load of a decoder's engine; nothing for other models.
        var load: EngineLoad {
            guard case .text(_, let engine) = work else { return EngineLoad(running: 0, waiting: 0) }
            return engine.load
        }
    }

    /// Holds a thread until it is opened.
    final class Gate: Sendable {
        private let state = Mutex((isHeld: false, isOpen: false))

        var isHeld: Bool { state.withLock { $0.isHeld } }
        func open() { state.withLock { $0.isOpen = true } }

        func hold() {
            state.withLock { $0.isHeld = true }
            while !state.withLock({ $0.isOpen }) { usleep(1_000) }
        }
    }

    /// An HTTP answer in parts.
    struct Answer {
        let status: Int
        let headers: [String: String]
        let body: [UInt8]

        init(_ bytes: [UInt8]) throws {
            let text = String(decoding: bytes, as: UTF8.self)
            let separator = Array("\r\n\r\n".utf8)
            let end = try #require(bytes.indices.first { bytes[$0...].starts(with: separator) }, "no head in \(text)")
            let lines = String(decoding: bytes[..<end], as: UTF8.self).split(separator: "\r\n").map(String.init)
            status = try #require(Int(lines[0].split(separator: " ")[1]))
            var headers: [String: String] = [:]
            for line in lines.dropFirst() {
                let parts = line.split(separator: ":", maxSplits: 1)
                headers[parts[0].lowercased()] = String(parts[1].drop { $0 == " " })
            }
            self.headers = headers
            let rest = Array(bytes[(end + 4)...])
            body = headers["transfer-encoding"] == "chunked" ? Answer.joined(rest) : rest
        }

        private static func joined(_ chunked: [UInt8]) -> [UInt8] {
            var (body, rest): ([UInt8], ArraySlice<UInt8>) = ([], chunked[...])
            while let end = rest.firstIndex(of: 0x0D),
                let count = Int(String(decoding: rest[..<end], as: UTF8.self), radix: 16), count > 0
            {
                body += rest.dropFirst(end + 2 - rest.startIndex).prefix(count)
                rest = rest.dropFirst(end + 2 - rest.startIndex + count + 2)
            }
            return body
        }

        var json: JSON { (try? JSON(parsing: body)) ?? .null }

        /// The objects of the events; the end mark is null.
        var events: [JSON] {
            String(decoding: body, as: UTF8.self).split(separator: "\n").filter { $0.hasPrefix("data: ") }.map {
                (try? JSON(parsing: String($0.dropFirst(6)))) ?? .null
            }
        }

        var error: JSON? { json["error"] }
    }

    /// A TCP connection to a port of this machine.
    final class Socket: Sendable {
        let descriptor: Int32

        init(port: Int) throws {
            descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = in_port_t(port).bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            let size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let code = unsafe withUnsafePointer(to: &address) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe connect(descriptor, $0, size)
                }
            }
            guard code == 0 else {
                throw FileError(path: "127.0.0.1:\(port)", operation: "connect", code: errno)
            }
        }

        func send(_ bytes: [UInt8]) {
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = unsafe rest.withUnsafeBytes {
                    unsafe Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
                guard count > 0 else { return }
                rest = rest.dropFirst(count)
            }
        }

        func send(_ text: String) { send(Array(text.utf8)) }

        /// The bytes that come until the other side closes, or until `isEnough`.
        func readAll(seconds: Double, until isEnough: ([UInt8]) -> Bool = { _ in false }) async -> [UInt8] {
            var bytes: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            let end = ContinuousClock.now + .seconds(seconds)
            while ContinuousClock.now < end, !isEnough(bytes) {
                let count = unsafe buffer.withUnsafeMutableBytes {
                    unsafe recv(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT))
                }
                if count == 0 { break }
                if count > 0 {
                    bytes += buffer[..<count]
                } else if errno == EAGAIN {
                    try? await Task.sleep(for: .milliseconds(2))
                } else {
                    break
                }
            }
            return bytes
        }

        /// True where something can be read.
        var hasAnswer: Bool {
            var byte: UInt8 = 0
            return unsafe recv(descriptor, &byte, 1, Int32(MSG_DONTWAIT | MSG_PEEK)) > 0
        }

        /// True where the other side closes within `seconds`.
        func closes(within seconds: Double) async -> Bool {
            let end = ContinuousClock.now + .seconds(seconds)
            _ = await readAll(seconds: seconds)
            return ContinuousClock.now < end
        }

        func close() { Glibc.close(descriptor) }

        /// Ends the connection by a reset.
        func reset() {
            var option = linger(l_onoff: 1, l_linger: 0)
            unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
            close()
        }
    }
#endif
