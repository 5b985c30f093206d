@_exported public import protocol MartletPlatform.MartletError

/// A task that cannot be done, with cause and remedy.
public struct TaskError: MartletError, Equatable {
    /// The cause: what was found, and where.
    public let cause: String
    /// The remedy, where one is known.
    public let remedy: String?

    package init(_ cause: String, remedy: String? = nil) { (self.cause, self.remedy) = (cause, remedy) }
}
