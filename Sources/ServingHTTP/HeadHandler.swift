#if Server
    import MartletAPI
    import MartletJSON
    import NIOCore
    import NIOHTTP1

    /// A handler for parts of a head that Hummingbird's form of it loses: a second Host field, which is refused (RFC
    /// 9112, section 3.2), and the version of the request. An answer in HTTP/1.0 is not chunked, and ends with the
    /// connection (section 6.1).
    final class HeadHandler: ChannelDuplexHandler, RemovableChannelHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias InboundOut = HTTPServerRequestPart
        typealias OutboundIn = HTTPServerResponsePart
        typealias OutboundOut = HTTPServerResponsePart

        /// True where the request is in HTTP/1.0 or older.
        private var isOld = false
        /// True where a request was refused here: what follows is not read.
        private var isRefused = false

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard !isRefused else { return }
            if case .head(let head) = unwrapInboundIn(data) {
                isOld = head.version.major < 1 || head.version == .http1_0
                if head.headers["host"].count > 1 { return refuse(context) }
            }
            context.fireChannelRead(data)
        }

        func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
            guard isOld else { return context.write(data, promise: promise) }
            switch unwrapOutboundIn(data) {
            case .head(var head) where head.status.code >= 200:
                head.version = .http1_0
                head.headers.remove(name: "transfer-encoding")
                head.headers.replaceOrAdd(name: "connection", value: "close")
                context.write(wrapOutboundOut(.head(head)), promise: promise)
            case .head: promise?.succeed()
            case .body: context.write(data, promise: promise)
            case .end:
                let channel = context.channel
                context.writeAndFlush(data).whenComplete { result in
                    promise?.completeWith(result)
                    channel.close(promise: nil)
                }
            }
        }

        private func refuse(_ context: ChannelHandlerContext) {
            isRefused = true
            let error = APIError(status: 400, .invalidRequest, "The request has two Host fields.", code: "bad_request")
            let body = ByteBuffer(bytes: error.body.serialized())
            let fields: HTTPHeaders = [
                "content-type": "application/json", "content-length": "\(body.readableBytes)", "connection": "close",
            ]
            let head = HTTPResponseHead(version: .http1_1, status: .badRequest, headers: fields)
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
            let channel = context.channel
            context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in channel.close(promise: nil) }
        }
    }
#endif
