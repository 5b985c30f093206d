import MartletPlatform

/// The exponential, e to the power of `x`.
func exponential(_ x: Double) -> Double { exp(x) }

/// The logistic function, 1 / (1 + e^−x).
func logistic(_ x: Float) -> Float { Float(1 / (1 + exp(-Double(x)))) }
