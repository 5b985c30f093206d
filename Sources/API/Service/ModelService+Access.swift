import MartletJSON
import MartletTokenizers

/// Checks of a request's head: who may ask, and in which form.
extension ModelService {
    /// True where a request is refused whatever its body is: by its host, key, route, method or media type.
    package func refuses(head request: APIRequest) -> Bool {
        do throws(APIError) {
            try check(host: request)
            let found = find(request)
            if found.route?.isOpen != true { _ = try key(request) }
            guard found.route != nil else { return true }
            try checkBody(request)
            return false
        } catch {
            return true
        }
    }

    /// Refuses requests for other hosts, of pages of other origins.
    ///
    /// Without keys only requests to names of this machine are answered: a page whose name was made to point here is
    /// not one.
    func check(host request: APIRequest) throws(APIError) {
        if let origin = request.headers["origin"], !isOwn(origin, request), allowed(request) == nil {
            throw APIError(
                status: 403, .permission, "Pages of \(origin.quoted) may not ask this server; --origin allows them.",
                code: "origin_not_allowed")
        }
        guard settings.keys.isEmpty else { return }
        guard let host = request.headers["host"] else {
            throw .invalid("The request has no Host field.", nil, code: "host_missing")
        }
        let name = ModelService.name(ofHost: host)
        let known = ["127.0.0.1", "localhost", "[::1]"] + settings.hostNames
        guard known.contains(where: { $0.hasSameBytes(as: name) }) else {
            throw APIError(
                status: 403, .permission,
                "This server does not answer as \(name.quoted); --host-name allows it, and keys lift the check.",
                code: "host_not_allowed")
        }
    }

    /// A Host field without its port, in lower case.
    static func name(ofHost host: String) -> String {
        let host = host.lowercased()
        let end = host.utf8.lastIndex(of: UInt8(ascii: ":"))
        let bracket = host.utf8.lastIndex(of: UInt8(ascii: "]"))
        guard let end, bracket.map({ $0 < end }) ?? true else { return host }
        return String(host[..<end])
    }

    private func isOwn(_ origin: String, _ request: APIRequest) -> Bool {
        guard let host = request.headers["host"] else { return false }
        return ["http://", "https://"].contains { origin.hasSameBytes(as: $0 + host) }
    }

    /// The origin of a request's page, where it is one of those that may ask.
    func allowed(_ request: APIRequest) -> String? {
        guard let origin = request.headers["origin"] else { return nil }
        return settings.origins.contains { $0.hasSameBytes(as: origin) } ? origin : nil
    }

    /// The number of the key that a request came with: `Authorization: Bearer`, `x-api-key`, or the password of
    /// `Authorization: Basic`.
    func key(_ request: APIRequest) throws(APIError) -> Int? {
        guard !settings.keys.isEmpty else { return nil }
        let authorization = request.headers["authorization"] ?? ""
        var given: [String] = request.headers["x-api-key"].map { [$0] } ?? []
        if authorization.lowercased().utf8.starts(with: "bearer ".utf8) {
            given.append(String(authorization.dropFirst(7)))
        }
        if authorization.lowercased().utf8.starts(with: "basic ".utf8),
            let pair = Base64.decode(authorization.utf8.dropFirst(6)),
            let colon = pair.firstIndex(of: UInt8(ascii: ":"))
        {
            given.append(String(decoding: pair[(colon + 1)...], as: UTF8.self))
        }
        if let number = given.compactMap({ settings.keys.number(of: $0) }).first { return number }
        throw APIError(
            status: 401, .authentication,
            given.isEmpty ? "An API key is needed: Authorization: Bearer KEY." : "The API key is not known.",
            code: "invalid_api_key")
    }

    /// Refuses bodies in a coding or of a type that is not read.
    ///
    /// Ollama's clients name no type, or curl's: what is no JSON shows when it is read, and pages of other origins were
    /// refused before.
    func checkBody(_ request: APIRequest) throws(APIError) {
        guard request.method == "POST" else { return }
        let coding = request.headers["content-encoding"]?.lowercased() ?? "identity"
        guard coding == "identity" else {
            throw APIError(
                status: 415, .invalidRequest,
                "The body's content-encoding is \(coding.quoted), but bodies are read as they are: leave it out.",
                code: "unsupported_content_encoding")
        }
        let type = request.headers["content-type"]?.lowercased() ?? ""
        guard Dialect(request) == .ollama || type.utf8.starts(with: "application/json".utf8) else {
            throw APIError(
                status: 415, .invalidRequest,
                "The body's content-type is \(type.quoted), but application/json is expected.",
                code: "unsupported_media_type")
        }
    }

    /// The answer to a browser's preflight for an allowed origin: the page sends the header fields that it likes, as
    /// OpenAI's client does with `x-stainless-…`.
    static func preflight(_ origin: String, _ request: APIRequest) -> APIResponse {
        var response = APIResponse(status: 204, type: "text/plain", .whole([]))
        let asked = request.headers["access-control-request-headers"] ?? ""
        let isList = asked.utf8.allSatisfy { RequestIdentity.isWord($0) || $0 == UInt8(ascii: ",") || $0 == 0x20 }
        response.headers += [
            ("access-control-allow-origin", origin), ("access-control-allow-methods", "GET, POST"),
            (
                "access-control-allow-headers",
                isList && !asked.isEmpty ? asked : "authorization, content-type, x-api-key"
            ),
            ("access-control-max-age", "600"),
            ("vary", "Origin, Access-Control-Request-Headers"),
        ]
        return response
    }
}
