@_exported public import protocol MartletPlatform.MartletError

/// Data that cannot be trained on: what is wrong, where, and what to do.
public struct DataError: MartletError, Equatable {
    /// The cause: what was found, and where.
    public let cause: String
    /// The remedy, where one is known.
    public let remedy: String?

    package init(_ cause: String, remedy: String? = nil) { (self.cause, self.remedy) = (cause, remedy) }
}
