@_exported public import protocol MartletPlatform.MartletError

/// A run that cannot begin or go on.
public struct RunError: MartletError, Equatable {
    /// The cause: what was found, and where.
    public let cause: String
    /// The remedy, where one is known.
    public let remedy: String?

    package init(_ cause: String, remedy: String? = nil) { (self.cause, self.remedy) = (cause, remedy) }
}
