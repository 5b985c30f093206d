import MartletJSON
import MartletLayers
import MartletPlanning

/// The planner's answer to a question of the case file.
enum Answer {
    case number(Double)
    case count(Count)
    case verdict(Bool)
    case several([String: Double])

    init(_ truth: GroundTruth) throws {
        let answered =
            try Answer.aboutParameters(truth) ?? Answer.aboutOperations(truth) ?? Answer.aboutMemory(truth)
            ?? Answer.aboutTraining(truth) ?? Answer.aboutTime(truth) ?? Answer.aboutScaling(truth)
        guard let answered else { throw Unanswered(ask: truth.ask) }
        self = answered
    }

    struct Unanswered: Error { let ask: String }

    private init(_ quantity: Quantity) {
        if let count = quantity.count { self = .count(count) } else { self = .number(quantity.amount) }
    }

    // MARK: - Parameters

    private static func aboutParameters(_ truth: GroundTruth) throws -> Answer? {
        switch truth.ask {
        case "total_parameters": Answer(ParameterCount(try truth.blueprint).total)
        case "total_parameters_matrices_only": Answer(ParameterCount(try truth.palm).matrices)
        case "active_parameters_per_token": Answer(ParameterCount(try truth.blueprint).active)
        case "active_parameters_without_input_embedding":
            Answer(ParameterCount(try truth.blueprint).activeWithoutTokenTable)
        case "non_embedding_parameters": Answer(ParameterCount(try truth.blueprint).nonEmbedding)
        case "total_parameters_formula":
            Answer(
                PublishedParameterFormula.megatron(
                    layers: truth.integer("layers"), width: truth.integer("hidden"), vocabulary: truth.integer("vocab"),
                    positions: truth.integer("seq")))
        case "N_2DV_4LD2_2LDI":
            Answer(
                PublishedParameterFormula.matricesUntied(
                    layers: truth.integer("L"), width: truth.integer("D"), vocabulary: truth.integer("V"),
                    hidden: truth.integer("I")))
        case "twelve_h2_plus_13h_total":
            Answer(
                PublishedParameterFormula.gpt(
                    layers: truth.integer("L"), width: truth.integer("h"), vocabulary: truth.integer("V"),
                    positions: truth.integer("P")))
        default: nil
        }
    }

    // MARK: - Operations

    private static func aboutOperations(_ truth: GroundTruth) throws -> Answer? {
        switch truth.ask {
        case "forward_flops": return Answer(OperationCount(try truth.blueprint).forward(truth.workload))
        case "backward_flops": return Answer(OperationCount(try truth.blueprint).backward(truth.workload))
        case "decode_flops_one_token":
            return Answer(
                OperationCount(try truth.blueprint)
                    .decode(context: truth.integer("context_including_new_token"), sequences: truth.integer("batch")))
        case "train_flops_6ND":
            return Answer(
                TrainingOperations.sixND(parameters: truth.number("parameters"), tokens: truth.number("tokens")))
        case "train_pf_days":
            let operations = TrainingOperations.sixND(
                parameters: truth.number("parameters"), tokens: truth.number("tokens"))
            return Answer(TrainingOperations.petaflopDays(operations.amount))
        case "train_flops_palm":
            let perToken = palmPerToken(try truth.palm, tokens: truth.integer("seq_len"))
            return .number(Double(perToken) * truth.number("tokens"))
        case "palm_flops_per_sequence":
            return .count(palmPerTokenWithoutPositions(try truth.blueprint, tokens: truth.integer("block_size")))
        case "flops_per_iteration_with_full_recompute":
            return Answer(truth.megatron.recomputedIteration(batch: truth.integer("global_batch")))
        case "two_D_plus_1_5_I":
            return Answer(MegatronShape.balancedLength(width: truth.integer("D"), gatedHidden: truth.integer("I")))
        default: return nil
        }
    }

    private static func palmPerToken(_ blueprint: Blueprint, tokens: Int) -> Count {
        let layers = blueprint.stacks[0].layers
        return TrainingOperations.palmPerToken(
            parameters: ParameterCount(blueprint).matrices.count ?? 0, layers: layers.count,
            heads: layers[0].attention.queryHeads, headWidth: layers[0].attention.headWidth, tokens: tokens
        ).count ?? 0
    }

    /// nanoGPT counts N without the positions.
    private static func palmPerTokenWithoutPositions(_ blueprint: Blueprint, tokens: Int) -> Count {
        let positions = blueprint.tensors.filter { $0.role == .positions }.reduce(Count(0)) { $0 + $1.elements }
        let attention = blueprint.stacks[0].layers[0].attention
        let perToken = TrainingOperations.palmPerToken(
            parameters: (ParameterCount(blueprint).total.count ?? 0) - positions,
            layers: blueprint.stacks[0].layers.count,
            heads: attention.queryHeads, headWidth: attention.headWidth, tokens: tokens)
        return (perToken.count ?? 0) * Count(tokens)
    }

    // MARK: - Memory of inference

    private static func aboutMemory(_ truth: GroundTruth) throws -> Answer? {
        switch truth.ask {
        case "kv_bytes_per_token", "kv_bytes_per_token_latent":
            return Answer(CacheFootprint(try truth.blueprint).bytesPerToken)
        case "kv_bytes":
            return Answer(CacheFootprint(try truth.blueprint).bytes(Workload(tokens: truth.integer("tokens"))))
        case "kv_bytes_self_plus_cross":
            let workload = Workload(
                tokens: truth.integer("decoder_tokens"), sourceTokens: truth.integer("encoder_tokens"))
            return Answer(CacheFootprint(try truth.blueprint).bytes(workload))
        case "max_kv_slots":
            let model = try GroundTruth.gpt(
                heads: 1, width: truth.integer("hidden"), layers: truth.integer("num_layers"))
            return Answer(CacheFootprint(model).slots(budget: Count(truth.number("kv_memory_gib")) << 30))
        case "bits_per_weight": return Answer(try truth.quantizedFile.bitsPerWeight)
        case "tensor_bytes_total": return .number(try truth.quantizedFile.tensorBytes.amount / 0x1p30)
        case "gpu_memory_mib":
            let tokens = truth.integer("prompt_tokens") + truth.integer("generated_tokens")
            let blueprint = try truth.blueprint
            let weights = try blueprint.weightBytes(.uniform(.bf16)).amount
            return .number((weights + CacheFootprint(blueprint).bytes(Workload(tokens: tokens)).amount) / 0x1p20)
        case "naive_memory":
            // The planner has no rule for activations as a share of the weights: the tenth is the tutorial's.
            let model = try GroundTruth.gpt(heads: 96, width: 12288, layers: 96)
            let weights = 2 * truth.number("num_params") / 0x1p30
            let cache = CacheFootprint(model).bytes(Workload(tokens: truth.integer("seq"))).amount / 0x1p30
            return .several([
                "model_weights_gb": weights, "kv_cache_gb": cache, "activations_gb": weights / 10,
                "total_memory_gb": weights * 1.1 + cache,
            ])
        default: return nil
        }
    }

    // MARK: - Memory of training

    private static let dropoutAndPlain = Activations(elementBytes: 2, dropout: .present, kernel: .plain)

    private static func aboutTraining(_ truth: GroundTruth) throws -> Answer? {
        switch truth.ask {
        case "model_state_gb_per_device":
            let states = ModelStates(
                parameters: truth.number("parameters"), weightBytes: truth.number("weight_bytes"),
                gradientBytes: truth.number("grad_bytes"), stateBytes: truth.number("optimizer_bytes"),
                stage: ShardingStage(rawValue: truth.integer("zero_stage")) ?? .none, dataParallel: truth.integer("dp"))
            return .number(states.bytes / 1e9)
        case "weights_grads_optimizer_gib_per_gpu": return .number(try states(truth))
        case "activation_gib_first_stage", "activation_gib_first_stage_tp_only": return .number(try activations(truth))
        case "fits_in_memory": return .verdict(try states(truth) + activations(truth) <= truth.number("memory_gib"))
        case "activation_saving_percent":
            let whole = try oneLayer(truth, recomputation: .none)
            return .number(100 * (1 - (try oneLayer(truth, recomputation: .selective)) / whole))
        case "saved_activation_bytes_one_block": return .number(try oneLayer(truth, recomputation: .none))
        default: return nil
        }
    }

    private static func oneLayer(_ truth: GroundTruth, recomputation: Recomputation) throws -> Double {
        let model = try GroundTruth.gpt(heads: truth.integer("heads"), width: truth.integer("hidden"), layers: 1)
        let layout = ParallelLayout(recomputation: recomputation, microBatch: max(1, truth.integer("batch")))
        return dropoutAndPlain.firstStage(
            model, Workload(tokens: truth.integer("seq")), layout: layout, microBatches: 1
        ).amount
    }

    private static func activations(_ truth: GroundTruth) throws -> Double {
        try dropoutAndPlain.firstStage(
            truth.korthikanti, Workload(tokens: truth.integer("seq")), layout: truth.layout, microBatches: 64
        ).amount / 0x1p30
    }

    private static func states(_ truth: GroundTruth) throws -> Double {
        let matrices = try truth.korthikanti.tensors.filter { $0.isMatrix && $0.role != .head }
        let parameters = matrices.reduce(0.0) { $0 + Double($1.elements) }
        let layout = truth.layout
        let states = ModelStates(
            parameters: parameters / Double(layout.tensor * layout.pipeline), weightBytes: 2, gradientBytes: 4,
            stateBytes: 12,
            stage: .none, dataParallel: 1)
        return states.bytes / 0x1p30
    }
}
