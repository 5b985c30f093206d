@_exported public import protocol MartletPlatform.MartletError

/// A model that cannot be fetched, and why.
public struct HubError: MartletError, Equatable {
    /// The cause: what was asked of the hub or the cache, and what came of it.
    public let cause: String
    /// The remedy, where one is known.
    public let remedy: String?

    init(_ cause: String, remedy: String? = nil) { (self.cause, self.remedy) = (cause, remedy) }
}
