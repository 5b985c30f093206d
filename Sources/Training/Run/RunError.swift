/// A run that cannot begin or go on.
public struct RunError: Error, CustomStringConvertible, Equatable {
    public let description: String
    package init(_ description: String) { self.description = description }
}
