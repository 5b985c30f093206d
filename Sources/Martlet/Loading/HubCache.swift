import MartletHub
import MartletPlatform

/// The folder where Hugging Face's tools keep downloaded models.
public enum HubCache {
    /// The cache's folder: `HF_HUB_CACHE`, else `HF_HOME`/hub, else `XDG_CACHE_HOME`/huggingface/hub, else
    /// ~/.cache/huggingface/hub.
    public static var folder: String { HubSettings().cache }

    /// The path of the model `org/name` in the cache, or of one file or quantization of it, `org/name:Q4_K_M`: a
    /// snapshot's folder, or a GGUF in it. Nil where it has none.
    public static func snapshot(of name: String, in folder: String = HubCache.folder) -> String? {
        (try? HubName(name)).flatMap { HubListing.location(of: $0, in: folder) }
    }

    /// The command that fetches the model, where `name` is one that a hub may have.
    static func remedy(for name: String) -> String? {
        (try? HubName(name)).map { _ in fetching + name }
    }

    private static let fetching = "Fetch it: martlet pull "

    /// The name of the model that `error` says is not here, where a hub may have it; nil for other errors.
    package static func missing(in error: any Error) -> String? {
        guard let remedy = (error as? any MartletError)?.remedy, remedy.hasPrefix(fetching) else { return nil }
        return String(remedy.dropFirst(fetching.count))
    }
}
