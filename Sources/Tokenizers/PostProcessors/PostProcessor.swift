/// The fourth stage: the tokens of one text or two, with the tokens that mark their structure.
protocol PostProcessor: Sendable {
    /// The number of tokens that ``process(_:addingSpecialTokens:)`` adds to one text, or to two.
    func addedTokens(isPair: Bool) -> Int

    /// - Parameters:
    ///   - encodings: The tokens of each text, one or two, of type 0.
    ///   - addsSpecialTokens: Whether the marking tokens are wanted.
    /// - Returns: As many encodings; they stand one after the other in the end.
    func process(_ encodings: [Encoding], addingSpecialTokens addsSpecialTokens: Bool, _ context: PostProcessorContext)
        -> [Encoding]
}

/// The context of a post-processor: what it may ask about the text.
struct PostProcessorContext {
    /// The token of an id as an encoding shows it, given which text it stands in and the stretch that it stands for.
    let token: (_ id: Int32, _ sequence: Int32, _ stretch: ArraySlice<UInt8>) -> [UInt8]
    /// The texts, in which offsets lie.
    let texts: [[UInt8]]
}

/// The post-processor where there is none: the second text has type 1.
struct PlainPostProcessor: PostProcessor {
    func addedTokens(isPair: Bool) -> Int { 0 }

    func process(_ encodings: [Encoding], addingSpecialTokens: Bool, _ context: PostProcessorContext) -> [Encoding] {
        encodings.enumerated().map { index, encoding in
            var encoding = encoding
            encoding.setTypeID(Int32(index))
            return encoding
        }
    }
}
