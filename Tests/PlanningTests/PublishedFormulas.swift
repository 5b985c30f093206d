import MartletPlanning

/// Parameter formulas as papers and tutorials print them, for a GPT of `layers` layers of width `width`.
///
/// They are approximations that readers meet; ``ParameterCount`` is what a model has.
enum PublishedParameterFormula {
    /// 12·l·h²·(1 + 13/(12h) + (V + s)/(12·l·h)) (Narayanan et al. 2021, arXiv:2104.04473): without the last
    /// LayerNorm's 2h.
    static func megatron(layers: Int, width: Int, vocabulary: Int, positions: Int) -> Quantity {
        let (l, h) = (Count(layers), Count(width))
        let value = 12 * l * h * h + 13 * l * h + Count(vocabulary + positions) * h
        return Quantity(
            value, .parameters,
            Formula(
                "parameters.megatron", "12·l·h² + 13·l·h + (V + s)·h",
                convention: "tied embeddings, learned positions, no last LayerNorm", source: "arXiv:2104.04473"),
            [.init("l", layers), .init("h", width), .init("V", vocabulary), .init("s", positions)])
    }

    /// 12·h² + 13·h a layer, tables, and the last LayerNorm: exact for GPT-2, GPT-3 and OPT, and 3·h a layer too many
    /// for GPT-Neo.
    static func gpt(layers: Int, width: Int, vocabulary: Int, positions: Int) -> Quantity {
        let (l, h) = (Count(layers), Count(width))
        let value = 12 * l * h * h + 13 * l * h + Count(vocabulary + positions) * h + 2 * h
        return Quantity(
            value, .parameters,
            Formula(
                "parameters.gpt", "l·(12·h² + 13·h) + (V + s)·h + 2·h",
                convention: "biases everywhere, tied embeddings, learned positions", source: "GPT-2's layers"),
            [.init("l", layers), .init("h", width), .init("V", vocabulary), .init("s", positions)])
    }

    /// 2·D·V + 4·L·D² + 2·L·D·I: matrices only, with an output projection of its own.
    static func matricesUntied(layers: Int, width: Int, vocabulary: Int, hidden: Int) -> Quantity {
        let (l, d) = (Count(layers), Count(width))
        let value = 2 * d * Count(vocabulary) + 4 * l * d * d + 2 * l * d * Count(hidden)
        return Quantity(
            value, .parameters,
            Formula(
                "parameters.matrices_untied", "2·D·V + 4·L·D² + 2·L·D·I",
                convention: "no positions, biases or norms; two feed-forward matrices; untied", source: "closed form"),
            [.init("L", layers), .init("D", width), .init("V", vocabulary), .init("I", hidden)])
    }
}

extension TrainingOperations {
    /// 8·N·D: one forward pass more, for full recomputation (arXiv:2104.04473).
    static func eightND(parameters: Double, tokens: Double) -> Quantity {
        Quantity(
            8 * parameters * tokens, .flop,
            Formula("flops.8ND", "8·N·D", convention: "full recomputation", source: "arXiv:2104.04473"),
            [.init("N", parameters), .init("D", tokens)])
    }

    /// (6·N + 12·L·H·Q·T) per token (PaLM, arXiv:2204.02311, appendix B): the full square of scores.
    static func palmPerToken(parameters: Count, layers: Int, heads: Int, headWidth: Int, tokens: Int) -> Quantity {
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
}

/// A GPT as Megatron's papers describe it: l layers of width h, feed-forward 4h, vocabulary V, sequences of s.
struct MegatronShape: Sendable, Hashable {
    var layers: Int
    var width: Int
    var vocabulary: Int
    var sequence: Int

    init(layers: Int, width: Int, vocabulary: Int, sequence: Int) {
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
    func recomputedIteration(batch: Int) -> Quantity {
        let value = Count(batch) * (96 * layerProducts + 16 * layerScores + 6 * headProducts)
        return Quantity(
            value, .flop,
            Formula(
                "flops.megatron96", "96·B·s·l·h²·(1 + s/(6h) + V/(16·l·h))",
                convention: "full recomputation, full square",
                source: "arXiv:2104.04473"), inputs(batch))
    }

    /// 72·B·l·s·h²·(1 + s/(6h) + V/(12·h·l)) an iteration: what the model needs (arXiv:2205.05198, equation 7).
    func modelIteration(batch: Int) -> Quantity {
        let value = Count(batch) * (72 * layerProducts + 12 * layerScores + 6 * headProducts)
        return Quantity(
            value, .flop,
            Formula(
                "flops.megatron72", "72·B·l·s·h²·(1 + s/(6h) + V/(12·h·l))",
                convention: "no recomputation, full square",
                source: "arXiv:2205.05198 eq. 7"), inputs(batch))
    }

    /// The count with (1 + s/(3h) + …): what the hardware does under selective recomputation (arXiv:2205.05198,
    /// equation 8).
    ///
    /// The equation counts a whole second set of scores for the half set that is recomputed; it is kept as printed.
    func selectiveIteration(batch: Int) -> Quantity {
        let value = Count(batch) * (72 * layerProducts + 24 * layerScores + 6 * headProducts)
        return Quantity(
            value, .flop,
            Formula(
                "flops.megatron72_selective", "72·B·l·s·h²·(1 + s/(3h) + V/(12·h·l))",
                convention: "selective recomputation, full square", source: "arXiv:2205.05198 eq. 8"), inputs(batch))
    }

    /// The length at which scores cost as much as the layers' matrices of a gated model: t = 2·D + 1.5·I, by
    /// 4·L·D·t = 8·L·D² + 6·L·D·I.
    static func balancedLength(width: Int, gatedHidden: Int) -> Quantity {
        Quantity(
            Double(2 * width) + 1.5 * Double(gatedHidden), .tokens,
            Formula(
                "flops.balanced_length", "2·D + 1.5·I", convention: "full square, multi-head, gated feed-forward",
                source: "4·L·D·t = 8·L·D² + 6·L·D·I"), [.init("D", width), .init("I", gatedHidden)])
    }
}
