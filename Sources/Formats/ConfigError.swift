@_exported public import protocol MartletPlatform.MartletError

/// The error of a model's settings, with everything in them that is missing, wrong or not understood.
public struct ConfigError: MartletError, Equatable {
    /// The path of the settings file, or where else the settings came from.
    public let path: String
    /// The offences, one per cause, each naming its key.
    public let offences: [String]

    /// Settings at `path` with these offences.
    public init(path: String, offences: [String]) {
        (self.path, self.offences) = (path, offences)
    }

    /// The cause: what was found, and where.
    public var cause: String { "\(path): cannot use these settings: \(offences.joined(separator: "; "))" }
}
