#if Server
    import MartletAPI
    import MartletJSON
    import Synchronization

    /// A service with one model, asked without a socket.
    struct TestService: Sendable {
        let service: ModelService
        /// The lines that were logged.
        let lines = Lines()
        /// The answers that were kept.
        let answers = Lines()

        init(_ model: ServedModel? = nil, _ change: (inout ServiceSettings) -> Void = { _ in }) async throws {
            var settings = ServiceSettings()
            settings.log = { [lines] in lines.add($0) }
            settings.answerLog = { [answers] in answers.add($0) }
            change(&settings)
            service = ModelService(settings)
            if let model { service.add(model) } else { service.add(try await FixtureModel.model.value) }
        }

        /// Asks, and reads the answer to its end.
        func ask(
            _ path: String, _ body: JSON? = nil, method: String = "POST",
            headers: [String: String] = ["content-type": "application/json"]
        ) async throws -> ServiceAnswer {
            let answer = await service.respond(
                to: APIRequest(
                    method: method, path: path, headers: headers.merging(["host": "127.0.0.1"]) { given, _ in given },
                    body: body?.serialized() ?? []))
            var bytes: [UInt8] = []
            switch answer.body {
            case .whole(let whole): bytes = whole
            case .stream(let write): try await write { bytes += $0 }
            }
            return ServiceAnswer(status: answer.status, headers: answer.headers, body: bytes)
        }

        /// A streamed answer.
        func stream(_ path: String, _ body: JSON) async throws -> ServiceAnswer {
            var object = body.objectValue ?? JSONObject()
            object["stream"] = true
            return try await ask(path, .object(object))
        }

        /// The fields that were told to be ignored since the last look.
        func ignored() -> [String] {
            lines.take().filter { $0["event"] == "fields_ignored" }
                .flatMap { $0["fields"]?.arrayValue ?? [] }.compactMap(\.stringValue)
        }

        final class Lines: Sendable {
            private let lines = Mutex<[JSON]>([])

            func add(_ line: JSON) { lines.withLock { $0.append(line) } }
            func take() -> [JSON] {
                lines.withLock { lines in
                    defer { lines = [] }
                    return lines
                }
            }
        }
    }

    /// An answer without a socket.
    struct ServiceAnswer {
        let status: Int
        let headers: [(name: String, value: String)]
        let body: [UInt8]

        var json: JSON { (try? JSON(parsing: body)) ?? .null }

        /// The objects of a stream, of events or of lines; what is no JSON is passed over.
        var objects: [JSON] {
            String(decoding: body, as: UTF8.self).split(separator: "\n").compactMap { line in
                try? JSON(parsing: line.hasPrefix("data: ") ? String(line.dropFirst(6)) : String(line))
            }
        }

        subscript(header: String) -> String? { headers.first { $0.name == header }?.value }

        var parameter: String? { json["error"]?["param"]?.stringValue }
        var code: String? { json["error"]?["code"]?.stringValue }
        /// The message of an error in either envelope.
        var message: String { (json["error"]?["message"] ?? json["error"])?.stringValue ?? "" }
    }
#endif
