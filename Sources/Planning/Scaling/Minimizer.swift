/// Minimises a smooth function of a few variables by BFGS with a backtracking search (Nocedal and Wright 2006,
/// algorithm 6.1).
struct Minimizer {
    /// Value and gradient at a point.
    let function: ([Double]) -> (value: Double, gradient: [Double])
    var iterations = 2000

    /// The lowest point found from `start`, and the value there.
    func minimum(from start: [Double]) -> (point: [Double], value: Double) {
        let n = start.count
        var point = start
        var (value, gradient) = function(point)
        var inverse = Minimizer.identity(n)
        var restarted = true
        for _ in 0..<iterations {
            var direction = (0..<n).map { row in -zip(inverse[row], gradient).reduce(0) { $0 + $1.0 * $1.1 } }
            var slope = zip(direction, gradient).reduce(0) { $0 + $1.0 * $1.1 }
            if slope >= 0 {
                (inverse, direction) = (Minimizer.identity(n), gradient.map { -$0 })
                slope = -gradient.reduce(0) { $0 + $1 * $1 }
            }
            guard slope < 0, let next = step(point, value, direction, slope) else {
                // A stale curvature can point nowhere; once with a fresh one before giving up.
                if restarted { break }
                (inverse, restarted) = (Minimizer.identity(n), true)
                continue
            }
            let s = zip(next.point, point).map { $0 - $1 }
            let y = zip(next.gradient, gradient).map { $0 - $1 }
            Minimizer.update(&inverse, s, y)
            (point, value, gradient, restarted) = (next.point, next.value, next.gradient, false)
        }
        return (point, value)
    }

    /// A step along `direction` that lowers the value enough and does not leave the slope nearly as steep.
    private func step(
        _ point: [Double], _ value: Double, _ direction: [Double], _ slope: Double
    ) -> (point: [Double], value: Double, gradient: [Double])? {
        var (low, high, length) = (0.0, Double.infinity, 1.0)
        var lowest: (point: [Double], value: Double, gradient: [Double])?
        for _ in 0..<60 {
            let next = zip(point, direction).map { $0 + length * $1 }
            let (nextValue, nextGradient) = function(next)
            let nextSlope = zip(direction, nextGradient).reduce(0) { $0 + $1.0 * $1.1 }
            if !nextValue.isFinite || nextValue > value + 1e-4 * length * slope {
                high = length
            } else {
                if nextValue < lowest?.value ?? value { lowest = (next, nextValue, nextGradient) }
                if nextSlope >= 0.9 * slope { return (next, nextValue, nextGradient) }
                low = length
            }
            length = high.isFinite ? (low + high) / 2 : 2 * length
        }
        return lowest
    }

    /// The BFGS update H ← (1 − ρsyᵀ) H (1 − ρysᵀ) + ρssᵀ.
    private static func update(_ h: inout [[Double]], _ s: [Double], _ y: [Double]) {
        let curvature = zip(s, y).reduce(0) { $0 + $1.0 * $1.1 }
        guard curvature > 1e-300 else { return }
        let n = s.count
        let hy = (0..<n).map { row in zip(h[row], y).reduce(0) { $0 + $1.0 * $1.1 } }
        let yhy = zip(y, hy).reduce(0) { $0 + $1.0 * $1.1 }
        for row in 0..<n {
            for column in 0..<n {
                h[row][column] +=
                    (1 + yhy / curvature) * s[row] * s[column] / curvature
                    - (hy[row] * s[column] + s[row] * hy[column]) / curvature
            }
        }
    }

    private static func identity(_ n: Int) -> [[Double]] {
        (0..<n).map { row in (0..<n).map { $0 == row ? 1 : 0 } }
    }
}
