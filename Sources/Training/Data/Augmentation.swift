package import MartletTensors

/// Data augmentation, changes to what a model reads that leave what it must predict as it is, so that it leans less on
/// any one token.
///
/// For encoder-decoders the text read by the encoder is changed, for all others only tokens that keep their place
/// (masking), as each row there has a target of its own.
package struct Augmentation: Sendable, Hashable, Codable {
    /// The probability that a token is replaced by `maskToken`.
    package var masking = 0.0
    package var maskToken: Int32?
    /// The probability that a token is left out (Iyyer et al. 2015); encoder side only.
    package var dropping = 0.0
    /// Tokens move by less than this many places (Lample et al. 2018); encoder side only. 0 moves none.
    package var shuffling = 0

    package init() {}

    /// True where nothing is changed.
    package var isNothing: Bool { masking == 0 && dropping == 0 && shuffling == 0 }

    /// Changes what an example's model reads.
    package func apply(_ example: inout Example, _ random: inout Random) {
        if example.decoderTokens != nil {
            if dropping > 0 { drop(&example.tokens, &random) }
            if shuffling > 0 { shuffle(&example.tokens, &random) }
        }
        if masking > 0, let maskToken {
            for index in example.tokens.indices where random.uniform() < masking { example.tokens[index] = maskToken }
        }
    }

    /// The last token, the end of the text, stays; so does at least one other.
    private func drop(_ tokens: inout [Int32], _ random: inout Random) {
        guard tokens.count > 2, let last = tokens.last else { return }
        let kept = tokens.dropLast().filter { _ in random.uniform() >= dropping }
        tokens = (kept.isEmpty ? [tokens[0]] : kept) + [last]
    }

    /// Sorts by place plus a number from [0, shuffling): no token moves further than that. The last stays.
    private func shuffle(_ tokens: inout [Int32], _ random: inout Random) {
        guard tokens.count > 2, let last = tokens.last else { return }
        let keys = tokens.indices.dropLast().map { Double($0) + random.uniform() * Double(shuffling) }
        let order = keys.indices.sorted { (keys[$0], $0) < (keys[$1], $1) }
        tokens = order.map { tokens[$0] } + [last]
    }
}
