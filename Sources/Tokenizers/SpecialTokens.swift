/// The tokens with a role in generation, as far as the files name them.
public struct SpecialTokens: Sendable, Equatable {
    /// Begins a text (`<s>`, `[CLS]` has a role of its own).
    public var beginning: Int32?
    /// Any of these ends a text; the first is the main one.
    public var ends: [Int32] = []
    /// Stands for what the vocabulary cannot spell.
    public var unknown: Int32?
    /// Fills texts up to one length.
    public var padding: Int32?
    /// Stands between texts and behind them (`[SEP]`).
    public var separator: Int32?
    /// Stands before a text that is classified (`[CLS]`).
    public var classifier: Int32?
    /// Stands for a token that is to be guessed.
    public var mask: Int32?

    /// No special tokens.
    public init() {}
}
