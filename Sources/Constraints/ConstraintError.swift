public import MartletPlatform

/// A grammar, expression or schema that cannot constrain a text, with the place of the offence and what to do instead.
public struct ConstraintError: MartletError, Hashable {
    /// The place of the offence: a JSON pointer into a schema (`/properties/a/allOf`), or a line or offset of a text.
    public let place: String
    private let offence: String
    private let advice: String

    init(place: String, cause: String, remedy: String) { (self.place, offence, advice) = (place, cause, remedy) }

    /// The cause: what was found, and where.
    public var cause: String { (place.isEmpty ? "" : place + ": ") + offence }
    /// The remedy, where one is known.
    public var remedy: String? { advice }

    /// This error at another place.
    func at(_ place: String) -> ConstraintError {
        ConstraintError(place: place, cause: cause, remedy: advice)
    }
}
