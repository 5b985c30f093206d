/// Data that cannot be trained on: what is wrong, where, and what to do.
public struct DataError: Error, CustomStringConvertible, Equatable {
    public let description: String
    package init(_ description: String) { self.description = description }
}
