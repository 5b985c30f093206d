/// An added token, found in the text before the pipeline runs, with the rules of where it may stand.
public struct AddedToken: Sendable, Equatable {
    /// The text that it is found by, as UTF-8 bytes.
    public var content: [UInt8]
    /// The token id.
    public var id: Int32
    /// True for a token that counts only where no word scalar stands next to it.
    public var isSingleWord = false
    /// True for a token that takes in the blanks before it.
    public var stripsLeft = false
    /// True for a token that takes in the blanks after it.
    public var stripsRight = false
    /// True for a token that is looked for in the normalized text rather than the text as given.
    public var isNormalized = false
    /// True for a special token, which marks the structure of the text (`<s>`, `[SEP]`) and which a decoding that skips
    /// special tokens leaves out.
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
