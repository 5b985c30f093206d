/// The special tokens, those with a role in generation, as far as the files name them.
public struct SpecialTokens: Sendable, Equatable {
    /// The beginning-of-sequence token (BOS), which begins a text (`<s>`; `[CLS]` has a role of its own).
    public var beginning: Int32?
    /// The end-of-sequence tokens (EOS), any of which ends a text; the first is the main one.
    public var ends: [Int32] = []
    /// The unknown token, which stands for what the vocabulary cannot spell.
    public var unknown: Int32?
    /// The padding token, which fills texts up to one length.
    public var padding: Int32?
    /// The separator token, which stands between texts and behind them (`[SEP]`).
    public var separator: Int32?
    /// The classifier token, which stands before a text that is classified (`[CLS]`).
    public var classifier: Int32?
    /// The mask token, which stands for a token that is to be guessed.
    public var mask: Int32?

    /// No special tokens.
    public init() {}
}
