import MartletPlatform

extension Tensor {
    /// The clamped gate f(min(self, limit)) · (up, cut off at ± limit, plus 1): the gate of gpt-oss (arXiv:2508.10925).
    package func clampedGating(_ up: Tensor, _ f: Activation, limit: Float) -> Tensor {
        clamped(-.infinity...limit).gating(up.clamped(-limit...limit, adding: 1), f)
    }

    /// The elements cut off at the ends of `range`, plus `addend`. Beyond the ends no gradient flows.
    package func clamped(_ range: ClosedRange<Float>, adding addend: Float = 0) -> Tensor {
        let result = unsafe mapped("clamped", cost: 1) { x, y, count in
            for i in 0..<count { unsafe y[i] = min(max(x[i], range.lowerBound), range.upperBound) + addend }
        }
        guard let node else { return result }
        let x = untracked
        return result.recorded([self]) { gradient, flow in
            let dx = unsafe x.combined(with: gradient, "clamped", cost: 1) { x, dy, dx, count in
                for i in 0..<count { unsafe dx[i] = range.contains(x[i]) ? dy[i] : 0 }
            }
            flow.add(dx, to: node)
        }
    }

    /// xIELU (arXiv:2411.13010): a · x² + β · x for x > 0, else (e^min(x, ε) − 1 − x) · b + β · x, with a = ln(1 +
    /// e^`positive`) and b = β + ln(1 + e^`negative`), each of one element.
    ///
    /// - Parameters: `beta`: 1/2 in the paper; `epsilon`: a little below 0, so that the exponent never is.
    package func expandedIntegral(
        positive: Tensor, negative: Tensor, beta: Float = 0.5, epsilon: Float = -1e-6
    ) -> Tensor {
        let softplus = { (x: Float) in log1p(exp(Double(x))) }
        let (p, n) = (positive.values[0], negative.values[0])
        let (a, b) = (softplus(p), Double(beta) + softplus(n))
        let element: @Sendable (Double) -> XIELU = { XIELU($0, a, b, beta: Double(beta), epsilon: Double(epsilon)) }
        let result = unsafe mapped("expandedIntegral", cost: 16) { x, y, count in
            for i in 0..<count { unsafe y[i] = Float(element(Double(x[i])).value) }
        }
        if node == nil && positive.node == nil && negative.node == nil { return result }
        let (x, node, nodes) = (untracked, node, (positive.node, negative.node))
        return result.recorded([self, positive, negative]) { gradient, flow in
            let dx = unsafe x.combined(with: gradient, "expandedIntegral", cost: 16) { x, dy, dx, count in
                for i in 0..<count { unsafe dx[i] = dy[i] * Float(element(Double(x[i])).slope) }
            }
            flow.add(dx, to: node)
            let (values, slopes) = (x.asFloat(), gradient.asFloat())
            var sums = (0.0, 0.0)
            for i in 0..<values.shape.elements {
                let x = unsafe Double(values.floats[i])
                let shares = element(x).shares
                unsafe sums.0 += shares.0 * Double(slopes.floats[i])
                unsafe sums.1 += shares.1 * Double(slopes.floats[i])
            }
            func sigmoid(_ x: Float) -> Double { 1 / (1 + exp(-Double(x))) }
            flow.add(flow.device.tensor([Float(sums.0 * sigmoid(p))], shape: [1]), to: nodes.0)
            flow.add(flow.device.tensor([Float(sums.1 * sigmoid(n))], shape: [1]), to: nodes.1)
        }
    }
}

/// One element of xIELU, computed in f64 and rounded once.
private struct XIELU {
    private let x, a, b, beta, epsilon: Double

    init(_ x: Double, _ a: Double, _ b: Double, beta: Double, epsilon: Double) {
        (self.x, self.a, self.b, self.beta, self.epsilon) = (x, a, b, beta, epsilon)
    }

    /// The reference cuts its argument off so that it is never 0.
    private var below: Double { expm1(min(x, epsilon)) }
    var value: Double { x > 0 ? a * x * x + beta * x : (below - x) * b + beta * x }
    var slope: Double { x > 0 ? 2 * a * x + beta : ((x < epsilon ? below + 1 : 0) - 1) * b + beta }
    /// By a and by b.
    var shares: (Double, Double) { x > 0 ? (x * x, 0) : (0, below - x) }
}
