import MartletPlatform

/// The softmax exp(x) / Σ exp(x).
func softmax(_ values: [Float]) -> [Float] {
    let largest = values.reduce(-Float.infinity) { $1 > $0 ? $1 : $0 }
    let powers = values.map { exp(Double($0 - largest)) }
    let total = powers.reduce(0, +)
    return powers.map { Float($0 / total) }
}

/// The logistic function, 1 / (1 + e^−x).
func logistic(_ x: Float) -> Float { Float(1 / (1 + exp(-Double(x)))) }
