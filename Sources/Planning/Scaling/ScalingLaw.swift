import MartletPlatform

/// A parametric scaling law, L(N, D) = E + A / N^α + B / D^β (Hoffmann et al. 2022, arXiv:2203.15556, equation 2).
package struct ParametricLaw: Sendable, Hashable {
    package var name: String
    package var source: String
    /// A, the coefficient of the parameters' term.
    package var a: Double
    /// B, the coefficient of the tokens' term.
    package var b: Double
    /// E, the loss that no size and no data get below, in nats per token.
    package var e: Double
    /// α, the exponent of the parameters.
    package var alpha: Double
    /// β, the exponent of the tokens.
    package var beta: Double

    package init(name: String, source: String, a: Double, b: Double, e: Double, alpha: Double, beta: Double) {
        (self.name, self.source) = (name, source)
        (self.a, self.b, self.e, self.alpha, self.beta) = (a, b, e, alpha, beta)
    }

    /// The constants that the paper prints. They do not reproduce the paper's own table: 57 to 122 % too many tokens.
    package static let hoffmannRounded = ParametricLaw(
        name: "Hoffmann rounded", source: "arXiv:2203.15556 eq. 10", a: 406.4, b: 410.7, e: 1.69, alpha: 0.34,
        beta: 0.28)
    /// The fit of Hoffmann et al. before rounding, from the paper's TeX source.
    package static let hoffmannUnrounded = ParametricLaw(
        name: "Hoffmann unrounded", source: "arXiv:2203.15556, TeX source", a: exp(6.0073404), b: exp(6.0179186),
        e: exp(0.5267228), alpha: 0.33917084, beta: 0.2849083)
    /// The replication of Besiroglu et al. 2024; standard errors A 125, B 1293, E 0.026, α 0.015, β 0.021.
    package static let besiroglu = ParametricLaw(
        name: "Besiroglu 2024", source: "arXiv:2404.10102", a: 482.00572, b: 2085.4342, e: 1.81686, alpha: 0.34781,
        beta: 0.36585)
    package static let published = [hoffmannRounded, hoffmannUnrounded, besiroglu]

    private func formula(_ name: String, _ text: String) -> Formula {
        Formula(name, text, convention: "\(self.name); C = 6·N·D", source: source)
    }

    private var constants: [Quantity.Input] {
        [.init("A", a), .init("B", b), .init("E", e), .init("α", alpha), .init("β", beta)]
    }

    /// The loss of a model of N `parameters` after D `tokens`, in nats per token.
    package func loss(parameters: Double, tokens: Double) -> Quantity {
        Quantity(
            e + a / pow(parameters, alpha) + b / pow(tokens, beta), .nats,
            formula("scaling.loss", "E + A / N^α + B / D^β"), constants + [.init("N", parameters), .init("D", tokens)])
    }

    /// The coefficient G = (αA / βB)^(1/(α+β)).
    private var g: Double { pow(alpha * a / (beta * b), 1 / (alpha + beta)) }

    /// The parameters that lose least for `compute` operations: G · (C/6)^(β/(α+β)) (equation 4).
    package func optimalParameters(compute: Double) -> Quantity {
        Quantity(
            g * pow(compute / 6, beta / (alpha + beta)), .parameters,
            formula("scaling.optimal_parameters", "(αA/βB)^(1/(α+β)) · (C/6)^(β/(α+β))"),
            constants + [.init("C", compute)])
    }

    /// The tokens that lose least for `compute` operations: (C/6)^(α/(α+β)) / G.
    package func optimalTokens(compute: Double) -> Quantity {
        Quantity(
            pow(compute / 6, alpha / (alpha + beta)) / g, .tokens,
            formula("scaling.optimal_tokens", "(C/6)^(α/(α+β)) / (αA/βB)^(1/(α+β))"), constants + [.init("C", compute)])
    }

    /// The operations for which `parameters` are optimal.
    package func compute(optimalFor parameters: Double) -> Double { 6 * pow(parameters / g, (alpha + beta) / beta) }

    /// The tokens with which `parameters` are optimal.
    package func optimalTokens(parameters: Double) -> Quantity {
        let compute = compute(optimalFor: parameters)
        return Quantity(
            compute / (6 * parameters), .tokens, formula("scaling.tokens_for_parameters", "C_opt(N) / (6·N)"),
            constants + [.init("N", parameters)])
    }

    /// The loss over that of the best model for the same operations, less one: what it costs to train a model smaller
    /// and longer.
    package func overtrainingPenalty(parameters: Double, tokens: Double) -> Quantity {
        let compute = 6 * parameters * tokens
        let best = loss(
            parameters: optimalParameters(compute: compute).amount, tokens: optimalTokens(compute: compute).amount)
        return Quantity(
            100 * (loss(parameters: parameters, tokens: tokens).amount / best.amount - 1), .percent,
            formula("scaling.overtraining_penalty", "L(N, D) / L(N_opt, D_opt) − 1 at C = 6·N·D"),
            [.init("N", parameters), .init("D", tokens), .init("best loss", best.amount)])
    }

    /// The model with loss `target` that costs least over training and `inferenceTokens` of use: 6·N·D + 2·N·T
    /// (Sardana et al. 2023, arXiv:2401.00448). Nil when the loss is out of reach.
    package func cheapest(loss target: Double, inferenceTokens: Double) -> (parameters: Quantity, tokens: Quantity)? {
        func tokens(_ parameters: Double) -> Double? {
            let rest = target - e - a / pow(parameters, alpha)
            return rest > 0 ? pow(b / rest, 1 / beta) : nil
        }
        func cost(_ logParameters: Double) -> Double {
            let n = exp(logParameters)
            return tokens(n).map { 6 * n * $0 + 2 * n * inferenceTokens } ?? .infinity
        }
        guard target > e else { return nil }
        // The cost has one minimum right of the smallest model that can reach the loss.
        let smallest = log(pow(a / (target - e), 1 / alpha))
        let best = minimum(of: cost, from: smallest + 1e-9, to: smallest + 30)
        guard let d = tokens(exp(best)) else { return nil }
        let text = "argmin 6·N·D + 2·N·T with L(N, D) = L"
        let inputs = constants + [.init("L", target), .init("T", inferenceTokens)]
        return (
            Quantity(exp(best), .parameters, formula("scaling.cheapest_parameters", text), inputs),
            Quantity(d, .tokens, formula("scaling.cheapest_tokens", text), inputs)
        )
    }
}

/// The place of the least value between two ends, by golden sections, for a function that falls and then rises.
func minimum(of function: (Double) -> Double, from start: Double, to end: Double) -> Double {
    let ratio = (5.0.squareRoot() - 1) / 2
    var (low, high) = (start, end)
    var (left, right) = (high - ratio * (high - low), low + ratio * (high - low))
    var (atLeft, atRight) = (function(left), function(right))
    for _ in 0..<200 where high - low > 1e-12 {
        if atLeft < atRight || atRight.isNaN {
            (high, right, atRight) = (right, left, atLeft)
            left = high - ratio * (high - low)
            atLeft = function(left)
        } else {
            (low, left, atLeft) = (left, right, atRight)
            right = low + ratio * (high - low)
            atRight = function(right)
        }
    }
    return (low + high) / 2
}
