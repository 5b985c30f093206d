public import MartletPlatform

/// A model that cannot be used, and why.
public struct ModelError: MartletError, Equatable {
    /// The cause: what was found, and where.
    public let cause: String
    /// The remedy, where one is known.
    public let remedy: String?

    package init(_ cause: String, remedy: String? = nil) { (self.cause, self.remedy) = (cause, remedy) }
}
