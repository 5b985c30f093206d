import MartletPlanning
import Testing

/// Scaling laws agree with themselves.
@Suite struct ScalingTests {
    @Test(arguments: ParametricLaw.published) func optimaSpendTheComputeAndLoseLeast(_ law: ParametricLaw) {
        let compute = 1e22
        let (n, d) = (law.optimalParameters(compute: compute).amount, law.optimalTokens(compute: compute).amount)
        #expect(abs(6 * n * d / compute - 1) < 1e-12)
        #expect(abs(law.compute(optimalFor: n) / compute - 1) < 1e-9)
        let best = law.loss(parameters: n, tokens: d).amount
        #expect(law.loss(parameters: n * 1.1, tokens: d / 1.1).amount > best)
        #expect(law.loss(parameters: n / 1.1, tokens: d * 1.1).amount > best)
        #expect(law.overtrainingPenalty(parameters: n / 4, tokens: d * 4).amount > 0)
    }

    @Test func useMakesSmallerModelsCheapest() throws {
        let law = ParametricLaw.besiroglu
        let unused = try #require(law.cheapest(loss: 2.2, inferenceTokens: 0))
        let used = try #require(law.cheapest(loss: 2.2, inferenceTokens: 1e13))
        #expect(used.parameters.amount < unused.parameters.amount)
        #expect(used.tokens.amount > unused.tokens.amount)
        #expect(abs(law.loss(parameters: used.parameters.amount, tokens: used.tokens.amount).amount - 2.2) < 1e-9)
        let optimum = law.optimalTokens(parameters: unused.parameters.amount).amount
        #expect(abs(unused.tokens.amount / optimum - 1) < 1e-4)
        #expect(law.cheapest(loss: 1.5, inferenceTokens: 0) == nil)
    }

    @Test func aLawsOwnPointsGiveItBack() throws {
        let law = ParametricLaw.besiroglu
        let fitted = try ScalingFit(Runs.points(of: law)).best()
        #expect(
            abs(fitted.alpha - law.alpha) < 1e-5 && abs(fitted.beta - law.beta) < 1e-5 && abs(fitted.e - law.e) < 1e-5)
        let intervals = try ScalingFit(Runs.points(of: law)).bootstrap(samples: 8)
        #expect(intervals.count == 6 && intervals.allSatisfy { $0.low <= $0.high })
        #expect(throws: PlanningError.self) { try ScalingFit(Array(Runs.points(of: law).prefix(5))) }
    }

    @Test func speculationAtItsEnds() {
        #expect(Speculation(acceptance: 1, guesses: 4).tokensPerPass.amount == 5)
        #expect(Speculation(acceptance: 0, guesses: 4).tokensPerPass.amount == 1)
        #expect(Speculation(acceptance: 0.8, guesses: 5, costRatio: 0.05).speedUp.amount > 2.9)
    }
}
