#if Server
    import HTTPTypes
    import Hummingbird
    import HummingbirdCore
    import MartletAPI
    import NIOCore
    import Synchronization

    /// The context that Hummingbird gives along with a request: the channel that it came by.
    struct ServerContext: InitializableFromSource {
        let channel: any Channel

        init(source: ApplicationRequestContextSource) { channel = source.channel }
    }

    /// A request handler between Hummingbird and the API: reads a request within its limits, and writes the answer.
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
            let held = HeldBytes(connections, limit: service.settings.limits.bodyBytes * RequestHandler.heldBodies)
            let ended = Ending { [connections] in
                watchdog.cancel()
                held.release()
                connection?.end()
                connections.answering.subtract(1, ordering: .relaxed)
            }
            do {
                let head = asked(request, [], cancellation)
                if isLong(request), service.refuses(head: head) {
                    let answer = await service.respond(to: head)
                    ended()
                    return closed(response(answer, isHead: false, ended: Ending {}), context.channel)
                }
                let body = try await body(of: request, context.channel, held)
                let asked = asked(request, body, cancellation)
                let answer = await withTaskExecutorPreference(request.method == .post ? WorkExecutor.shared : nil) {
                    await service.respond(to: asked)
                }
                return response(answer, isHead: request.method == .head, ended: ended)
            } catch let error as APIError {
                ended()
                let answer = service.answer(error, to: asked(request, [], cancellation))
                return closed(response(answer, isHead: false, ended: Ending {}), context.channel)
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

        /// The number of bodies of the largest size that are held at a time, over all connections.
        private static let heldBodies = 16

        /// True where the body is long, or may be: then the head is looked at before it is read.
        private func isLong(_ request: Request) -> Bool {
            guard let announced = request.headers[.contentLength].flatMap({ Int($0) }) else {
                return request.method == .post
            }
            return announced > 64 << 10
        }

        /// The whole body, within the limits of size and time.
        ///
        /// - Throws: ``APIError`` for one that is too long, for more than is held of all bodies together, and when the
        ///   connection closes.
        private func body(
            of request: Request, _ channel: any Channel, _ held: HeldBytes
        ) async throws -> [UInt8] {
            let limits = service.settings.limits
            let announced = request.headers[.contentLength].flatMap { Int($0) }
            guard announced ?? 0 <= limits.bodyBytes else { throw tooLong }
            let longest = announced ?? limits.bodyBytes
            let deadline = closing(channel, after: limits.bodySeconds + longest / (64 << 10))
            defer { deadline.cancel() }
            var bytes: [UInt8] = []
            for try await part in request.body {
                guard bytes.count + part.readableBytes <= limits.bodyBytes else { throw tooLong }
                guard held.take(part.readableBytes) else {
                    throw APIError.overloaded("Bodies of other requests fill the memory for them.", retryAfter: 1)
                }
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
        private func closed(_ answer: Response, _ channel: any Channel) -> Response {
            var answer = answer
            answer.headers[.connection] = "close"
            _ = closing(channel, after: 1)
            return answer
        }
    }

    /// The bytes of one request's body in the count of all connections.
    private final class HeldBytes: Sendable {
        private let connections: Connections
        private let limit: Int
        private let own = Atomic<Int>(0)

        init(_ connections: Connections, limit: Int) { (self.connections, self.limit) = (connections, limit) }

        /// - Returns: False where all bodies together would be over the limit.
        func take(_ count: Int) -> Bool {
            let total = connections.bodyBytes.add(count, ordering: .relaxed).newValue
            own.add(count, ordering: .relaxed)
            return total <= limit
        }

        func release() {
            connections.bodyBytes.subtract(own.exchange(0, ordering: .relaxed), ordering: .relaxed)
        }
    }
#endif
