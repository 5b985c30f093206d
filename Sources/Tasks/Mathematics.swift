import MartletPlatform

/// e to the power of `x`.
func exponential(_ x: Double) -> Double { exp(x) }

/// 1 / (1 + e^−x).
func logistic(_ x: Float) -> Float { Float(1 / (1 + exp(-Double(x)))) }
