@_exported public import protocol MartletPlatform.MartletError

/// A model that cannot be fetched, and why.
public struct HubError: MartletError, Equatable {
    public let cause: String
    public let remedy: String?

    init(_ cause: String, remedy: String? = nil) { (self.cause, self.remedy) = (cause, remedy) }
}
