import MartletPlatform

/// A finished training run: what a scaling law is fitted to.
package struct RunObservation: Sendable, Hashable {
    package var parameters: Double
    /// The tokens that were trained on, each as often as it was seen.
    package var tokens: Double
    /// The loss at the end, in nats per token.
    package var loss: Double

    package init(parameters: Double, tokens: Double, loss: Double) {
        (self.parameters, self.tokens, self.loss) = (parameters, tokens, loss)
    }
}

/// A fit of L = E + A / N^α + B / D^β to runs as Hoffmann et al. do: Σ Huber(δ = 10⁻³) of the logarithms' differences,
/// from many starts.
package struct ScalingFit: Sendable {
    /// δ of the Huber loss, in nats, from which on a difference counts by its size and no longer by its square.
    package static let delta = 1e-3
    let runs: [RunObservation]

    /// - Throws: ``PlanningError/impossible(_:)`` for fewer than 6 runs, runs that are not positive numbers, or
    ///   too few different ones: losses are sums of a part for each size and one for each number of tokens.
    package init(_ runs: [RunObservation]) throws(PlanningError) {
        guard runs.count >= 6 else {
            throw .impossible("five constants need at least 6 runs, and there are \(runs.count)")
        }
        guard
            runs.allSatisfy({
                $0.parameters > 0 && $0.tokens > 0 && $0.loss > 0 && ($0.parameters * $0.tokens).isFinite
            })
        else {
            throw .impossible("every run needs positive, finite parameters, tokens and loss")
        }
        let (sizes, lengths) = (Set(runs.map(\.parameters)).count, Set(runs.map(\.tokens)).count)
        guard sizes >= 2, lengths >= 2, sizes + lengths >= 6 else {
            throw .impossible(
                "five constants need runs of at least 2 sizes, 2 numbers of tokens and 6 of both together, and there are "
                    + "\(sizes) and \(lengths)")
        }
        self.runs = runs
    }

    /// The best law over a grid of starts.
    package func best() -> ParametricLaw { law(at: minimum(over: runs, from: ScalingFit.starts).point) }

    /// A constant, or what follows from the constants, with the ends between which `level` of the refits lie.
    package struct Interval: Sendable, Hashable {
        package let name: String
        package let value: Double
        package let low: Double
        package let high: Double
    }

    /// Refits to `samples` draws with replacement, and the middle `level` of what comes out. Deterministic for a seed.
    package func bootstrap(samples: Int = 200, seed: UInt64 = 1, level: Double = 0.8) -> [Interval] {
        let start = minimum(over: runs, from: ScalingFit.starts).point
        var state = seed
        var laws: [ParametricLaw] = []
        for _ in 0..<max(samples, 2) {
            let drawn = runs.map { _ in runs[Int(ScalingFit.random(&state) % UInt64(runs.count))] }
            laws.append(law(at: minimum(over: drawn, from: [start]).point))
        }
        let center = law(at: start)
        let measures: [(String, (ParametricLaw) -> Double)] = [
            ("A", \.a), ("B", \.b), ("E", \.e), ("alpha", \.alpha), ("beta", \.beta),
            ("exponent of optimal parameters", { $0.beta / ($0.alpha + $0.beta) }),
        ]
        return measures.map { name, measure in
            let sorted = laws.map(measure).sorted()
            let tail = Int(Double(sorted.count) * (1 - level) / 2)
            return Interval(
                name: name, value: measure(center), low: sorted[tail], high: sorted[sorted.count - 1 - tail])
        }
    }

    /// A random number by splitmix64.
    private static func random(_ state: inout UInt64) -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// The starts of the fit: ln A, ln B, ln E, α, β.
    private static let starts: [[Double]] = [0.0, 10, 20].flatMap { a in
        [0.0, 10, 20].flatMap { b in [-0.5, 0.5].flatMap { e in [0.2, 0.8].map { [a, b, e, $0, $0] } } }
    }

    private func law(at point: [Double]) -> ParametricLaw {
        ParametricLaw(
            name: "fit to \(runs.count) runs", source: "Huber, δ = 10⁻³, of log losses", a: exp(point[0]),
            b: exp(point[1]),
            e: exp(point[2]), alpha: point[3], beta: point[4])
    }

    private func minimum(over runs: [RunObservation], from starts: [[Double]]) -> (point: [Double], value: Double) {
        let data = runs.map { (n: log($0.parameters), d: log($0.tokens), l: log($0.loss)) }
        let minimizer = Minimizer { point in ScalingFit.objective(point, data) }
        var best = (point: starts[0], value: Double.infinity)
        for start in starts {
            let found = minimizer.minimum(from: start)
            if found.value < best.value { best = found }
        }
        return minimizer.minimum(from: best.point)
    }

    /// The objective Σ Huber(logsumexp(a − αn, b − βd, e) − l), in units of δ², with its gradient.
    private static func objective(
        _ point: [Double], _ data: [(n: Double, d: Double, l: Double)]
    ) -> (value: Double, gradient: [Double]) {
        var value = 0.0
        var gradient = Array(repeating: 0.0, count: 5)
        for run in data {
            let terms = [point[0] - point[3] * run.n, point[1] - point[4] * run.d, point[2]]
            let largest = max(terms[0], terms[1], terms[2])
            let exponentials = terms.map { exp($0 - largest) }
            let sum = exponentials[0] + exponentials[1] + exponentials[2]
            let residual = (largest + log(sum) - run.l) / delta
            value += abs(residual) <= 1 ? residual * residual / 2 : abs(residual) - 0.5
            let slope = max(-1, min(1, residual)) / delta
            let shares = exponentials.map { $0 / sum * slope }
            gradient[0] += shares[0]
            gradient[1] += shares[1]
            gradient[2] += shares[2]
            gradient[3] -= shares[0] * run.n
            gradient[4] -= shares[1] * run.d
        }
        return (value, gradient)
    }
}
