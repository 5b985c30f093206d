#if Server
    import HTTPTypes
    import Hummingbird
    import HummingbirdCore
    import MartletAPI
    import NIOCore
    import Synchronization

    /// What Hummingbird gives along with a request: the channel that it came by.
    struct ServerContext: InitializableFromSource {
        let channel: any Channel

        init(source: ApplicationRequestContextSource) { channel = source.channel }
    }

    /// Between Hummingbird and the API: reads a request within its limits, and writes the answer.
    struct RequestHandler: HTTPResponder {
        let service: ModelService
        let connections: Connections

        func respond(to request: Request, context: ServerContext) async throws -> Response {
            let cancellation = Cancellation()
            let connection = connections[context.channel]
            // A connection that closed before its request was looked at.
            if let connection { connection.begin(cancellation) } else { cancellation.cancel() }
            let watchdog = closing(context.channel, after: service.settings.limits.requestSeconds + 30)
            connections.answering.add(1, ordering: .relaxed)
            let ended = Ending { [connections] in
                watchdog.cancel()
                connection?.end()
                connections.answering.subtract(1, ordering: .relaxed)
            }
            do {
                let body = try await body(of: request, context.channel)
                let answer = await service.respond(to: asked(request, body, cancellation))
                return response(answer, isHead: request.method == .head, ended: ended)
            } catch let error as APIError {
                ended()
                return refusal(error, context.channel)
            } catch {
                ended()
                throw error
            }
        }

        private func asked(_ request: Request, _ body: [UInt8], _ cancellation: Cancellation) -> APIRequest {
            var headers: [String: String] = [:]
            for field in request.headers { headers[field.name.canonicalName] = field.value }
            if let authority = request.head.authority { headers["host"] = authority }
            let path = request.head.path ?? "/"
            let end = path.utf8.firstIndex(of: UInt8(ascii: "?")) ?? path.endIndex
            return APIRequest(
                method: request.method.rawValue, path: String(path[..<end]), headers: headers, body: body,
                cancellation: cancellation)
        }

        /// The whole body, within the limits of size and time.
        ///
        /// - Throws: ``APIError`` for one that is too long, and when the connection closes.
        private func body(of request: Request, _ channel: any Channel) async throws -> [UInt8] {
            let limits = service.settings.limits
            let announced = request.headers[.contentLength].flatMap { Int($0) } ?? 0
            guard announced <= limits.bodyBytes else { throw tooLong }
            let deadline = closing(channel, after: limits.bodySeconds + limits.bodyBytes / (64 << 10))
            defer { deadline.cancel() }
            var bytes: [UInt8] = []
            bytes.reserveCapacity(announced)
            for try await part in request.body {
                guard bytes.count + part.readableBytes <= limits.bodyBytes else { throw tooLong }
                bytes.append(contentsOf: part.readableBytesView)
            }
            return bytes
        }

        private var tooLong: APIError {
            APIError(
                status: 413, .invalidRequest, "The body is over \(service.settings.limits.bodyBytes) bytes.",
                code: "body_too_large")
        }

        /// Closes a channel later, unless it is cancelled before.
        private func closing(_ channel: any Channel, after seconds: Int) -> Scheduled<Void> {
            channel.eventLoop.scheduleTask(in: .seconds(Int64(seconds))) { channel.close(promise: nil) }
        }

        private func response(_ answer: APIResponse, isHead: Bool, ended: Ending) -> Response {
            var fields = HTTPFields()
            for (name, value) in answer.headers {
                if let name = HTTPField.Name(name) { fields.append(HTTPField(name: name, value: value)) }
            }
            let status = HTTPResponse.Status(code: answer.status)
            switch answer.body {
            case .whole(let bytes):
                ended()
                fields[.contentLength] = "\(bytes.count)"
                return Response(
                    status: status, headers: fields,
                    body: isHead ? .init() : .init(byteBuffer: ByteBuffer(bytes: bytes)))
            case .stream(let write):
                return Response(
                    status: status, headers: fields,
                    body: ResponseBody { writer in
                        defer { ended() }
                        // One task writes, piece after piece: nobody else has the writer meanwhile.
                        nonisolated(unsafe) var output = writer
                        try await write { bytes in
                            if !bytes.isEmpty { try await unsafe output.write(ByteBuffer(bytes: bytes)) }
                        }
                        try await writer.finish(nil)
                    })
            }
        }

        /// An answer to a request that was not read to its end: the connection closes, with a second for the client to
        /// read it.
        private func refusal(_ error: APIError, _ channel: any Channel) -> Response {
            var response = response(APIResponse(error), isHead: false, ended: Ending {})
            response.headers[.connection] = "close"
            _ = closing(channel, after: 1)
            return response
        }
    }
#endif
