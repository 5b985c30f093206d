@_exported public import protocol MartletPlatform.MartletError

/// Everything in a recipe that is missing, wrong or not known.
public struct RecipeError: MartletError, Equatable {
    /// The recipe.
    public let path: String
    /// One per cause, each naming its key.
    public let offences: [String]

    package init(_ path: String, _ offences: [String]) { (self.path, self.offences) = (path, offences) }

    /// The cause: what was found, and where.
    public var cause: String { "\(path): cannot use this recipe: \(offences.joined(separator: "; "))" }
}
