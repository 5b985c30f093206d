import Martlet
package import MartletJSON

/// The limits of a service: what it takes on, and for how long.
package struct ServiceLimits: Sendable, Equatable {
    /// The maximum number of requests that are answered or wait at once; more are refused with 429.
    package var requests = 256
    /// The maximum number of prompt tokens of the requests that are answered or wait at once.
    package var queuedTokens = 1 << 18
    package var bodyBytes = 16 << 20
    /// The maximum number of texts of one request to embed, classify, rank.
    package var textsPerRequest = 2_048
    package var requestSeconds = 600
    /// The maximum number of models that are loaded at once; nil for any number.
    package var loadedModels: Int?
    /// The seconds of silence on a stream after which a comment goes out.
    package var pingSeconds = 15
    package var connections = 1_024
    package var idleSeconds = 30
    package var headerBytes = 64 << 10
    package var headerFields = 128
    /// The seconds that a body may take, and a second more for each 64 KB.
    package var bodySeconds = 30

    package init() {}
}

/// The settings of a service: who may ask, and what is written about it.
package struct ServiceSettings: Sendable {
    package var limits = ServiceLimits()
    /// The API keys; when empty, everybody who reaches the server may ask.
    package var keys = KeyRing()
    /// Names besides 127.0.0.1, localhost and [::1] that a Host field may hold; checked only where no keys are asked
    /// for.
    package var hostNames: [String] = []
    /// The pages of other origins that may ask.
    package var origins: [String] = []
    /// The closure that takes each line of the log.
    package var log: @Sendable (JSON) -> Void = { _ in }
    /// The closure that takes each answered generation, request and answer, for `martlet verify`.
    package var answerLog: (@Sendable (JSON) -> Void)?

    package init() {}

    /// An origin as browsers send it: scheme, host and perhaps a port, in lower case; nil for what no browser sends.
    package static func origin(_ text: String) -> String? {
        let text = text.lowercased()
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")), colon > text.startIndex else { return nil }
        let (scheme, rest) = (text[..<colon], text[colon...])
        guard rest.utf8.starts(with: "://".utf8) else { return nil }
        let host = rest.utf8.dropFirst(3)
        let isName = host.allSatisfy {
            RequestIdentity.isWord($0) || [UInt8(ascii: ":"), UInt8(ascii: "["), UInt8(ascii: "]")].contains($0)
        }
        guard !host.isEmpty, isName, scheme.utf8.allSatisfy({ RequestIdentity.isWord($0) }) else { return nil }
        return text
    }
}

/// The keys that open a service, compared without an early end.
package struct KeyRing: Sendable, Equatable {
    private let keys: [[UInt8]]

    package init(_ keys: [String] = []) { self.keys = keys.map { Array($0.utf8) }.filter { !$0.isEmpty } }

    /// Reads a key ring, one key per line; blank lines and those that begin with # are passed over.
    package init(file text: String) {
        self.init(
            text.split(whereSeparator: \.isNewline).map { line in
                String(decoding: line.utf8.drop { CallParser.isBlank($0) }, as: UTF8.self)
            }.map { line in
                var bytes = Array(line.utf8)
                while let last = bytes.last, CallParser.isBlank(last) { bytes.removeLast() }
                return String(decoding: bytes, as: UTF8.self)
            }.filter { !$0.isEmpty && !$0.utf8.starts(with: "#".utf8) })
    }

    package var isEmpty: Bool { keys.isEmpty }

    /// The number of the key that `given` is; nil for none. Takes as long for a wrong key as for a right one of its
    /// length.
    package func number(of given: String) -> Int? {
        let given = Array(given.utf8)
        var found: Int?
        for (number, key) in keys.enumerated() {
            var difference = key.count ^ given.count
            for index in given.indices { difference |= Int(given[index] ^ key[index % key.count]) }
            if difference == 0 { found = number }
        }
        return found
    }
}
