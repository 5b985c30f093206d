/// A token that is found in the text before the pipeline runs, with the rules of where it may stand.
public struct AddedToken: Sendable, Equatable {
    /// The text that it is found by, as UTF-8 bytes.
    public var content: [UInt8]
    /// Its number.
    public var id: Int32
    /// Only where no word scalar stands next to it.
    public var isSingleWord = false
    /// Takes the blanks before it, or after it.
    public var stripsLeft = false
    /// Takes the blanks after it into the token.
    public var stripsRight = false
    /// Looked for in the normalized text rather than the text as given.
    public var isNormalized = false
    /// Marks the structure of the text (`<s>`, `[SEP]`); left out by a decoding that skips special tokens.
    public var isSpecial = false

    /// A token with the rules that the reference gives it by default.
    public init(
        content: [UInt8], id: Int32, isSingleWord: Bool = false, stripsLeft: Bool = false, stripsRight: Bool = false,
        isNormalized: Bool = false, isSpecial: Bool = false
    ) {
        (self.content, self.id, self.isSingleWord) = (content, id, isSingleWord)
        (self.stripsLeft, self.stripsRight) = (stripsLeft, stripsRight)
        (self.isNormalized, self.isSpecial) = (isNormalized, isSpecial)
    }

    /// The content as text.
    public var text: String { String(decoding: content, as: UTF8.self) }
}
