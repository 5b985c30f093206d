import MartletFormats
import MartletLayers
import MartletTensors

/// gpt-oss: a sink in each head's softmax, a window in every second layer, biases everywhere, gates that are cut off.
///
/// Source: arXiv:2508.10925. Checkpoints keep an expert's gates and what passes them in turn, row by row; published
/// ones in MXFP4.
enum GPTOSS: Family {
    static let modelTypes = ["gpt_oss"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        var model = LlamaLike(
            config,
            .init(
                vocabulary: 201_088, width: 2_880, hidden: 2_880, layers: 36, heads: 64, context: 131_072, keyHeads: 8,
                headWidth: 64, epsilon: 1e-5, base: 150_000, biased: true),
            rotary: { headWidth, context in
                let base = config.number("rope_theta", default: 150_000, in: 1...1e30)
                guard config.rotaryParameters() == nil else {
                    return config.rotary(headWidth: headWidth, context: context, base: base)
                }
                let attention = Float(1 + 0.1 * 3.4657359027997265)  // ln 32
                return .init(
                    width: headWidth, base: Float(base),
                    scaling: .yarn(
                        .init(factor: 32, fast: 32, slow: 1, trained: 4_096, attention: attention, ends: .exact)))
            })
        model.layer.attention.sinks = .present
        if case .gated(let hidden, _, _) = model.layer.feedForward {
            model.layer.feedForward = .experts(experts(config, hidden: hidden))
        }
        let window = config.integer(orNull: "sliding_window", absent: 128)
        let sliding = model.sliding(allBut: 2)
        return model.architecture { index, layer in
            if sliding[index], let window { layer.attention.reach = .window(window) }
        }
    }

    private static func experts(_ config: ConfigReader, hidden: Int) -> Architecture.Experts {
        let slope = config.number("swiglu_alpha", default: 1.702, in: 0...1e3)
        if slope != 1.702 { config.reject("swiglu_alpha is \(slope); only 1.702 is supported") }
        // The best are taken first and the softmax then, which is the softmax over all, rescaled.
        var experts = Architecture.Experts(
            count: config.integer("num_local_experts", "num_experts", default: 128, in: ConfigReader.experts),
            active: config.integer("num_experts_per_tok", "experts_per_token", default: 4), hidden: hidden,
            activation: .geluSigmoid, routing: .renormalised)
        experts.bias = .present
        experts.limit = Float(config.number("swiglu_limit", default: 7, in: 1e-6...1e6))
        return experts
    }

    /// Keys that name its experts' activation once more, and the context before stretching.
    static let harmlessKeys = ["hidden_act", "initial_context_length"]
    static let prefixes = Llama.prefixes
    static let unused = Llama.unused

    static func names(_ architecture: Architecture) -> WeightNames {
        guard let (count, hidden) = experts(architecture) else { return [:] }
        let (expert, place) = ("decoder.#.feedForward.experts.##", "layers.#.mlp.experts")
        func gates(_ part: String, _ name: String, transposed: Bool) -> WeightName {
            WeightName(
                "\(place).\(name)",
                .stackedRows(
                    count: count, of: ["\(expert).gate.\(part)", "\(expert).up.\(part)"], groups: hidden,
                    transposed: transposed))
        }
        let weights = gates("weight", "gate_up_proj", transposed: true)
        let biases = gates("bias", "gate_up_proj_bias", transposed: false)
        return Llama.names(architecture).adding([
            "decoder.#.attention.sinks": "layers.#.self_attn.sinks",
            "decoder.#.feedForward.router": "layers.#.mlp.router",
            "\(expert).gate.weight": weights,
            "\(expert).up.weight": weights,
            "\(expert).gate.bias": biases,
            "\(expert).up.bias": biases,
            "\(expert).down.weight": WeightName("\(place).down_proj", .stacked(count: count, transposed: true)),
            "\(expert).down.bias": WeightName("\(place).down_proj_bias", .stacked(count: count)),
        ])
    }

    /// Matrices that were unpacked stand one by one, as `[outputs, inputs]`.
    static func names(_ architecture: Architecture, storedAs tensors: StoredTensors) -> WeightNames {
        let isUnpacked = prefixes.contains { tensors["\($0)layers.0.mlp.experts.0.down_proj.weight"] != nil }
        guard isUnpacked else { return names(architecture) }
        let (expert, place) = ("decoder.#.feedForward.experts.##", "layers.#.mlp.experts.##")
        return names(architecture).adding([
            "\(expert).gate.weight": WeightName("\(place).gate_proj.weight"),
            "\(expert).up.weight": WeightName("\(place).up_proj.weight"),
            "\(expert).down.weight": WeightName("\(place).down_proj.weight"),
        ])
    }

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        GGUFNames.decoder.adding(GGUFNames.experts(architecture)).adding([
            "decoder.#.attention.sinks": "blk.#.attn_sinks.weight",
            "decoder.#.feedForward.normBefore": "blk.#.post_attention_norm",
        ])
    }

    private static func experts(_ architecture: Architecture) -> (count: Int, hidden: Int)? {
        guard case .decoder(let stack) = architecture.body, case .experts(let form) = stack.layers.first?.feedForward
        else { return nil }
        return (form.count, form.hidden)
    }
}
