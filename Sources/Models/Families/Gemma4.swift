import MartletFormats
import MartletJSON
import MartletLayers
import MartletTensors

/// Gemma 4's text part: Gemma's norms and gates with normed values, layers that share keys and values with earlier
/// ones, wider heads where the whole text is seen, per-layer embeddings, and experts beside the feed-forward.
///
/// Source: Google's configurations of Gemma 4 E2B, E4B, 12B, 26B-A4B and 31B.
enum Gemma4: Family {
    static let modelTypes = ["gemma4_text", "gemma4_unified_text"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let isUnified = config.string("model_type") == "gemma4_unified_text"
        let width = config.integer("hidden_size", default: 2_304)
        let context = config.integer("max_position_embeddings", default: isUnified ? 262_144 : 131_072)
        let norm = Architecture.Norm.rms(epsilon: Float(config.number("rms_norm_eps", default: 1e-6)))
        let count = config.integer("num_hidden_layers", default: 30, in: ConfigReader.layers)
        var sliding = config.slidingLayers(count) ?? (0..<count).map { ($0 + 1) % 6 != 0 }
        // The reference has the last layer see the whole text, whatever is stated.
        sliding[count - 1] = false
        let attentions = attentions(config, norm, sliding, window: isUnified ? 1_024 : 512, context: context)
        let activation = config.activation("hidden_activation", default: .geluTanh)
        let hidden = config.integer("intermediate_size", default: 9_216)
        let doubles = config.bool("use_double_wide_mlp", default: false)
        let experts = isUnified ? nil : experts(config, hidden: hidden, activation, norm)
        let layers = attentions.map { attention in
            var own = hidden
            if doubles, case .layer = attention.keyValues { own *= 2 }
            var layer = Architecture.Layer(
                norm: norm, arrangement: .both, attention: attention,
                feedForward: experts.map { .experts($0) } ?? .gated(hidden: own, activation, bias: .absent))
            layer.outputScale = .present
            return layer
        }
        if doubles, experts != nil { config.reject("use_double_wide_mlp and enable_moe_block are not both supported") }
        let vocabulary = config.integer("vocab_size", default: 262_144)
        var embedding = Architecture.Embedding(scale: Float(Double(width).squareRoot()))
        if !isUnified { embedding.perLayer = perLayer(config, vocabulary: vocabulary, activation) }
        var head = config.tokenHead(tied: true)
        head.cap = config.cap("final_logit_softcapping", absent: nil)
        return Architecture(
            vocabulary: vocabulary, width: width, context: context, embedding: embedding,
            body: .decoder(.init(layers: layers, outputNorm: norm)), head: config.decoderHead(head))
    }

    private static func perLayer(
        _ config: ConfigReader, vocabulary: Int, _ activation: Architecture.Activation
    ) -> Architecture.Embedding.PerLayer? {
        let width = config.integer(orNull: "hidden_size_per_layer_input", absent: 256, in: 0...1 << 20) ?? 0
        let rows = config.integer("vocab_size_per_layer_input", default: 262_144)
        guard width > 0 else { return nil }
        if rows < vocabulary {
            config.reject("vocab_size_per_layer_input is \(rows), but there are \(vocabulary) tokens")
        }
        return .init(vocabulary: rows, width: width, activation: activation)
    }

    /// The experts stand beside the feed-forward that every row passes.
    private static func experts(
        _ config: ConfigReader, hidden: Int, _ activation: Architecture.Activation, _ norm: Architecture.Norm
    ) -> Architecture.Experts? {
        let keys = ["num_experts", "top_k_experts", "moe_intermediate_size", "expert_intermediate_size"]
        guard config.bool("enable_moe_block", default: false) else {
            for key in keys { config.ignore(key) }
            return nil
        }
        config.ignore("expert_intermediate_size")
        var experts = Architecture.Experts(
            count: config.integer("num_experts", in: ConfigReader.experts), active: config.integer("top_k_experts"),
            hidden: config.integer("moe_intermediate_size"), activation: activation, routing: .renormalised,
            shared: .init(hidden: hidden, gate: .absent))
        experts.ownNorms = norm
        return experts
    }

    private static func attentions(
        _ config: ConfigReader, _ norm: Architecture.Norm, _ sliding: [Bool], window: Int, context: Int
    ) -> [Architecture.Attention] {
        let size = config.integer("sliding_window", default: window)
        if config.json("use_bidirectional_attention")?.stringValue == "all" {
            config.reject("use_bidirectional_attention is all, but only text that is read forwards is supported")
        }
        let isJoint = config.bool("attention_k_eq_v", default: false)
        let heads = config.integer("num_attention_heads", default: 8)
        let keyHeads = config.integer("num_key_value_heads", default: 4)
        let headWidth = config.integer("head_dim", default: 256)
        let stated = statedSizes(config, layers: sliding.count)
        let wholeKeyHeads = config.optionalInteger("num_global_key_value_heads")
        let wholeWidth = config.integer("global_head_dim", default: 512)
        let whole = (keyHeads: isJoint ? wholeKeyHeads ?? keyHeads : keyHeads, headWidth: wholeWidth)
        let nested = config.optionalObject("rope_parameters")
        let (slidingTurns, wholeTurns) = (
            nested?.optionalObject("sliding_attention"), nested?.optionalObject("full_attention")
        )
        let bias: Architecture.AttentionBias = config.bool("attention_bias", default: false) ? .all : .none
        guard case .rms(let epsilon, _) = norm else { return [] }
        let sources = sources(config, sliding)
        return sliding.enumerated().map { index, slides in
            let usual = slides || stated != nil ? (keyHeads: keyHeads, headWidth: headWidth) : whole
            let own = stated?[index]
            let width = own?.headWidth ?? usual.headWidth
            let turns =
                slides
                ? rotary(slidingTurns, width, context, base: 1e4, share: nil)
                : rotary(wholeTurns, width, context, base: 1e6, share: 0.25)
            var attention = Architecture.Attention(
                queryHeads: heads, keyHeads: own?.keyHeads ?? usual.keyHeads, headWidth: width, scale: 1,
                reach: slides ? .window(size) : .past, positions: .rotary(turns), bias: bias, queryKeyNorm: norm)
            attention.valueNorm = .unweightedRMS(epsilon: epsilon)
            attention.keyValues = sources[index].map { .layer($0) } ?? (isJoint && !slides ? .keysAsValues : .own)
            return attention
        }
    }

    /// The sizes of single layers, by their numbers, where they are stated one by one: then the sizes for layers that
    /// see the whole text do not count.
    private static func statedSizes(
        _ config: ConfigReader, layers: Int
    ) -> [Int: (keyHeads: Int?, headWidth: Int?)]? {
        guard let all = config.optionalObject("per_layer_config") else { return nil }
        var stated: [Int: (keyHeads: Int?, headWidth: Int?)] = [:]
        for index in 0..<layers {
            guard let own = all.optionalObject("\(index)") else { continue }
            stated[index] = (own.optionalInteger("num_key_value_heads"), own.optionalInteger("head_dim"))
        }
        return stated
    }

    /// For each layer the one whose keys and values it reads: the last of its kind that has its own; nil for those that
    /// have.
    static func sources(_ config: ConfigReader, _ sliding: [Bool], default count: Int = 0) -> [Int?] {
        let shared = config.integer("num_kv_shared_layers", default: count, in: 0...sliding.count)
        let own = sliding.dropLast(shared)
        return sliding.enumerated().map { index, slides in
            guard index >= own.count else { return nil }
            let source = own.lastIndex(of: slides)
            if source == nil { config.reject("layer \(index) has no earlier layer of its kind to share keys with") }
            return source
        }
    }

    /// The rotation where the whole text is seen: the first quarter of the pairs turns, at whole heads' frequencies.
    private static func rotary(
        _ nested: ConfigReader?, _ width: Int, _ context: Int, base: Double, share: Double?
    ) -> Architecture.Rotary {
        guard let nested else {
            let turned = share.map { Int($0 * Double(width)) / 2 }
            return .init(
                width: width, base: Float(base),
                scaling: turned.map { .proportional(turned: $0, factor: 1) } ?? .none)
        }
        guard nested.json("rope_type")?.stringValue == "proportional" else {
            return nested.nestedRotary(headWidth: width, context: context, base: base)
        }
        nested.ignore("rope_type")
        let share = nested.number("partial_rotary_factor", default: 1, in: 0...1)
        return .init(
            width: width, base: Float(nested.number("rope_theta", default: base, in: 1...1e30)),
            scaling: .proportional(
                turned: Int(share * Double(width)) / 2,
                factor: Float(nested.number("factor", default: 1, in: 1e-6...1e9))))
    }

    static let prefixes = Llama.prefixes
    /// Checkpoints keep projections that layers with shared keys do not use.
    static let unused =
        Llama.unused + ["k_proj.weight", "v_proj.weight", "k_norm.weight"].map { "layers.#.self_attn.\($0)" }

    static func names(_ architecture: Architecture) -> WeightNames {
        let (ours, block, expert) = ("decoder.#.feedForward", "layers.#", "decoder.#.feedForward.experts.##")
        let names = Llama.names(architecture).adding(.llamaWithNormsAfter(before: true)).adding([
            "decoder.#.attention.normAfter": "layers.#.post_attention_layernorm",
            "decoder.perLayer": "embed_tokens_per_layer",
            "decoder.perLayer.projection": "per_layer_model_projection",
            "decoder.perLayer.norm": "per_layer_projection_norm",
            "decoder.#.perLayer.gate": "layers.#.per_layer_input_gate",
            "decoder.#.perLayer.projection": "layers.#.per_layer_projection",
            "decoder.#.perLayer.norm": "layers.#.post_per_layer_input_norm",
            "decoder.#.scale": "layers.#.layer_scalar",
            "\(ours).shared.gate": WeightName("\(block).mlp.gate_proj"),
            "\(ours).shared.up": WeightName("\(block).mlp.up_proj"),
            "\(ours).shared.down": WeightName("\(block).mlp.down_proj"),
            "\(ours).sharedAfter": WeightName("\(block).post_feedforward_layernorm_1"),
            "\(ours).expertsBefore": WeightName("\(block).pre_feedforward_layernorm_2"),
            "\(ours).expertsAfter": WeightName("\(block).post_feedforward_layernorm_2"),
            "\(ours).router": WeightName("\(block).router.proj"),
            "\(ours).router.norm.weight": WeightName("\(block).router.scale"),
            "\(ours).router.scales": WeightName("\(block).router.per_expert_scale"),
        ])
        guard case .decoder(let stack) = architecture.body, case .experts(let form)? = stack.layers.first?.feedForward
        else { return names }
        let gates = WeightName(
            "\(block).experts.gate_up_proj",
            .stackedRows(count: form.count, of: ["\(expert).gate.weight", "\(expert).up.weight"]))
        return names.adding([
            "\(expert).gate.weight": gates,
            "\(expert).up.weight": gates,
            "\(expert).down.weight": WeightName("\(block).experts.down_proj", .stacked(count: form.count)),
        ])
    }

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        let (ours, expert) = ("decoder.#.feedForward", "decoder.#.feedForward.experts.##")
        let names = GGUFNames.decoder.adding(GGUFNames.normsAfter).adding([
            "decoder.perLayer": "per_layer_token_embd",
            "decoder.perLayer.projection": "per_layer_model_proj",
            "decoder.perLayer.norm": "per_layer_proj_norm",
            "decoder.#.perLayer.gate": "blk.#.inp_gate",
            "decoder.#.perLayer.projection": "blk.#.proj",
            "decoder.#.perLayer.norm": "blk.#.post_norm",
            "decoder.#.scale": "blk.#.layer_output_scale.weight",
        ])
        guard case .decoder(let stack) = architecture.body, case .experts(let form)? = stack.layers.first?.feedForward
        else { return names }
        let gates = WeightName(
            "blk.#.ffn_gate_up_exps.weight",
            .stackedRows(count: form.count, of: ["\(expert).gate.weight", "\(expert).up.weight"]))
        return names.adding([
            "\(ours).shared.gate": "blk.#.ffn_gate",
            "\(ours).shared.up": "blk.#.ffn_up",
            "\(ours).shared.down": "blk.#.ffn_down",
            "\(ours).sharedAfter": "blk.#.post_ffw_norm_1",
            "\(ours).expertsBefore": "blk.#.pre_ffw_norm_2",
            "\(ours).expertsAfter": "blk.#.post_ffw_norm_2",
            "\(ours).router": "blk.#.ffn_gate_inp",
            "\(ours).router.norm.weight": "blk.#.ffn_gate_inp.scale",
            "\(ours).router.scales": "blk.#.ffn_down_exps.scale",
            "\(expert).gate.weight": gates,
            "\(expert).up.weight": gates,
            "\(expert).down.weight": WeightName("blk.#.ffn_down_exps.weight", .stacked(count: form.count)),
        ])
    }
}
