#if Server
    import HTTPTypes
    import MartletAPI
    import MartletJSON
    import NIOCore
    import NIOHTTP1
    import NIOHTTPTypes
    import NIOHTTPTypesHTTP1
    import Synchronization

    /// A client's connection: which request is being answered on it, and whether the client is still there.
    final class Connection: Sendable {
        private struct State {
            var isGone = false
            var current: Cancellation?
        }
        private let state = Mutex(State())

        /// A request begins to be answered; at once cancelled when the client has gone.
        func begin(_ cancellation: Cancellation) {
            let isGone = state.withLock { state in
                state.current = cancellation
                return state.isGone
            }
            if isGone { cancellation.cancel() }
        }

        func end() { state.withLock { $0.current = nil } }

        var isAnswering: Bool { state.withLock { $0.current != nil } }

        /// The client has gone: what is done for it ends.
        func gone() {
            state.withLock { state in
                state.isGone = true
                return state.current
            }?.cancel()
        }

        /// Ends what is being answered, with an error that the client is told.
        func cancel(_ reason: APIError) { state.withLock { $0.current }?.cancel(reason) }
    }

    /// The connections of a server, by their channels.
    final class Connections: Sendable {
        private let all = Mutex<[ObjectIdentifier: Connection]>([:])
        /// Requests that are being answered, whether or not their connections are still open.
        let answering = Atomic<Int>(0)
        /// Bytes of bodies that are held for requests which are being read or answered.
        let bodyBytes = Atomic<Int>(0)

        func open(_ channel: any Channel) -> Connection {
            let connection = Connection()
            all.withLock { $0[ObjectIdentifier(channel)] = connection }
            return connection
        }

        func close(_ channel: any Channel) { all.withLock { _ = $0.removeValue(forKey: ObjectIdentifier(channel)) } }

        /// The connection of a channel; nil once it is closed.
        subscript(channel: any Channel) -> Connection? { all.withLock { $0[ObjectIdentifier(channel)] } }

        func cancelAll(_ reason: APIError) {
            for connection in all.withLock({ Array($0.values) }) { connection.cancel(reason) }
        }

        var count: Int { all.withLock { $0.count } }
    }

    /// A handler that watches a channel: it notices a client that leaves while it is being answered (Hummingbird does
    /// not by itself), answers `Expect: 100-continue`, and answers heads that break the limits with a body that says
    /// so.
    ///
    /// A client that closes its side and waits for the answer is taken for gone, as other servers do.
    final class ConnectionHandler: ChannelInboundHandler, RemovableChannelHandler {
        typealias InboundIn = HTTPRequestPart
        typealias InboundOut = HTTPRequestPart
        typealias OutboundOut = HTTPResponsePart

        private let connections: Connections
        private let limits: ServiceLimits
        private var connection: Connection?

        init(_ connections: Connections, _ limits: ServiceLimits) {
            (self.connections, self.limits) = (connections, limits)
        }

        func handlerAdded(context: ChannelHandlerContext) {
            connection = connections.open(context.channel)
            let pipeline = context.pipeline.syncOperations
            guard let codec = try? pipeline.handler(type: HTTP1ToHTTPServerCodec.self) else { return }
            try? pipeline.addHandler(HeadHandler(), position: .before(codec))
        }

        func channelInactive(context: ChannelHandlerContext) {
            connection?.gone()
            connections.close(context.channel)
            context.fireChannelInactive()
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case .inputClosed? = event as? ChannelEvent { connection?.gone() }
            context.fireUserInboundEventTriggered(event)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            if case .head(let head) = unwrapInboundIn(data), head.headerFields[.expect]?.lowercased() == "100-continue",
                (head.headerFields[.contentLength].flatMap { Int($0) } ?? 0) <= limits.bodyBytes
            {
                context.writeAndFlush(wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
            }
            context.fireChannelRead(data)
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            guard let error = error as? HTTPParserError else { return context.fireErrorCaught(error) }
            guard connection?.isAnswering == false else { return context.close(promise: nil) }
            write(error == .headerOverflow ? headerOverflow : badRequest(error), context)
        }

        private var headerOverflow: APIError {
            APIError(
                status: 431, .invalidRequest,
                "The header is over \(limits.headerBytes) bytes or \(limits.headerFields) fields.",
                code: "header_too_large")
        }

        private func badRequest(_ error: HTTPParserError) -> APIError {
            let reason =
                switch error {
                // What the preface of HTTP/2 does to the parser, and the first bytes of TLS.
                case .paused: "HTTP/2 is not spoken here"
                case .invalidMethod: "\(error); a client that means https must be told http"
                default: "\(error)"
                }
            return APIError(
                status: 400, .invalidRequest, "The request is not HTTP/1.1: \(reason).", code: "bad_request")
        }

        /// Answers and closes.
        private func write(_ error: APIError, _ context: ChannelHandlerContext) {
            let body = ByteBuffer(bytes: error.body.serialized())
            let fields: HTTPFields = [
                .contentType: "application/json", .contentLength: "\(body.readableBytes)", .connection: "close",
            ]
            let head = HTTPResponse(status: .init(code: error.status), headerFields: fields)
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            context.write(wrapOutboundOut(.body(body)), promise: nil)
            let channel = context.channel
            context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in channel.close(promise: nil) }
        }
    }
#endif
