/// The identity of requests and answers: names that can stand in a log.
enum RequestIdentity {
    /// The id of a request: what the client calls it, as far as that can stand in a log; else 24 random letters.
    static func id(_ request: APIRequest) -> String {
        guard let given = request.headers["x-request-id"], (1...64).contains(given.utf8.count),
            given.utf8.allSatisfy({ isWord($0) })
        else { return random() }
        return given
    }

    static func random() -> String {
        let digits = Array("abcdefghijklmnopqrstuvwxyz0123456789".utf8)
        return String(decoding: (0..<24).map { _ in digits[Int.random(in: 0..<digits.count)] }, as: UTF8.self)
    }

    /// True for letters, digits, `-`, `_` and `.`.
    static func isWord(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x2D
            || byte == 0x5F || byte == 0x2E
    }
}
