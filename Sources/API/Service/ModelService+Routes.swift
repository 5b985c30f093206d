import MartletJSON

// The routes of requests: found, and what is told where there is none.
extension ModelService {
    /// The route of a request, or the methods that its address takes.
    func find(_ request: APIRequest) -> (route: Route?, remainder: String, methods: [String]) {
        var methods: [String] = request.path.hasSameBytes(as: "*") ? ["GET", "HEAD", "POST"] : []
        for route in routes {
            let isPrefix = route.path.utf8.last == UInt8(ascii: "/") && route.path.utf8.count > 1
            guard
                isPrefix
                    ? request.path.utf8.starts(with: route.path.utf8) && request.path.utf8.count > route.path.utf8.count
                    : request.path.hasSameBytes(as: route.path)
            else { continue }
            let own = route.method == "GET" ? ["GET", "HEAD"] : [route.method]
            if own.contains(request.method) {
                let remainder = request.path.utf8.dropFirst(route.path.utf8.count)
                return (route, isPrefix ? RequestPath.decoded(String(decoding: remainder, as: UTF8.self)) : "", own)
            }
            methods += own.filter { !methods.contains($0) }
        }
        guard request.method == "OPTIONS", !methods.isEmpty else { return (nil, "", methods) }
        let known = methods
        return (Route("OPTIONS", "OPTIONS") { _ in ModelService.answer(methods: known) }, "", methods)
    }

    /// The answer to a question for an address's methods (RFC 9110, section 9.3.7).
    private static func answer(methods: [String]) -> APIResponse {
        var response = APIResponse(status: 204, type: "text/plain", .whole([]))
        response.headers.append(("allow", methods.joined(separator: ", ")))
        return response
    }

    func missing(_ request: APIRequest, _ methods: [String]) -> APIError {
        guard methods.isEmpty else {
            return APIError(
                status: 405, .invalidRequest,
                "\(request.path) does not take \(request.method), but \(methods.joined(separator: ", ")).",
                code: "method_not_allowed", methods: methods)
        }
        let path = Array(request.path.utf8)
        // Clients have a base address with a part too few or too many.
        let near = routes.map(\.path).filter { $0.utf8.count > 4 && $0.utf8.last != UInt8(ascii: "/") }
            .first {
                $0.utf8.suffix(path.count).elementsEqual(path) || path.suffix($0.utf8.count).elementsEqual($0.utf8)
            }
        return .notFound(
            "There is nothing at \(request.path.shortened)" + (near.map { "; \($0) is served." } ?? "."),
            code: "not_found")
    }
}
