// MartletAPI: requests of OpenAI's, Anthropic's and Ollama's shapes to answers: fields read and checked, prompts
// rendered, answers streamed.
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
    /// The time after which to come again, in whole seconds (`Retry-After`).
    package var retryAfter: Int?
    /// The methods that the address takes, where the request's is none of them.
    package var methods: [String]

    package init(
        status: Int, _ kind: Kind, _ message: String, parameter: String? = nil, code: String? = nil,
        retryAfter: Int? = nil, methods: [String] = []
    ) {
        (self.status, self.kind, self.message) = (status, kind, message)
        (self.parameter, self.code, self.retryAfter, self.methods) = (parameter, code, retryAfter, methods)
    }

    package var description: String { message }

    /// The header fields that tell a client what to do about it.
    var headers: [(name: String, value: String)] {
        var headers: [(name: String, value: String)] = []
        if let retryAfter { headers.append(("retry-after", "\(retryAfter)")) }
        if !methods.isEmpty { headers.append(("allow", methods.joined(separator: ", "))) }
        // A browser then asks for a name and a password, which is the key.
        if status == 401 { headers.append(("www-authenticate", "Basic realm=\"martlet\", charset=\"UTF-8\"")) }
        // The same work would fail, or take too long, again: OpenAI's clients would send it twice more.
        if status == 500 || status == 504 { headers.append(("x-should-retry", "false")) }
        return headers
    }

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

    /// A prompt whose keys and values have no room beside an answer's, with both numbers.
    static func memoryExceeded(prompt: Int, longest: Int, _ parameter: String) -> APIError {
        .invalid(
            "The prompt has \(prompt) tokens, but keys and values have memory for \(longest) (--kv-memory); shorten it "
                + "by at least \(prompt - longest + 1).", parameter, code: "context_length_exceeded")
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
