package import MartletLayers

/// The optimizer that a recipe names.
package enum OptimizerChoice {
    package static func make(_ settings: Recipe.Optimizer, _ parameters: TrainableParameters) -> any Optimizer {
        let (decay, epsilon) = (Float(settings.weightDecay), Float(settings.epsilon))
        return switch settings.name {
        case "adafactor": Adafactor(parameters, decay: decay)
        case "sgd":
            Momentum(parameters, .descent(momentum: Float(settings.momentum), nesterov: false), decay: decay)
        case "lion":
            Momentum(parameters, .lion(betas: (Float(settings.betas.0), Float(settings.betas.1))), decay: decay)
        case "muon":
            Muon(
                parameters, momentum: Float(settings.momentum), betas: settings.betas, epsilon: epsilon, decay: decay)
        default: AdamW(parameters, betas: settings.betas, epsilon: epsilon, decay: decay)
        }
    }
}
