import MartletJSON

/// The optimizer that a recipe names.
package enum OptimizerChoice {
    /// Returns whether it steps on each element by itself, so that a parameter may be cut among ranks.
    package static func isElementwise(_ settings: Recipe.Optimizer) -> Bool {
        !["adafactor", "muon"].contains { settings.name.hasSameBytes(as: $0) }
    }

    package static func make(_ settings: Recipe.Optimizer, _ parts: ParameterParts) -> any Optimizer {
        let (decay, epsilon) = (Float(settings.weightDecay), Float(settings.epsilon))
        return switch settings.name {
        case "adafactor": Adafactor(parts, decay: decay)
        case "sgd":
            Momentum(parts, .descent(momentum: Float(settings.momentum), nesterov: false), decay: decay)
        case "lion":
            Momentum(parts, .lion(betas: (Float(settings.betas.0), Float(settings.betas.1))), decay: decay)
        case "muon":
            Muon(
                parts, momentum: Float(settings.momentum), betas: settings.betas, epsilon: epsilon, decay: decay)
        default: AdamW(parts, betas: settings.betas, epsilon: epsilon, decay: decay)
        }
    }
}
