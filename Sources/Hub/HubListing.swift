import MartletPlatform

/// The list of models in the cache.
package enum HubListing {
    /// A model of the cache.
    package struct Entry: Sendable {
        package let name: String
        /// The bytes of all its blobs.
        package let bytes: Int
        /// Branches and tags, with the commits that they mean.
        package let revisions: [(name: String, commit: String)]
        package let path: String
        /// True where a download of it has not ended.
        package let isPartial: Bool
    }

    /// The models in `cache`, by name.
    package static func entries(in cache: String) -> [Entry] {
        Folder.names(in: cache).compactMap { folder -> Entry? in
            guard folder.hasPrefix("models--") else { return nil }
            let name = folder.dropFirst("models--".count).replacing("--", with: "/")
            let path = "\(cache)/\(folder)"
            let blobs = Folder.names(in: path + "/blobs")
            let revisions = references(path + "/refs", prefix: "")
            return Entry(
                name: String(name), bytes: blobs.reduce(0) { $0 + (Folder.size(of: "\(path)/blobs/\($1)") ?? 0) },
                revisions: revisions, path: path, isPartial: blobs.contains { $0.hasSuffix(".incomplete") })
        }
    }

    private static func references(_ folder: String, prefix: String) -> [(name: String, commit: String)] {
        Folder.names(in: folder).flatMap { name -> [(name: String, commit: String)] in
            let path = "\(folder)/\(name)"
            guard Folder.isFile(path) else {
                return prefix.utf8.count < 64 ? references(path, prefix: "\(prefix)\(name)/") : []
            }
            let bytes = (try? fileBytes(path, limit: 256)) ?? []
            return [(prefix + name, String(decoding: bytes.filter { $0 > 32 }, as: UTF8.self))]
        }
    }

    /// The path of the model in the cache: the snapshot of its branch `main`, or the GGUF in it that is meant; nil
    /// where it is not there.
    package static func location(of name: HubName, in cache: String) -> String? {
        let folder = HubFolder(cache, name)
        guard let commit = folder.commit(of: "main") else { return nil }
        let snapshot = folder.snapshot(commit)
        guard fileExists(snapshot) else { return nil }
        let packed = Folder.names(in: snapshot).filter { $0.hasSuffix(".gguf") && !HubSelection.isProjector($0) }
        if let selection = name.selection {
            if fileExists("\(snapshot)/\(selection)") { return "\(snapshot)/\(selection)" }
            return HubSelection.file(selection, among: packed).map { "\(snapshot)/\($0)" }
        }
        guard !fileExists(snapshot + "/config.json"), !packed.isEmpty else { return snapshot }
        let usual = HubSelection.usual.lazy.compactMap { HubSelection.file($0, among: packed) }.first
        return "\(snapshot)/\(usual ?? packed[0])"
    }

    /// Takes a model out of the cache, with everything that belongs to it.
    ///
    /// - Returns: the bytes that are free again.
    /// - Throws: ``HubError`` where it is not there, or cannot be taken away.
    package static func remove(_ name: HubName, from cache: String) throws(HubError) -> Int {
        let path = "\(cache)/\(name.folder)"
        guard let entry = entries(in: cache).first(where: { $0.path == path }) else {
            throw HubError("\(name): it is not in the cache \(cache)", remedy: "martlet list shows what is")
        }
        // The names that readers begin with go first, so that nobody finds half of it.
        for part in ["refs", "snapshots", "blobs", ""] { removeAll("\(path)/\(part)", depth: 0) }
        removeAll("\(cache)/.locks/\(name.folder)", depth: 0)
        guard !fileExists(path) else { throw HubError("\(name): \(path) cannot be taken away whole") }
        return entry.bytes
    }

    /// Removes a folder and what is in it; links are removed, not followed.
    private static func removeAll(_ path: String, depth: Int) {
        for name in Folder.names(in: path) {
            let inner = "\(path)/\(name)"
            if unsafe unlink(inner) != 0, depth < 16 { removeAll(inner, depth: depth + 1) }
        }
        unsafe rmdir(path)
    }
}
