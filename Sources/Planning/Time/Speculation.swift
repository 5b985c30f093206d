import MartletPlatform

/// Speculative decoding, and what guessing ahead with a small model gains (Leviathan et al. 2022, arXiv:2211.17192).
package struct Speculation: Sendable, Hashable {
    /// The chance that a guessed token is accepted.
    package let acceptance: Double
    /// The number of draft tokens guessed before the large model looks.
    package let guesses: Int
    /// Time of one small step over one large step.
    package let costRatio: Double

    package init(acceptance: Double, guesses: Int, costRatio: Double = 0) {
        (self.acceptance, self.guesses, self.costRatio) = (
            min(max(acceptance, 0), 1), max(guesses, 0), max(costRatio, 0)
        )
    }

    private var inputs: [Quantity.Input] {
        [.init("α", acceptance), .init("γ", guesses), .init("c", costRatio)]
    }

    private func formula(_ name: String, _ text: String) -> Formula {
        Formula(name, text, convention: "acceptances independent", source: "arXiv:2211.17192")
    }

    /// The tokens per pass of the large model, (1 − α^(γ+1)) / (1 − α).
    package var tokensPerPass: Quantity {
        let tokens =
            acceptance == 1 ? Double(guesses + 1) : (1 - pow(acceptance, Double(guesses + 1))) / (1 - acceptance)
        return Quantity(tokens, .tokens, formula("speculation.tokens_per_pass", "(1 − α^(γ+1)) / (1 − α)"), inputs)
    }

    /// The operations of the large model per token, over those without guessing: (γ + 1) / tokens per pass, and c · γ
    /// for the small one.
    package var operationsFactor: Quantity {
        let factor = (Double(guesses + 1) + costRatio * Double(guesses)) / tokensPerPass.amount
        return Quantity(factor, .ratio, formula("speculation.operations", "(γ + 1 + c·γ) / tokens per pass"), inputs)
    }

    /// The speed-up, tokens per pass over its time: tokens / (c·γ + 1).
    package var speedUp: Quantity {
        Quantity(
            tokensPerPass.amount / (costRatio * Double(guesses) + 1), .ratio,
            formula("speculation.speed_up", "tokens per pass / (c·γ + 1)"), inputs)
    }
}
