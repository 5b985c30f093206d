import MartletFormats
import MartletLayers
import MartletPlatform

/// The settings in which layers may differ, and those of their routers and latent attention.
extension GGUFSettings {
    /// Sets a key to one number where all layers have the same, else to all of them.
    mutating func set(_ key: String, _ values: [Int]) {
        guard let first = values.first, values.contains(where: { $0 != first }) else {
            return set(key, values.first ?? 0)
        }
        metadata["\(dialect.architecture).\(key)"] = .array(GGUFArray(values.map { UInt32(clamping: $0) }))
    }

    mutating func addFeedForwards() {
        var experts: Architecture.Experts?
        let hidden = stack.layers.map { layer -> Int? in
            switch layer.feedForward {
            case .plain(let hidden, _, _), .gated(let hidden, _, _), .expandedIntegral(let hidden): return hidden
            case .experts(let form):
                experts = experts ?? form
                return nil
            }
        }
        let dense = hidden.compactMap { $0 }
        guard let experts else { return set("feed_forward_length", dense) }
        if let largest = dense.max() { set("feed_forward_length", largest) }
        addExperts(experts, hasDense: !dense.isEmpty)
    }

    private mutating func addExperts(_ experts: Architecture.Experts, hasDense: Bool) {
        set("expert_count", experts.count)
        set("expert_used_count", experts.active)
        if ["llama", "granitemoe", "olmoe", "phimoe", "nomic-bert-moe"].contains(dialect.architecture) {
            set("feed_forward_length", experts.hidden)
        } else {
            set("expert_feed_forward_length", experts.hidden)
            // No layer needs it, but ggml asks for it.
            if !hasDense { set("feed_forward_length", experts.hidden * experts.active) }
        }
        if dialect.architecture == "nomic-bert-moe" {
            // From the second layer on.
            let places = sparse.indices.filter { sparse[$0] }
            set("moe_every_n_layers", places.count > 1 ? places[1] - places[0] : stack.layers.count)
        }
        switch dialect.experts {
        case .counted: if let shared = experts.shared { set("expert_shared_feed_forward_length", shared.hidden) }
        case .routed: addRouting(experts)
        case .interleaved: addPlaces(experts)
        }
    }

    /// The sparse layers: for each whether it has experts.
    private var sparse: [Bool] {
        stack.layers.map { layer in if case .experts = layer.feedForward { true } else { false } }
    }

    private mutating func addRouting(_ experts: Architecture.Experts) {
        let routing = experts.routing
        set("leading_dense_block_count", sparse.firstIndex(of: true) ?? sparse.count)
        set("expert_shared_count", (experts.shared?.hidden ?? 0) / max(1, experts.hidden))
        set("expert_weights_scale", routing.factor)
        metadata["\(dialect.architecture).expert_weights_norm"] = .bool(routing.weights == .renormalised)
        set("expert_gating_func", routing.scores == .sigmoid ? 2 : 1)
        set("expert_group_count", routing.groups?.count ?? 1)
        set("expert_group_used_count", routing.groups?.active ?? 1)
    }

    /// Sets which layers have experts: every so many, behind so many.
    private mutating func addPlaces(_ experts: Architecture.Experts) {
        let places = sparse.indices.filter { sparse[$0] }
        let step = places.count > 1 ? places[1] - places[0] : (places.first ?? 0) + 1
        set("interleave_moe_layer_step", step)
        guard dialect.architecture != "llama4" else { return }
        set("leading_dense_block_count", step == 1 ? places.first ?? 0 : 0)
        guard let shared = experts.shared else { return }
        set("expert_shared_count", shared.hidden / max(1, experts.hidden))
        set("expert_shared_feed_forward_length", shared.hidden)
    }

    mutating func addLatent(_ latent: Architecture.Latent) {
        if let query = latent.query { set("attention.q_lora_rank", query) }
        set("attention.kv_lora_rank", latent.keyValue)
        set("attention.key_length", layer.attention.headWidth)
        set("attention.value_length", latent.valueWidth)
    }

    /// Sets YaRN's factor on the scores of latent attention.
    ///
    /// - Returns: whether the format says the growth of cosines and sines by this, too.
    mutating func addGrowth(_ yarn: Architecture.Rotary.Yarn) -> Bool {
        guard yarn.attention == 1, yarn.factor > 1 else { return false }
        let key = "rope.scaling.yarn_log_multiplier"
        if dialect.architecture == "mistral3" {
            set(key, Float(1))
            return true
        }
        guard layer.attention.latent != nil, let weight = scoreWeight(yarn) else { return false }
        set(key, Float(weight * 0.1))
        return true
    }

    /// The weight by which the scale of the scores follows from the stretching, in as few digits as give its bits back.
    private func scoreWeight(_ yarn: Architecture.Rotary.Yarn) -> Double? {
        let root = Double(layer.attention.headWidth).squareRoot()
        let perWeight = 0.1 * log(Double(yarn.factor))
        let exact = ((Double(layer.attention.scale) * root).squareRoot() - 1) / perWeight
        guard exact > 1e-6 else { return nil }
        for digits in [10.0, 1e2, 1e3, 1e4, 1e5, 1e6] {
            let weight = GGUFConfig.weight(ofMultiplier: Float((exact * digits).rounded() / digits * 0.1))
            let growth = weight * perWeight + 1
            if Float(growth * growth / root) == layer.attention.scale { return weight }
        }
        return exact
    }
}
