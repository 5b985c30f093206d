/// Martlet's folder in the user's cache, for what costs only time to make again.
package enum CacheFolder {
    /// `XDG_CACHE_HOME`/martlet, else ~/.cache/martlet; nil where there is no home folder.
    package static var path: String? {
        func variable(_ name: String) -> String? {
            guard let value = unsafe getenv(name), unsafe value.pointee != 0 else { return nil }
            return unsafe String(cString: value)
        }
        let cache = variable("XDG_CACHE_HOME") ?? variable("HOME").map { $0 + "/.cache" }
        return cache.map { $0 + "/martlet" }
    }
}
