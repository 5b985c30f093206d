// MartletAPI: requests of OpenAI's and Ollama's shapes to answers: fields read and checked, prompts rendered, answers
// streamed.
//
// Knows no socket and no HTTP library: a request comes in as bytes, an answer goes out as bytes or as a stream of them.

package import MartletJSON

/// An error answer of the API: HTTP status and OpenAI's envelope, which names the offending field.
package struct APIError: Error, Sendable, Equatable, CustomStringConvertible {
    /// `error.type`, as OpenAI spells it.
    package enum Kind: String, Sendable {
        case invalidRequest = "invalid_request_error"
        case authentication = "authentication_error"
        case permission = "permission_error"
        case rateLimit = "rate_limit_error"
        case server = "server_error"
        case unavailable = "unavailable_error"
    }

    package var status: Int
    package var kind: Kind
    package var message: String
    /// The field that is wrong: `messages[2].content`.
    package var parameter: String?
    package var code: String?
    /// When to come again, in whole seconds.
    package var retryAfter: Int?

    package init(
        status: Int, _ kind: Kind, _ message: String, parameter: String? = nil, code: String? = nil,
        retryAfter: Int? = nil
    ) {
        (self.status, self.kind, self.message) = (status, kind, message)
        (self.parameter, self.code, self.retryAfter) = (parameter, code, retryAfter)
    }

    package var description: String { message }

    /// `{"error": {"message", "type", "param", "code"}}`, all four keys always.
    package var body: JSON {
        [
            "error": [
                "message": .string(message), "type": .string(kind.rawValue),
                "param": parameter.map { .string($0) } ?? .null, "code": code.map { .string($0) } ?? .null,
            ]
        ]
    }
}

extension APIError {
    /// A field with a value that cannot be meant.
    static func invalid(_ message: String, _ parameter: String?, code: String? = nil) -> APIError {
        APIError(status: 400, .invalidRequest, message, parameter: parameter, code: code)
    }

    /// A field or value that is known and not served here.
    static func unsupported(_ message: String, _ parameter: String) -> APIError {
        .invalid(message, parameter, code: "unsupported_value")
    }

    static func notFound(_ message: String, code: String, parameter: String? = nil) -> APIError {
        APIError(status: 404, .invalidRequest, message, parameter: parameter, code: code)
    }

    /// A prompt that leaves no room for an answer, with both numbers.
    static func contextExceeded(prompt: Int, context: Int, _ parameter: String) -> APIError {
        .invalid(
            "The prompt has \(prompt) tokens, but the model's context is \(context); shorten it by at least "
                + "\(prompt - context + 1).", parameter, code: "context_length_exceeded")
    }

    /// A server that is about to stop, or not ready yet.
    static func unavailable(_ message: String, code: String, retryAfter: Int) -> APIError {
        APIError(status: 503, .unavailable, message, code: code, retryAfter: retryAfter)
    }

    /// A queue that is full.
    package static func overloaded(_ message: String, retryAfter: Int) -> APIError {
        APIError(status: 429, .rateLimit, message, code: "rate_limit_exceeded", retryAfter: retryAfter)
    }

    /// The time that a request may take is over.
    static func timedOut(seconds: Int) -> APIError {
        APIError(status: 504, .server, "The answer was not complete after \(seconds) s; ask for less.", code: "timeout")
    }
}
