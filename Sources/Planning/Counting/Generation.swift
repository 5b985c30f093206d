internal import MartletLayers

extension OperationCount {
    /// The operations of a decode step, one more token of each sequence of a decoder, with `context` tokens in the
    /// cache once it is there.
    ///
    /// Keys and values of the source of an encoder-decoder are in the cache already; experts are those one token meets.
    /// With latent attention the up-projections are absorbed into query and output (arXiv:2405.04434 §2.1.2), so that
    /// scores and values are taken over the latent vectors.
    package func decode(context: Int, sequences: Int = 1, sourceTokens: Int = 0) -> Quantity {
        let perToken = decodeProducts + decodeScores(context: context, sourceTokens: sourceTokens)
        return Quantity(
            perToken * Count(sequences), .flop, .decode,
            [.init("context", context), .init("sequences", sequences)])
    }

    /// The share that does not depend on the context.
    private var decodeProducts: Count {
        func products(_ tensor: ParameterTensor) -> Count {
            switch tensor.use {
            case .multiplied(.own): 2 * tensor.elements
            case .routed where tensor.isMatrix: 2 * tensor.activeElements
            default: 0
            }
        }
        var total = head(rows: 1)
        for stack in blueprint.stacks where stack.role == .decoder {
            for layer in stack.layers {
                total += layer.tensors.reduce(0) { $0 + products($1) }
            }
        }
        return blueprint.embeddings.reduce(total) { $0 + products($1) }
    }

    private func decodeScores(context: Int, sourceTokens: Int) -> Count {
        var total: Count = 0
        for stack in blueprint.stacks where stack.role == .decoder {
            for layer in stack.layers {
                let reach = layer.attention.reach
                let keys = convention.attention == .fullSquare ? context : reach.seenKeys(tokens: context)
                total += 2 * Count(keys) * layer.attention.elementsPerCachedToken
                if let cross = layer.crossAttention { total += 2 * Count(sourceTokens) * cross.elementsPerPair }
            }
        }
        return total
    }

    /// The operations of prefill, reading a prompt: a pass over it, with logits of its last position only.
    package func prefill(_ workload: Workload) -> Quantity {
        var convention = convention
        convention.head = .lastPosition
        let forward = OperationCount(blueprint, convention: convention).forward(workload)
        return Quantity(forward.value, .flop, .prefill(convention), forward.inputs)
    }

    /// The operations of generation, of a prompt of `prompt` tokens and `generated` more, one after the other.
    package func generation(prompt: Int, generated: Int, sequences: Int = 1) -> Quantity {
        let first = prefill(Workload(sequences: sequences, tokens: prompt)).count ?? 0
        var rest = decodeProducts * Count(max(generated - 1, 0))
        for step in stride(from: 1, to: generated, by: 1) {
            rest += decodeScores(context: prompt + step, sourceTokens: 0)
        }
        return Quantity(
            first + rest * Count(sequences), .flop, .generation,
            [.init("prompt", prompt), .init("generated", generated), .init("sequences", sequences)])
    }
}

extension Blueprint.Attention {
    /// Multiply-adds for one new query and one token in the cache.
    var elementsPerCachedToken: Count {
        guard let latent else { return elementsPerPair }
        return Count(queryHeads) * Count(2 * latent.keyValueRank + latent.rotaryWidth)
    }
}

extension Formula {
    static let decode = Formula(
        "flops.decode_token", "Σ 2·elements over matrices a token meets + Σ 2·keys·heads·(key width + value width)",
        convention: "one new token; the context includes it", source: "matrix products of the description")
    static func prefill(_ convention: OperationConvention) -> Formula {
        Formula(
            "flops.prefill", "forward with the head at the last position only", convention: convention.text,
            source: "matrix products of the description")
    }
    static let generation = Formula(
        "flops.generation", "prefill + Σ decode over the tokens after the first",
        convention: "the prompt's last position gives the first token", source: "matrix products of the description")
}
