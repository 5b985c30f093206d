import MartletFormats
import MartletLayers
import MartletTensors

/// Granite 3 and its mixture of experts, HyperCLOVA X: Llama with multipliers on token vectors, sublayers, scores and
/// logits.
///
/// Sources: IBM's configurations, arXiv:2203.03466 (multipliers). What each sublayer adds is multiplied by m. The
/// stream is kept divided by m instead, which no RMSNorm sees but in its epsilon: y = x / m, y' = y + f(norm(y; epsilon
/// / m²)).
enum Granite: Family {
    static let modelTypes = ["granite", "granitemoe", "hyperclovax"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let modelType = config.string("model_type")
        let positive = 1e-6...1e6
        let residual = config.number("residual_multiplier", default: 1, in: positive)
        let isHyperCLOVA = modelType == "hyperclovax"
        var model = LlamaLike(
            config,
            .init(
                headWidth: nil,
                feedForwardBiasKey: modelType == "granitemoe" ? nil : "mlp_bias")
        ) { .rms(epsilon: Float(Double($0) / (residual * residual))) }
        model.embedding.scale = Float(config.number("embedding_multiplier", default: 1, in: positive) / residual)
        let usual = isHyperCLOVA ? 1 / Double(model.layer.attention.headWidth).squareRoot() : 1
        model.layer.attention.scale = Float(config.number("attention_multiplier", default: usual, in: positive))
        let logits = config.number("logits_scaling", default: 1, in: positive)
        model.head.scale = Float(isHyperCLOVA ? logits : 1 / logits)
        if isHyperCLOVA, config.bool("use_post_norm", default: true) {
            model.layer.arrangement = .both
            // These norms see what a sublayer gives, which is not divided.
            model.layer.normAfter = .rms(epsilon: Float(config.number("rms_norm_eps", default: 1e-6)))
        }
        if modelType == "granitemoe" { addExperts(config, &model) }
        return model.architecture()
    }

    private static func addExperts(_ config: ConfigReader, _ model: inout LlamaLike) {
        guard case .gated(let hidden, let activation, _) = model.layer.feedForward else { return }
        model.layer.feedForward = .experts(
            .init(
                count: config.integer("num_local_experts", default: 8, in: ConfigReader.experts),
                active: config.integer("num_experts_per_tok", default: 2), hidden: hidden, activation: activation,
                routing: .renormalised))
    }

    static let prefixes = Llama.prefixes
    static let unused = Llama.unused

    static func names(_ architecture: Architecture) -> WeightNames {
        guard case .decoder(let stack) = architecture.body, let layer = stack.layers.first else { return [:] }
        let names = Llama.names(architecture)
        if layer.arrangement == .both {
            return names.adding([
                "decoder.#.attention.normAfter": "layers.#.post_norm1",
                "decoder.#.feedForward.normAfter": "layers.#.post_norm2",
            ])
        }
        guard case .experts(let experts) = layer.feedForward else { return names }
        let expert = "decoder.#.feedForward.experts.##"
        let gates = WeightName(
            "layers.#.block_sparse_moe.input_linear.weight",
            .stackedRows(count: experts.count, of: ["\(expert).gate.weight", "\(expert).up.weight"]))
        return names.adding([
            "decoder.#.feedForward.router": "layers.#.block_sparse_moe.router.layer",
            "\(expert).gate.weight": gates,
            "\(expert).up.weight": gates,
            "\(expert).down.weight": WeightName(
                "layers.#.block_sparse_moe.output_linear.weight", .stacked(count: experts.count)),
        ])
    }

    /// The names of the experts as transformers holds them in memory, in files of a state dict.
    static func names(_ architecture: Architecture, storedAs tensors: StoredTensors) -> WeightNames {
        let names = names(architecture)
        guard tensors.names.contains(where: { $0.hasSuffix("block_sparse_moe.experts.gate_up_proj") }),
            case .decoder(let stack) = architecture.body, case .experts(let experts)? = stack.layers.first?.feedForward
        else { return names }
        let (expert, block) = ("decoder.#.feedForward.experts.##", "layers.#.block_sparse_moe")
        let gates = WeightName(
            "\(block).experts.gate_up_proj",
            .stackedRows(count: experts.count, of: ["\(expert).gate.weight", "\(expert).up.weight"]))
        return names.adding([
            "decoder.#.feedForward.router": WeightName("\(block).router"),
            "\(expert).gate.weight": gates,
            "\(expert).up.weight": gates,
            "\(expert).down.weight": WeightName("\(block).experts.down_proj", .stacked(count: experts.count)),
        ])
    }

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        let names = Llama.ggufNames(architecture, modelType: "llama")
        return modelType == "granitemoe" ? names.adding(GGUFNames.experts(architecture)) : names
    }
}
