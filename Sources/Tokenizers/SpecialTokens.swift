/// The tokens with a role in generation, as far as the files name them.
public struct SpecialTokens: Sendable, Equatable {
    public var beginning: Int32?
    /// Any of these ends a text; the first is the main one.
    public var ends: [Int32] = []
    public var unknown: Int32?
    public var padding: Int32?
    public var separator: Int32?
    public var classifier: Int32?
    public var mask: Int32?

    public init() {}
}
