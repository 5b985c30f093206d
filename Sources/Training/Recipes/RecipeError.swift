@_exported public import protocol MartletPlatform.MartletError

/// The error of a recipe, with everything in it that is missing, wrong or not known.
public struct RecipeError: MartletError, Equatable {
    /// The recipe.
    public let path: String
    /// The offences, one per cause, each naming its key.
    public let offences: [String]

    package init(_ path: String, _ offences: [String]) { (self.path, self.offences) = (path, offences) }

    /// The cause: what was found, and where.
    public var cause: String { "\(path): cannot use this recipe: \(offences.joined(separator: "; "))" }
}
