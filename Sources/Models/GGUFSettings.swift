import MartletFormats
import MartletLayers
import MartletPlatform
import MartletTensors

/// A model's description as GGUF metadata: the inverse of ``GGUFConfig``.
///
/// Not everything can be said; whoever writes the file reads the settings back and compares.
struct GGUFSettings {
    var metadata: GGUFMetadata = [:]
    /// Small tensors that are settings: divisors of rotary frequencies.
    private(set) var tensors: [(name: String, tensor: Tensor)] = []
    let architecture: Architecture
    let dialect: GGUFDialect
    let stack: Architecture.Stack
    let layer: Architecture.Layer

    /// - Throws: ``ModelError`` for a model without layers.
    init(_ architecture: Architecture, _ dialect: GGUFDialect) throws(ModelError) {
        let stack = architecture.firstStack
        guard let layer = stack.layers.first else { throw ModelError("a model without layers has no words in GGUF") }
        (self.architecture, self.dialect, self.stack, self.layer) = (architecture, dialect, stack, layer)
        metadata["general.architecture"] = .string(dialect.architecture)
        metadata["general.type"] = .string("model")
        addSizes()
        addAttention()
        addRotary()
        addFeedForwards()
        addGemma3n()
        addGemma4()
        addEncoder()
    }

    /// The settings of encoders and encoder-decoders beside those of decoders.
    private mutating func addEncoder() {
        if case .buckets(let count, _) = layer.attention.positions { addT5(buckets: count) }
        if case .layerBuckets(let count, _) = layer.attention.positions { addT5(buckets: count) }
        guard case .encoder = architecture.body, dialect.modelType != "t5" else { return }
        metadata["\(dialect.architecture).attention.causal"] = .bool(false)
        // Pooled by a head that ranks or labels.
        if architecture.classifies { set("pooling_type", GGUFHead.pooling) }
        guard dialect.architecture == "modern-bert" else { return }
        for (index, layer) in stack.layers.enumerated() {
            guard case .around(let size) = layer.attention.reach, case .rotary(let rotary) = layer.attention.positions
            else { continue }
            set("attention.sliding_window", 2 * size)
            set("rope.freq_base_swa", rotary.base)
            // Layers that see all come first of every so many.
            let period = stack.layers.dropFirst(index).firstIndex { $0.attention.reach == .all } ?? stack.layers.count
            return set("attention.sliding_window_pattern", period)
        }
    }

    /// The settings of T5; readers know how far its buckets reach.
    private mutating func addT5(buckets: Int) {
        set("attention.relative_buckets_count", buckets)
        set("attention.layer_norm_epsilon", layer.norm.epsilon)
        set("attention.key_length", layer.attention.headWidth)
        set("attention.value_length", layer.attention.headWidth)
        if case .encoderDecoder(_, let decoder) = architecture.body {
            set("decoder_block_count", decoder.layers.count)
            // That of all published models; a file that says another is read as it says.
            set("decoder_start_token_id", 0)
        }
    }

    mutating func set(_ key: String, _ value: Int) {
        metadata["\(dialect.architecture).\(key)"] = .uint32(UInt32(clamping: value))
    }

    mutating func set(_ key: String, _ value: Float) {
        metadata["\(dialect.architecture).\(key)"] = .float32(value)
    }

    private mutating func addSizes() {
        // ggml wants a number even where positions have no limit.
        set("context_length", architecture.context ?? 2_048)
        set("embedding_length", architecture.width)
        set("block_count", stack.layers.count)
        set("vocab_size", architecture.vocabulary)
        switch layer.norm {
        case .layer(let epsilon) where dialect.architecture == "phimoe":
            set("attention.layer_norm_rms_epsilon", epsilon)
        case .layer(let epsilon), .layerWithoutBias(let epsilon), .unweighted(let epsilon):
            set("attention.layer_norm_epsilon", epsilon)
        case .unweightedRMS(let epsilon), .rms(let epsilon, _): set("attention.layer_norm_rms_epsilon", epsilon)
        }
        if ["gptneox", "stablelm"].contains(dialect.architecture) {
            metadata["\(dialect.architecture).use_parallel_residual"] = .bool(
                [.parallelSeparate, .parallelShared].contains(layer.arrangement))
        }
        addMultipliers()
        if dialect.architecture == "falcon" { metadata["falcon.tensor_data_layout"] = .string("jploski") }
        if case .tokens(let head) = architecture.head, let cap = head.cap { set("final_logit_softcapping", cap) }
    }

    /// Granite's multipliers and Cohere's of the logits; ALiBi's steepest slope.
    private mutating func addMultipliers() {
        if case .linearBias = layer.attention.positions, dialect.architecture == "mpt" {
            set("attention.max_alibi_bias", Float(8))
        }
        guard dialect.otherKeys.keys.contains("logit_scale"), case .tokens(let head) = architecture.head else { return }
        guard dialect.otherKeys.keys.contains("residual_scale") else { return set("logit_scale", head.scale) }
        set("logit_scale", Float(1 / Double(head.scale)))
        set("embedding_scale", architecture.embedding.scale)
        set("residual_scale", Float(1))
        set("attention.scale", layer.attention.scale)
    }

    private mutating func addAttention() {
        let attention = layer.attention
        set("attention.head_count", stack.layers.map(\.attention.queryHeads))
        if !["gpt2", "gptneox"].contains(dialect.architecture) {
            set("attention.head_count_kv", stack.layers.map(\.attention.keyHeads))
        }
        if let latent = attention.latent { return addLatent(latent) }
        if let growth = attention.queryGrowth, dialect.architecture == "mistral3" {
            set("attention.temperature_scale", growth.factor)
        }
        let hasOwnDefault = [
            "gemma", "gemma2", "gemma3", "gemma3n", "qwen3", "glm4", "ernie4_5", "seed_oss", "gpt-oss", "qwen3vl",
            "qwen3vlmoe",
            "llama4", "mistral3",
        ].contains(dialect.architecture)
        if attention.queryWidth != architecture.width || hasOwnDefault {
            set("attention.key_length", attention.headWidth)
            set("attention.value_length", attention.headWidth)
        }
        if let cap = attention.scoreCap { set("attn_logit_softcapping", cap) }
        if let limit = attention.inputLimit, ["olmo", "mpt"].contains(dialect.architecture) {
            set("attention.clamp_kqv", limit)
        }
        let windows = stack.layers.map { layer -> Int? in
            if case .window(let size) = layer.attention.reach { size } else { nil }
        }
        if let window = windows.compactMap({ $0 }).first { set("attention.sliding_window", window) }
        guard dialect.architecture == "gemma2" || dialect.architecture == "gemma3" else { return }
        let period = dialect.architecture == "gemma2" ? 2 : 6
        if windows.indices.contains(where: { (windows[$0] != nil) != (($0 + 1) % period != 0) }) {
            metadata["\(dialect.architecture).attention.sliding_window_pattern"] = .array(
                GGUFArray(windows.map { $0 != nil }))
        }
    }

    private mutating func addRotary() {
        let all = stack.layers.compactMap { layer -> (isWhole: Bool, rotary: Architecture.Rotary)? in
            guard case .rotary(let rotary) = layer.attention.positions else { return nil }
            return ([.past, .all].contains(layer.attention.reach), rotary)
        }
        guard let rotary = (all.first { $0.isWhole } ?? all.first)?.rotary else { return }
        // ggml turns pairs only: said of an odd width, nothing is, and the file is then refused.
        if rotary.width.isMultiple(of: 2) { set("rope.dimension_count", rotary.width) }
        set("rope.freq_base", rotary.base)
        if ["gemma3", "gemma3n"].contains(dialect.architecture), let other = all.first(where: { !$0.isWhole })?.rotary {
            set("rope.freq_base_swa", other.base)
        }
        switch rotary.scaling {
        case .none, .dynamic: break
        case .linear(let factor): setScaling("linear", factor)
        case .llama3: add(RotaryFrequencies(rotary).divisors, "rope_freqs.weight")
        case .ntk: add(RotaryFrequencies(rotary).divisors, "rope_freqs.weight")
        case .proportional(let turned, let factor):
            add((0..<rotary.pairs).map { $0 < turned ? factor : 1e30 }, "rope_freqs.weight")
        case .divided(let divisors): add(divisors, "rope_freqs.weight")
        case .long(let short, let long, let trained, let attention):
            set("rope.scaling.original_context_length", trained)
            set("rope.scaling.attn_factor", attention)
            add(short, "rope_factors_short.weight")
            add(long, "rope_factors_long.weight")
        case .yarn(let yarn):
            setScaling("yarn", yarn.factor)
            set("rope.scaling.original_context_length", yarn.trained)
            set("rope.scaling.yarn_beta_fast", yarn.fast)
            set("rope.scaling.yarn_beta_slow", yarn.slow)
            if addGrowth(yarn) { break }
            let usual = 1 + 0.1 * log(max(1, Double(yarn.factor)))
            if yarn.attention != Float(usual) { set("rope.scaling.attn_factor", Float(Double(yarn.attention) / usual)) }
        }
    }

    private mutating func setScaling(_ type: String, _ factor: Float) {
        metadata["\(dialect.architecture).rope.scaling.type"] = .string(type)
        set("rope.scaling.factor", factor)
    }

    private mutating func add(_ divisors: [Float], _ name: String) {
        tensors.append((name, Tensor(divisors, shape: [divisors.count])))
    }
}
