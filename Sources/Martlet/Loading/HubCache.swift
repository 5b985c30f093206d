import MartletPlatform
import MartletTensors

/// The folder where Hugging Face's tools keep downloaded models.
public enum HubCache {
    /// The cache's folder: `HF_HUB_CACHE`, else `HF_HOME`/hub, else `XDG_CACHE_HOME`/huggingface/hub, else
    /// ~/.cache/huggingface/hub.
    public static var folder: String {
        if let folder = variable("HF_HUB_CACHE") { return folder }
        if let home = variable("HF_HOME") { return home + "/hub" }
        return (variable("XDG_CACHE_HOME") ?? (variable("HOME") ?? "") + "/.cache") + "/huggingface/hub"
    }

    /// The snapshot of the model `org/name` that `refs/main` points to; nil where the cache has none.
    public static func snapshot(of name: String, in folder: String = HubCache.folder) -> String? {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty && !$0.hasPrefix(".") }) else { return nil }
        let model = "\(folder)/models--\(parts[0])--\(parts[1])"
        guard let reference = try? Storage(mapping: model + "/refs/main").contents, reference.count < 256 else {
            return nil
        }
        let commit = String(decoding: reference.filter { !" \t\r\n".utf8.contains($0) }, as: UTF8.self)
        let snapshot = "\(model)/snapshots/\(commit)"
        return commit.isEmpty || !fileExists(snapshot) ? nil : snapshot
    }

    private static func variable(_ name: String) -> String? {
        guard let value = unsafe getenv(name) else { return nil }
        let text = unsafe String(cString: value)
        return text.isEmpty ? nil : text
    }
}
