import MartletPlatform

/// HTTP requests, each made by a `curl` of its own.
///
/// curl brings what a client of the open network needs and is kept well by others: TLS with the system's certificates,
/// proxies, redirects that take no token to other hosts. Settings go through its standard input, where no other user
/// of the machine sees a token.
struct HubTransfer {
    let settings: HubSettings

    /// The variables of the environment that curl sees.
    private static let variables = [
        "PATH", "HOME", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "http_proxy",
        "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY",
    ]

    /// The end of a request.
    struct Answer {
        /// curl's exit code.
        let code: Int32
        /// The HTTP status; 0 where none came.
        let status: Int
        let body: [UInt8]
        let message: String

        /// True where the same request may succeed later: dropped connections, time-outs, servers that are busy.
        var isPassing: Bool {
            [5, 6, 7, 16, 18, 28, 35, 52, 55, 56, 92].contains(code) || status == 408 || status == 429 || status >= 500
        }
        /// True where the server gives no part of a file from this offset.
        var refusesRange: Bool { code == 33 || status == 416 }
    }

    /// The body of `url`, a document of at most `limit` bytes.
    func document(_ url: String, limit: Int = 1 << 26) throws(HubError) -> Answer {
        try run(url, ["write-out = \"\\n%{http_code}\""], limit: limit)
    }

    /// Fetches `url` from `offset` on behind what `path` holds.
    ///
    /// - Parameter watch: called a few times a second.
    func append(_ url: String, to path: String, from offset: Int, watch: () -> Void) throws(HubError) -> Answer {
        var lines = ["write-out = \"\\n%{http_code}\"", "output = \(HubTransfer.quoted(path))"]
        if offset > 0 { lines.append("continue-at = \(offset)") }
        return try run(url, lines, limit: 4_096, watch: watch)
    }

    private func run(
        _ url: String, _ further: [String], limit: Int, watch: () -> Void = {}
    ) throws(HubError) -> Answer {
        // Who begins with TLS stays with it.
        let protocols = url.hasPrefix("https:") ? "\"=https\"" : "\"=http,https\""
        var lines = [
            "url = \(HubTransfer.quoted(url))", "silent", "show-error", "fail", "location", "max-redirs = 10",
            "proto = \(protocols)", "proto-redir = \(protocols)", "connect-timeout = 15", "speed-limit = 1",
            "speed-time = 30", "user-agent = \"martlet\"",
        ]
        if let token = settings.token {
            lines.append("header = \(HubTransfer.quoted("Authorization: Bearer \(token)"))")
        }
        let input = Array((lines + further).joined(separator: "\n").utf8) + [10]
        let child: ChildProcess
        do {
            child = try ChildProcess.run(
                "curl", ["-q", "--config", "-"], seeing: HubTransfer.variables, input: input, limit: limit,
                watch: watch)
        } catch {
            throw HubError(error.cause, remedy: "Install curl (apt-get install curl), which fetches models")
        }
        let end = child.output.lastIndex(of: 10) ?? child.output.startIndex
        return Answer(
            code: child.status, status: Int(String(decoding: child.output[end...].dropFirst(), as: UTF8.self)) ?? 0,
            body: Array(child.output[..<end]),
            message: String(decoding: child.errors.prefix(400).filter { $0 >= 32 }, as: UTF8.self))
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars where scalar.value >= 32 {
            if scalar == "\"" || scalar == "\\" { result.unicodeScalars.append("\\") }
            result.unicodeScalars.append(scalar)
        }
        return result + "\""
    }

    /// The error that an answer other than a success means.
    func refusal(_ answer: Answer, of what: String) -> HubError {
        switch answer.status {
        case 401, 403:
            HubError(
                "\(what): the hub gives it only to those who may have it (HTTP \(answer.status))",
                remedy: settings.token == nil
                    ? "Accept its terms on its page, and give a token in HF_TOKEN"
                    : "Accept its terms on its page; the token in use does not reach it")
        case 404: HubError("\(what): \(settings.endpoint) has no such model, revision or file (HTTP 404)")
        case 400...: HubError("\(what): \(settings.endpoint) answers HTTP \(answer.status)")
        default:
            HubError(
                "\(what): \(answer.message.isEmpty ? "curl ends with code \(answer.code)" : answer.message)",
                remedy: answer.code == 47 ? nil : "What was fetched is kept: the same command goes on where this ended")
        }
    }
}
