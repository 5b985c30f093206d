/// The standard normal distribution.
package enum NormalDistribution {
    /// The share of the distribution below a number.
    package static func share(below number: Double) -> Double { erfc(-number / 2.0.squareRoot()) / 2 }

    /// The number below which a share of the distribution lies, by bisection of the error function: exact to the last
    /// bits of f32.
    ///
    /// - Precondition: `share` lies between 0 and 1.
    package static func quantile(_ share: Double) -> Double {
        precondition(share > 0 && share < 1, "the quantile of \(share)")
        var (low, high) = (-40.0, 40.0)
        for _ in 0..<80 {
            let middle = (low + high) / 2
            if self.share(below: middle) < share { low = middle } else { high = middle }
        }
        return (low + high) / 2
    }
}
