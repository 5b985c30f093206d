/// Parameter formulas as papers and tutorials print them, for a GPT of `layers` layers of width `width`.
///
/// They are approximations that readers meet; ``ParameterCount`` is what a model has.
public enum PublishedParameterFormula {
    /// 12·l·h²·(1 + 13/(12h) + (V + s)/(12·l·h)) (Narayanan et al. 2021, arXiv:2104.04473): without the last LayerNorm's 2h.
    public static func megatron(layers: Int, width: Int, vocabulary: Int, positions: Int) -> Quantity {
        let (l, h) = (Count(layers), Count(width))
        let value = 12 * l * h * h + 13 * l * h + Count(vocabulary + positions) * h
        return Quantity(
            value, .parameters,
            Formula(
                "parameters.megatron", "12·l·h² + 13·l·h + (V + s)·h",
                convention: "tied embeddings, learned positions, no last LayerNorm", source: "arXiv:2104.04473"),
            [.init("l", layers), .init("h", width), .init("V", vocabulary), .init("s", positions)])
    }

    /// 12·h² + 13·h a layer, tables, and the last LayerNorm: exact for GPT-2, GPT-3 and OPT, and 3·h a layer too many for GPT-Neo.
    public static func gpt(layers: Int, width: Int, vocabulary: Int, positions: Int) -> Quantity {
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
    public static func matricesUntied(layers: Int, width: Int, vocabulary: Int, hidden: Int) -> Quantity {
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
