internal import MartletLayers

/// The workload of a model, what is asked of it at once: so many sequences of so many tokens.
package struct Workload: Sendable, Hashable {
    /// The number of sequences that are asked for at once.
    package var sequences: Int
    /// The number of tokens of one sequence: of the decoder's, where there is one, otherwise of the encoder's.
    package var tokens: Int
    /// The number of tokens of one source sequence of an encoder-decoder.
    package var sourceTokens: Int

    package init(sequences: Int = 1, tokens: Int, sourceTokens: Int? = nil) {
        (self.sequences, self.tokens, self.sourceTokens) = (sequences, tokens, sourceTokens ?? tokens)
    }
}

extension Blueprint {
    /// The number of rows of one sequence in the stack at `index`.
    func rows(ofStack index: Int, _ workload: Workload) -> Int {
        switch stacks[index].length {
        case .fixed(let rows): rows
        case .tokens:
            stacks[index].role == .encoder && hasDecoder ? workload.sourceTokens : workload.tokens
        }
    }

    /// The number of rows of one sequence that cross-attention reads.
    package func sourceRows(_ workload: Workload) -> Int {
        guard let encoder = stacks.firstIndex(where: { $0.role == .encoder }) else { return 0 }
        return rows(ofStack: encoder, workload)
    }

    package var hasDecoder: Bool { stacks.contains { $0.role == .decoder } }
    package var hasEncoder: Bool { stacks.contains { $0.role == .encoder } }
}
