import MartletFormats
import MartletJSON
import MartletLayers
import MartletTensors

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

extension ConfigReader {
    /// An activation by any of the names that configurations use.
    func activation(_ key: String, default value: Architecture.Activation) -> Architecture.Activation {
        choice(
            key,
            of: [
                "relu": .relu, "silu": .silu, "swish": .silu, "gelu": .gelu, "gelu_python": .gelu,
                "gelu_new": .geluTanh,
                "gelu_fast": .geluTanh, "gelu_pytorch_tanh": .geluTanh, "gelu_python_tanh": .geluTanh,
                "quick_gelu": .geluSigmoid, "relu2": .reluSquared, "tanh": .tanh, "sigmoid": .sigmoid,
            ], default: value)
    }

    /// For each layer whether `layer_types` says that its attention slides, where a configuration has this key.
    func slidingLayers(_ layers: Int) -> [Bool]? {
        guard let types = optionalChoices("layer_types", of: ["full_attention": false, "sliding_attention": true])
        else {
            return nil
        }
        guard types.count == layers else {
            reject("layer_types has \(types.count) entries for \(layers) layers")
            return nil
        }
        return types
    }

    /// Rotary positions in either spelling: `rope_theta` and `rope_scaling`, or `rope_parameters`.
    ///
    /// - Parameters:
    ///   - headWidth: of which `partial_rotary_factor` is rotated.
    ///   - context: `max_position_embeddings`, where a stretching does not say its own.
    func rotary(headWidth: Int, context: Int, base: Double = 10_000) -> Architecture.Rotary {
        let parameters = optionalObject("rope_parameters", "rope_scaling")
        let base = parameters?.optionalNumber("rope_theta", in: ConfigReader.bases) ?? base
        let share =
            parameters?.optionalNumber("partial_rotary_factor", in: 0...1)
            ?? number("partial_rotary_factor", default: 1, in: 0...1)
        let width = Int(Double(headWidth) * share)
        if width % 2 != 0 || width == 0 {
            reject("\(width) elements of each head would be rotated, but they are turned in pairs")
        }
        return Architecture.Rotary(
            width: max(2, width / 2 * 2), base: Float(number("rope_theta", default: base, in: ConfigReader.bases)),
            scaling: parameters?.rotaryScaling(context: context, pairs: width / 2) ?? .none)
    }

    private static let bases = 1...1e30
    private static let factors = 1...1e9

    private enum Stretching { case none, linear, dynamic, llama3, yarn, divided }

    private func rotaryScaling(context: Int, pairs: Int) -> Architecture.Rotary.Scaling {
        let kind: Stretching = choice(
            "rope_type", "type",
            of: [
                "default": .none, "linear": .linear, "dynamic": .dynamic, "llama3": .llama3, "yarn": .yarn,
                "divided": .divided,
            ], default: .none)
        // "Trained" is written beside kinds that do not use it.
        let trained = integer("original_max_position_embeddings", default: context)
        switch kind {
        case .none: return .none
        case .linear: return .linear(factor())
        case .dynamic: return .dynamic(factor(), trained: context)
        case .llama3:
            return .llama3(
                factor: factor(), low: Float(number("low_freq_factor")), high: Float(number("high_freq_factor")),
                trained: trained)
        case .yarn: return .yarn(yarn(context: context, trained: trained))
        case .divided:
            let divisors = optionalNumbers("divisors", in: 1e-6...1e9) ?? []
            if divisors.count != pairs { reject("there are \(divisors.count) divisors for \(pairs) rotated pairs") }
            return divisors.count == pairs ? .divided(by: divisors.map { Float($0) }) : .none
        }
    }

    private func factor() -> Float { Float(number("factor", in: ConfigReader.factors)) }

    private func yarn(context: Int, trained: Int) -> Architecture.Rotary.Yarn {
        let factor = optionalNumber("factor", in: ConfigReader.factors) ?? Double(context) / Double(trained)
        func magnitude(_ weight: Double) -> Double { factor <= 1 ? 1 : 0.1 * weight * log(factor) + 1 }
        var attention = magnitude(1)
        let (scale, scaleAll) = (optionalNumber("mscale") ?? 0, optionalNumber("mscale_all_dim") ?? 0)
        if scale != 0 && scaleAll != 0 { attention = magnitude(scale) / magnitude(scaleAll) }
        return Architecture.Rotary.Yarn(
            factor: Float(factor), fast: Float(number("beta_fast", default: 32)),
            slow: Float(number("beta_slow", default: 1)),
            trained: trained, attention: Float(optionalNumber("attention_factor") ?? attention),
            ends: bool("truncate", default: true) ? .rounded : .exact)
    }
}
