import MartletJSON

/// The dialect of a request: whose clients send it, and so in which envelope an error is told.
enum Dialect {
    case openAI
    case anthropic
    case ollama

    init(_ request: APIRequest) { self.init(path: request.path) }

    init(path: String) {
        let path = path.utf8
        if path.starts(with: "/api/".utf8) {
            self = .ollama
        } else {
            self = path.starts(with: "/v1/messages".utf8) ? .anthropic : .openAI
        }
    }

    /// The answer that tells of an error.
    func answer(_ error: APIError, requestID: String) -> APIResponse {
        var response = APIResponse(error)
        response.body = .whole(body(error, requestID: requestID).serialized())
        return response
    }

    /// The envelope of an error.
    func body(_ error: APIError, requestID: String) -> JSON {
        switch self {
        case .openAI: error.body
        case .ollama: ["error": .string(error.message)]
        case .anthropic:
            [
                "type": "error", "request_id": .string(requestID),
                "error": ["type": .string(Dialect.anthropicType(error)), "message": .string(Dialect.named(error))],
            ]
        }
    }

    /// The message of an error in Anthropic's envelope, which has no field for the offending parameter: it begins with
    /// that. Clients tell a conversation that is too long, which they shorten, by the words.
    private static func named(_ error: APIError) -> String {
        if error.code == "context_length_exceeded" { return "prompt is too long: " + error.message }
        guard let parameter = error.parameter, !error.message.contains(parameter) else { return error.message }
        return "\(parameter): \(error.message)"
    }

    /// `error.type`, as Anthropic spells it.
    private static func anthropicType(_ error: APIError) -> String {
        switch error.status {
        case 401: "authentication_error"
        case 403: "permission_error"
        case 404: "not_found_error"
        case 413: "request_too_large"
        case 429: "rate_limit_error"
        case 503: "overloaded_error"
        case 504: "timeout_error"
        case 500...: "api_error"
        default: "invalid_request_error"
        }
    }
}
