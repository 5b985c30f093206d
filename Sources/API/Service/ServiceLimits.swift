/// The limits of a service: what it takes on, and for how long.
package struct ServiceLimits: Sendable, Equatable {
    /// The maximum number of requests that are answered or wait at once; more are refused with 429.
    package var requests = 256
    /// The maximum number of prompt tokens of the requests that are answered or wait at once.
    package var queuedTokens = 1 << 18
    /// The maximum size of a request's body in bytes.
    package var bodyBytes = 16 << 20
    /// The maximum number of texts of one request to embed, classify, rank.
    package var textsPerRequest = 2_048
    /// The maximum time of one answer in seconds.
    package var requestSeconds = 600
    /// The maximum number of models that are loaded at once; nil for any number.
    package var loadedModels: Int?
    /// The seconds of silence on a stream after which a comment goes out.
    package var pingSeconds = 15
    /// The maximum number of open connections.
    package var connections = 1_024
    /// The seconds after which a connection without a request is closed.
    package var idleSeconds = 30
    /// The maximum size of a request's header in bytes.
    package var headerBytes = 64 << 10
    /// The maximum number of fields of a header.
    package var headerFields = 128
    /// The seconds that a body may take, and a second more for each 64 KB.
    package var bodySeconds = 30

    package init() {}
}
