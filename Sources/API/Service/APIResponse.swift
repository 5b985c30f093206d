import MartletJSON

/// An answer: whole, or written piece by piece.
package struct APIResponse: Sendable {
    /// A sink, which takes the next bytes of a stream; suspends while the client reads slowly, and throws when it has
    /// gone.
    package typealias Sink = ([UInt8]) async throws -> Void

    /// The body of an answer.
    package enum Body: Sendable {
        case whole([UInt8])
        case stream(@Sendable (Sink) async throws -> Void)
    }

    package var status: Int
    package var headers: [(name: String, value: String)]
    package var body: Body

    init(status: Int = 200, type: String, _ body: Body) {
        (self.status, self.body) = (status, body)
        headers = [("content-type", type)]
    }

    init(_ json: JSON, status: Int = 200) {
        self.init(status: status, type: "application/json", .whole(json.serialized()))
    }

    package init(_ error: APIError) {
        self.init(error.body, status: error.status)
        headers += error.headers
    }

    /// Server-sent events.
    static func events(_ write: @escaping @Sendable (Sink) async throws -> Void) -> APIResponse {
        var response = APIResponse(type: "text/event-stream; charset=utf-8", .stream(write))
        response.headers += [("cache-control", "no-cache"), ("x-accel-buffering", "no")]
        return response
    }
}
