// MartletServingHTTP: the API over HTTP/1.1. The only target that knows Hummingbird and NIO, and empty without the
// package trait `Server`.

#if Server
    import Hummingbird
    import HummingbirdCore
    import Logging
    package import MartletAPI
    import MartletPlatform
    import NIOCore
    import NIOPosix
    import ServiceLifecycle
    import Synchronization

    /// An HTTP server, a service behind a port. Installs no signal handler.
    package final class HTTPServer: Sendable {
        private let service: ModelService
        private let host: String
        private let port: Int
        private let connections = Connections()
        private let group = Mutex<ServiceGroup?>(nil)

        /// - Parameter port: 0 takes a free one.
        package init(_ service: ModelService, host: String, port: Int) {
            (self.service, self.host, self.port) = (service, host, port)
        }

        /// Serves until it is told to stop.
        ///
        /// - Parameter started: Called with the port once requests are taken.
        /// - Throws: when the address cannot be had.
        package func run(started: @escaping @Sendable (Int) -> Void) async throws {
            let limits = service.settings.limits
            let loops = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            var channel = HTTP1Channel.Configuration(
                additionalChannelHandlers: [ConnectionHandler(self.connections, limits)],
                idleTimeout: .seconds(Int64(limits.idleSeconds)))
            channel.httpDecoder = .init(
                maxHeaderFieldSize: limits.headerBytes, maxHeaderListSize: limits.headerBytes,
                maxHeaderFieldCount: limits.headerFields)
            let logger = Logger(label: "martlet") { _ in SwiftLogNoOpLogHandler() }
            let application = Application(
                responder: RequestHandler(service: service, connections: connections),
                server: .http1(configuration: channel),
                configuration: .init(
                    address: .hostname(host, port: port), backlog: 1_024,
                    availableConnectionsDelegate: MaximumAvailableConnections(limits.connections, logger: logger)),
                onServerRunning: { channel in started(channel.localAddress?.port ?? 0) },
                eventLoopGroupProvider: .shared(loops), logger: logger)
            let group = ServiceGroup(
                configuration: .init(services: [application], gracefulShutdownSignals: [], logger: logger))
            self.group.withLock { $0 = group }
            do {
                try await group.run()
            } catch {
                try? await loops.shutdownGracefully()
                guard let error = error as? IOError else { throw error }
                throw FileError(path: "\(host):\(port)", operation: "listen there", code: error.errnoCode)
            }
            await lastAnswers()
            try? await loops.shutdownGracefully()
        }

        /// Waits for those who still write to connections that have closed, two seconds at the most: an event loop that
        /// has stopped takes nothing from them.
        private func lastAnswers() async {
            for _ in 0..<200 where connections.answering.load(ordering: .relaxed) > 0 {
                try? await Task.sleep(for: .milliseconds(10))
            }
        }

        /// Drains and stops: takes no more work, waits for what is being answered, ends what is left after `seconds`
        /// with an error.
        package func stop(after seconds: Double) async {
            service.drain()
            let end = ContinuousClock.now + .seconds(seconds)
            while service.metrics.counts.inFlight > 0, ContinuousClock.now < end {
                guard (try? await Task.sleep(for: .milliseconds(20))) != nil else { break }
            }
            connections.cancelAll(
                APIError(status: 503, .unavailable, "The server stops.", code: "draining", retryAfter: 5))
            await group.withLock { $0 }?.triggerGracefulShutdown()
        }

        /// The number of open connections.
        package var connectionCount: Int { connections.count }
    }
#endif
