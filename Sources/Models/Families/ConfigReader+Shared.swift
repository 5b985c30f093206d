import MartletFormats
import MartletJSON
import MartletLayers
import MartletPlatform
import MartletTensors

extension ConfigReader {
    /// The range of the number of layers, far more than any model has: what a file says must not exhaust memory.
    static let layers = 1...4_096
    static let experts = 1...65_536

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

    /// A size where absence means `absent` and null means none.
    func integer(orNull key: String, absent: Int?, in range: ClosedRange<Int> = sizes) -> Int? {
        optionalInteger(key, in: range) ?? (keys.contains(key) ? nil : absent)
    }

    /// The depth of one side of an encoder-decoder in BART's line: `num_hidden_layers` is another name of the
    /// encoder's, and the reference reads it last.
    func depth(of side: String, default count: Int) -> Int {
        let own = "\(side)_layers"
        guard side == "encoder", has("num_hidden_layers") else {
            return integer(own, default: count, in: ConfigReader.layers)
        }
        ignore(own)
        return integer("num_hidden_layers", in: ConfigReader.layers)
    }

    /// A bias that is there or not.
    func presence(_ key: String, default absent: Bool) -> Architecture.Presence {
        bool(key, default: absent) ? .present : .absent
    }

    /// The head over the vocabulary.
    func tokenHead(tied: Bool) -> Architecture.TokenHead {
        .init(weights: bool("tie_word_embeddings", default: tied) ? .tied : .own)
    }

    /// The layers whose attention slides, as `layer_types` says, where a configuration has this key.
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
    ///   - headWidth: of which a share is rotated.
    ///   - context: `max_position_embeddings`, where a stretching does not say its own.
    ///   - trained: the length before stretching, where the configuration says it outside.
    ///   - base, share: what absence of their keys means; without a share, the model type reads none and turns whole
    ///     heads.
    func rotary(
        headWidth: Int, context: Int, trained: Int? = nil, base: Double = 10_000, baseKey: String = "rope_theta",
        share: Double? = nil, shareKey: String = "partial_rotary_factor"
    ) -> Architecture.Rotary {
        let outer = (
            base: number(baseKey, default: base, in: ConfigReader.bases),
            share: share.map { number(shareKey, default: $0, in: 0...1) }
        )
        guard let parameters = rotaryParameters() else {
            return Architecture.Rotary(width: rotated(headWidth, outer.share ?? 1), base: Float(outer.base))
        }
        // What stands outside goes before what stands inside, as in the reference.
        let trained = trained ?? optionalInteger("original_max_position_embeddings")
        return parameters.nestedRotary(
            headWidth: headWidth, context: context, trained: trained, base: outer.base, share: outer.share)
    }

    /// The settings of rotary positions. Where both spellings are there, the older one counts, as in the reference.
    func rotaryParameters() -> ConfigReader? {
        guard has("rope_scaling") else { return optionalObject("rope_parameters") }
        ignore("rope_parameters")
        return optionalObject("rope_scaling")
    }

    /// Rotary positions from an object of their own.
    func nestedRotary(
        headWidth: Int, context: Int, trained: Int? = nil, base: Double, share: Double? = nil
    ) -> Architecture.Rotary {
        let width = rotated(headWidth, share.map { number("partial_rotary_factor", default: $0, in: 0...1) } ?? 1)
        let base = number("rope_theta", default: base, in: ConfigReader.bases)
        return Architecture.Rotary(
            width: width, base: Float(base),
            scaling: rotaryScaling(context: context, trained: trained, pairs: (width + 1) / 2))
    }

    /// The number of a head's elements that are turned, when it is `share` of them.
    private func rotated(_ headWidth: Int, _ share: Double) -> Int {
        let width = Int(Double(headWidth) * share)
        if width == 0 { reject("none of the \(headWidth) elements of each head would be rotated") }
        return max(1, width)
    }

    private static let bases = 1...1e30
    private static let factors = 1...1e9

    /// The kinds of RoPE scaling, by their names in configurations.
    private enum Stretching { case none, linear, dynamic, llama3, yarn, divided, long }

    private func rotaryScaling(context: Int, trained outer: Int?, pairs: Int) -> Architecture.Rotary.Scaling {
        // "type" is the older spelling; who writes both means the newer one.
        if has("rope_type") { ignore("type") }
        let kind: Stretching = choice(
            has("rope_type") ? "rope_type" : "type",
            of: [
                "default": .none, "mrope": .none, "linear": .linear, "dynamic": .dynamic, "llama3": .llama3,
                "yarn": .yarn,
                "divided": .divided, "longrope": .long, "su": .long,
            ], default: .none)
        // Three positions at a time are one, where there is text alone.
        ignore("mrope_section", "mrope_interleaved")
        // "Trained" is written beside kinds that do not use it.
        let inner = integer("original_max_position_embeddings", default: context)
        let trained = outer ?? inner
        switch kind {
        case .none: return .none
        case .linear: return .linear(factor())
        case .dynamic: return .dynamic(factor(), trained: context)
        case .llama3:
            return .llama3(
                factor: factor(), low: Float(number("low_freq_factor")), high: Float(number("high_freq_factor")),
                trained: trained)
        case .yarn: return .yarn(yarn(context: context, trained: trained))
        case .divided: return divisors("divisors", pairs: pairs).map { .divided(by: $0) } ?? .none
        case .long: return long(context: context, trained: trained, pairs: pairs)
        }
    }

    private func divisors(_ key: String, pairs: Int) -> [Float]? {
        let divisors = optionalNumbers(key, in: 1e-6...1e9) ?? []
        guard divisors.count == pairs else {
            reject("\(key) has \(divisors.count) numbers for \(pairs) rotated pairs")
            return nil
        }
        return divisors.map { Float($0) }
    }

    /// LongRoPE (arXiv:2402.13753): cosines and sines grow by √(1 + ln factor / ln trained).
    private func long(context: Int, trained: Int, pairs: Int) -> Architecture.Rotary.Scaling {
        let (short, long) = (divisors("short_factor", pairs: pairs), divisors("long_factor", pairs: pairs))
        let factor = optionalNumber("factor", in: ConfigReader.factors) ?? Double(context) / Double(trained)
        let attention = factor <= 1 ? 1 : (1 + log(factor) / log(Double(trained))).squareRoot()
        guard let short, let long else { return .none }
        return .long(
            short: short, long: long, trained: trained,
            attention: Float(optionalNumber("attention_factor") ?? attention))
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
