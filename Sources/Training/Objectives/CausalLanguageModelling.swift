package import MartletTensors

/// Each token predicts the next: −Σ log p(xᵢ₊₁ | x₁ … xᵢ).
package struct CausalLanguageModelling: Objective {
    package static let name = "causal"

    package init() {}

    package var overlap: Int { 1 }

    package func example(_ sides: [[Int32]], _ random: inout Random) -> Example? {
        guard let tokens = sides.first, tokens.count >= 2 else { return nil }
        return Example(tokens: Array(tokens.dropLast()), targets: Array(tokens.dropFirst()))
    }
}
