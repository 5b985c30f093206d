import Martlet
package import MartletJSON

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
