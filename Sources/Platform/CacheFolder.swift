/// Martlet's folder in the user's cache, for what costs only time to make again.
package enum CacheFolder {
    /// `XDG_CACHE_HOME`/martlet, else ~/.cache/martlet; nil where there is no home folder.
    package static var path: String? {
        let cache = Environment["XDG_CACHE_HOME"] ?? Environment["HOME"].map { $0 + "/.cache" }
        return cache.map { $0 + "/martlet" }
    }
}
