import MartletPlatform

/// The settings of the hub and its cache, as the environment says them: the variables of Hugging Face's tools.
package struct HubSettings: Sendable {
    /// The hub's address, `HF_ENDPOINT`, else https://huggingface.co.
    package var endpoint: String
    /// The access token, `HF_TOKEN`, else what the token file holds; nil without either.
    package var token: String?
    /// The cache's folder: `HF_HUB_CACHE`, else `HF_HOME`/hub, else `XDG_CACHE_HOME`/huggingface/hub, else
    /// ~/.cache/huggingface/hub.
    package var cache: String
    /// The offline mode, `HF_HUB_OFFLINE`: no connection is made.
    package var isOffline: Bool
    /// The delay after the first failure without progress; doubled after each further one.
    package var delay: Duration = .seconds(1)

    package init(endpoint: String, token: String?, cache: String, isOffline: Bool = false) {
        (self.endpoint, self.token, self.cache, self.isOffline) = (endpoint, token, cache, isOffline)
    }

    /// The settings that the environment says.
    package init() {
        let home =
            Environment["HF_HOME"]
            ?? (Environment["XDG_CACHE_HOME"] ?? (Environment["HOME"] ?? "") + "/.cache")
            + "/huggingface"
        var address = Environment["HF_ENDPOINT"] ?? "https://huggingface.co"
        while address.hasSuffix("/") { address.removeLast() }
        endpoint = address
        cache = Environment["HF_HUB_CACHE"] ?? home + "/hub"
        let file = Environment["HF_TOKEN_PATH"] ?? home + "/token"
        let stored = try? fileBytes(file, limit: 4_096).filter { $0 > 32 && $0 < 127 }
        token =
            Environment["HF_TOKEN"]
            ?? stored.flatMap { $0.isEmpty ? nil : String(decoding: $0, as: UTF8.self) }
        let offline = Environment["HF_HUB_OFFLINE"]?.uppercased() ?? ""
        isOffline = ["1", "ON", "YES", "TRUE"].contains(offline)
    }
}

/// A model by its name on the hub: `org/name`, or one file or quantization of it, `org/name:Q4_K_M`.
package struct HubName: Sendable, Hashable, CustomStringConvertible {
    package let organization, model: String
    /// The selection behind the colon.
    package let selection: String?

    /// - Throws: ``HubError`` for anything that is no such name.
    package init(_ text: String) throws(HubError) {
        let halves = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let parts = halves[0].split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, parts.allSatisfy(HubName.isName), halves.count == 1 || !halves[1].isEmpty else {
            throw HubError("\"\(text)\" is no name of a model on the hub: ORG/NAME, or ORG/NAME:FILE-OR-QUANTIZATION")
        }
        (organization, model, selection) = (parts[0], parts[1], halves.count == 2 ? halves[1] : nil)
    }

    private static func isName(_ part: String) -> Bool {
        let known = { (byte: UInt8) in
            (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
                || "-_.".utf8.contains(byte)
        }
        return !part.isEmpty && part.utf8.count <= 96 && part.utf8.allSatisfy(known) && !part.hasPrefix(".")
            && !part.hasPrefix("-") && !part.contains("--") && !part.contains("..")
    }

    package var description: String { "\(organization)/\(model)" }
    /// The folder of the cache.
    package var folder: String { "models--\(organization)--\(model)" }
}
