/// Operations of a training run as papers state them. Each is an approximation with a name.
public enum TrainingOperations {
    /// 6·N·D (Kaplan et al. 2020, arXiv:2001.08361): 2 forward and 4 backward per parameter and token.
    public static func sixND(parameters: Double, tokens: Double) -> Quantity {
        Quantity(
            6 * parameters * tokens, .flop,
            Formula(
                "flops.6ND", "6·N·D", convention: "no attention scores, no recomputation", source: "arXiv:2001.08361"),
            [.init("N", parameters), .init("D", tokens)])
    }

    /// 8·N·D: one forward pass more, for full recomputation (arXiv:2104.04473).
    public static func eightND(parameters: Double, tokens: Double) -> Quantity {
        Quantity(
            8 * parameters * tokens, .flop,
            Formula("flops.8ND", "8·N·D", convention: "full recomputation", source: "arXiv:2104.04473"),
            [.init("N", parameters), .init("D", tokens)])
    }

    /// (6·N + 12·L·H·Q·T) per token (PaLM, arXiv:2204.02311, appendix B): the full square of scores.
    public static func palmPerToken(parameters: Count, layers: Int, heads: Int, headWidth: Int, tokens: Int) -> Quantity
    {
        let value = 6 * parameters + 12 * Count(layers) * Count(heads) * Count(headWidth) * Count(tokens)
        return Quantity(
            value, .flop,
            Formula(
                "flops.palm", "6·N + 12·L·H·Q·T per token", convention: "full square of scores, no recomputation",
                source: "arXiv:2204.02311 appendix B"),
            [
                .init("N", parameters), .init("L", layers), .init("H", heads), .init("Q", headWidth),
                .init("T", tokens),
            ])
    }

    /// Petaflop/s-days: operations over 10¹⁵ · 86,400.
    public static func petaflopDays(_ operations: Double) -> Quantity {
        Quantity(
            operations / 8.64e19, .petaflopDays,
            Formula(
                "flops.petaflop_days", "C / 8.64e19", convention: "10^15 FLOP/s for a day", source: "arXiv:2005.14165"),
            [.init("C", operations)])
    }
}

/// A GPT as Megatron's papers describe it: l layers of width h, feed-forward 4h, vocabulary V, sequences of s.
public struct MegatronShape: Sendable, Hashable {
    public var layers: Int
    public var width: Int
    public var vocabulary: Int
    public var sequence: Int

    public init(layers: Int, width: Int, vocabulary: Int, sequence: Int) {
        (self.layers, self.width, self.vocabulary, self.sequence) = (layers, width, vocabulary, sequence)
    }

    private func inputs(_ batch: Int) -> [Quantity.Input] {
        [
            .init("B", batch), .init("l", layers), .init("s", sequence), .init("h", width), .init("V", vocabulary),
        ]
    }

    private var layerProducts: Count { Count(layers) * Count(sequence) * Count(width) * Count(width) }
    private var layerScores: Count { Count(layers) * Count(sequence) * Count(sequence) * Count(width) }
    private var headProducts: Count { Count(sequence) * Count(width) * Count(vocabulary) }

    /// 96·B·s·l·h²·(1 + s/(6h) + V/(16·l·h)) an iteration, with full recomputation (arXiv:2104.04473).
    public func recomputedIteration(batch: Int) -> Quantity {
        let value = Count(batch) * (96 * layerProducts + 16 * layerScores + 6 * headProducts)
        return Quantity(
            value, .flop,
            Formula(
                "flops.megatron96", "96·B·s·l·h²·(1 + s/(6h) + V/(16·l·h))",
                convention: "full recomputation, full square",
                source: "arXiv:2104.04473"), inputs(batch))
    }

    /// 72·B·l·s·h²·(1 + s/(6h) + V/(12·h·l)) an iteration: what the model needs (arXiv:2205.05198, equation 7).
    public func modelIteration(batch: Int) -> Quantity {
        let value = Count(batch) * (72 * layerProducts + 12 * layerScores + 6 * headProducts)
        return Quantity(
            value, .flop,
            Formula(
                "flops.megatron72", "72·B·l·s·h²·(1 + s/(6h) + V/(12·h·l))",
                convention: "no recomputation, full square",
                source: "arXiv:2205.05198 eq. 7"), inputs(batch))
    }

    /// The same with (1 + s/(3h) + …): what the hardware does under selective recomputation (arXiv:2205.05198, equation 8).
    ///
    /// The equation counts a whole second set of scores for the half set that is recomputed; it is kept as printed.
    public func selectiveIteration(batch: Int) -> Quantity {
        let value = Count(batch) * (72 * layerProducts + 24 * layerScores + 6 * headProducts)
        return Quantity(
            value, .flop,
            Formula(
                "flops.megatron72_selective", "72·B·l·s·h²·(1 + s/(3h) + V/(12·h·l))",
                convention: "selective recomputation, full square", source: "arXiv:2205.05198 eq. 8"), inputs(batch))
    }

    /// The length at which scores cost as much as the layers' matrices of a gated model: t = 2·D + 1.5·I, by
    /// 4·L·D·t = 8·L·D² + 6·L·D·I.
    public static func balancedLength(width: Int, gatedHidden: Int) -> Quantity {
        Quantity(
            Double(2 * width) + 1.5 * Double(gatedHidden), .tokens,
            Formula(
                "flops.balanced_length", "2·D + 1.5·I", convention: "full square, multi-head, gated feed-forward",
                source: "4·L·D·t = 8·L·D² + 6·L·D·I"), [.init("D", width), .init("I", gatedHidden)])
    }
}
