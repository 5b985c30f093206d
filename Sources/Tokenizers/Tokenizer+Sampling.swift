extension Tokenizer {
    /// The ids of one segmentation drawn at random, for training on many (subword regularisation): BPE-dropout for BPE
    /// (Provilkov et al. 2020), a draw by probability for Unigram (Kudo 2018). WordPiece and WordLevel have but one.
    ///
    /// ```swift
    /// var sampling = SubwordSampling(seed: 1, dropout: 0.1)
    /// let ids = try tokenizer.encode(text, sampling: &sampling)
    /// ```
    ///
    /// - Parameter sampling: The source of chance, which goes on with each call: the same seed and calls give the same
    ///   ids.
    /// - Throws: as ``encode(_:addSpecialTokens:parseSpecialTokens:)``.
    public func encode(
        _ text: String, sampling: inout SubwordSampling, addSpecialTokens: Bool = true, parseSpecialTokens: Bool = true
    ) throws(TokenizerError) -> [Int32] {
        try encoding(
            of: text, sampling: &sampling, addSpecialTokens: addSpecialTokens, parseSpecialTokens: parseSpecialTokens
        ).ids
    }

    /// The encoding of one segmentation drawn at random, of a text or of a pair of texts, with where each token came
    /// from.
    ///
    /// - Throws: as ``encoding(of:pair:addSpecialTokens:parseSpecialTokens:truncation:)``.
    public func encoding(
        of text: String, pair: String? = nil, sampling: inout SubwordSampling, addSpecialTokens: Bool = true,
        parseSpecialTokens: Bool = true, truncation: Truncation? = nil
    ) throws(TokenizerError) -> Encoding {
        var source: SubwordSampling? = sampling
        defer { if let source { sampling = source } }
        return try encoding(
            of: text, pair, addSpecialTokens, parseSpecialTokens ? .all : .none, truncation, &source)
    }
}
