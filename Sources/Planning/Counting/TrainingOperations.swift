/// Operations of a training run as papers state them. Each is an approximation with a name.
package enum TrainingOperations {
    /// The training operations 6·N·D (Kaplan et al. 2020, arXiv:2001.08361): 2 forward and 4 backward per parameter and
    /// token.
    package static func sixND(parameters: Double, tokens: Double) -> Quantity {
        Quantity(
            6 * parameters * tokens, .flop,
            Formula(
                "flops.6ND", "6·N·D", convention: "no attention scores, no recomputation", source: "arXiv:2001.08361"),
            [.init("N", parameters), .init("D", tokens)])
    }

    /// Petaflop/s-days: operations over 10¹⁵ · 86,400.
    package static func petaflopDays(_ operations: Double) -> Quantity {
        Quantity(
            operations / 8.64e19, .petaflopDays,
            Formula(
                "flops.petaflop_days", "C / 8.64e19", convention: "10^15 FLOP/s for a day", source: "arXiv:2005.14165"),
            [.init("C", operations)])
    }
}
