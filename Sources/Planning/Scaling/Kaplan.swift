import MartletPlatform

/// Scaling laws of Kaplan et al. 2020 (arXiv:2001.08361), in non-embedding parameters and petaflop/s-days.
package enum Kaplan {
    private static func formula(_ name: String, _ text: String) -> Formula {
        Formula(
            "scaling.kaplan_\(name)", text, convention: "non-embedding parameters, WebText2", source: "arXiv:2001.08361"
        )
    }

    /// The loss by parameters, (N_c / N)^0.076 with N_c = 8.8e13: enough data, trained to the end.
    package static func loss(parameters: Double) -> Quantity {
        Quantity(
            pow(8.8e13 / parameters, 0.076), .nats, formula("loss_of_parameters", "(8.8e13 / N)^0.076"),
            [.init("N", parameters)])
    }

    /// The loss by tokens, (D_c / D)^0.095 with D_c = 5.4e13: a large model, stopped early.
    package static func loss(tokens: Double) -> Quantity {
        Quantity(
            pow(5.4e13 / tokens, 0.095), .nats, formula("loss_of_tokens", "(5.4e13 / D)^0.095"), [.init("D", tokens)])
    }

    /// The loss by operations, (C_c / C)^0.050 with C_c = 3.1e8 PF-days: the best model for the operations.
    package static func loss(petaflopDays: Double) -> Quantity {
        Quantity(
            pow(3.1e8 / petaflopDays, 0.050), .nats, formula("loss_of_compute", "(3.1e8 / C)^0.050"),
            [.init("C", petaflopDays)])
    }

    /// The loss by parameters and tokens, ((N_c / N)^(α_N / α_D) + D_c / D)^α_D with 6.4e13, 1.8e13, 0.076, 0.103.
    package static func loss(parameters: Double, tokens: Double) -> Quantity {
        Quantity(
            pow(pow(6.4e13 / parameters, 0.076 / 0.103) + 1.8e13 / tokens, 0.103), .nats,
            formula("loss", "((6.4e13 / N)^(0.076/0.103) + 1.8e13 / D)^0.103"),
            [.init("N", parameters), .init("D", tokens)])
    }

    /// The optimal number of parameters, 1.3e9 · C^0.73.
    package static func optimalParameters(petaflopDays: Double) -> Quantity {
        Quantity(
            1.3e9 * pow(petaflopDays, 0.73), .parameters, formula("optimal_parameters", "1.3e9 · C^0.73"),
            [.init("C", petaflopDays)])
    }
}
