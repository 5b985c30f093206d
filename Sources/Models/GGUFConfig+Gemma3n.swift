import MartletFormats
import MartletJSON
import MartletLayers
import MartletPlatform

/// Gemma 3n's settings: which layers slide, share keys and values, and have sparse gates.
///
/// Source: llama.cpp's conversion of Gemma 3n and its loader.
extension GGUFConfig {
    mutating func readGemma3n() throws {
        guard dialect.modelType == "gemma3n_text" else { return }
        let layers = config["num_hidden_layers"]?.integerValue ?? 0
        if let slides = metadata["attention.sliding_window_pattern"]?.arrayValue?.compactMap(\.boolValue) {
            config["layer_types"] = .array(slides.map { $0 ? "sliding_attention" : "full_attention" })
        }
        // Where nothing is said, ggml has the first twenty layers keep their own.
        config["num_kv_shared_layers"] = metadata["attention.shared_kv_layers"] ?? .integer(max(0, layers - 20))
        if let scales = metadata["activation_sparsity_scale"]?.arrayValue?.compactMap(\.doubleValue) {
            config["activation_sparsity_pattern"] = .array(scales.map { .number(GGUFConfig.share(beyond: $0)) })
        }
        if let rank = tensors.extents("blk.0.laurel_l.weight")?.first { config["laurel_rank"] = .integer(rank) }
        if let rows = tensors.extents("per_layer_token_embd.weight")?.first {
            config["vocab_size_per_layer_input"] = .integer(rows)
        }
        guard var sizes = config[LayerSizes.key]?.objectValue, let hidden = sizes["feed_forward_length"] else { return }
        config["intermediate_size"] = hidden
        sizes["feed_forward_length"] = nil
        config[LayerSizes.key] = sizes.isEmpty ? nil : .object(sizes)
    }

    /// The share of gates that are left out where so many standard deviations are asked for, in as few digits as give
    /// these back.
    private static func share(beyond deviations: Double) -> Double {
        guard deviations != 0 else { return 0 }
        let share = NormalDistribution.share(below: deviations)
        let rounded = (share * 1e6).rounded() / 1e6
        guard rounded > 0, rounded < 1 else { return share }
        return Float(NormalDistribution.quantile(rounded)) == Float(deviations) ? rounded : share
    }
}

extension GGUFSettings {
    /// The inverse.
    mutating func addGemma3n() {
        guard dialect.architecture == "gemma3n" else { return }
        let slides = stack.layers.map { if case .window = $0.attention.reach { true } else { false } }
        metadata["gemma3n.attention.sliding_window_pattern"] = .array(GGUFArray(slides))
        set("attention.shared_kv_layers", stack.layers.count { !$0.attention.keepsKeyValues })
        set("embedding_length_per_layer_input", architecture.embedding.perLayer?.width ?? 0)
        set("altup.active_idx", stack.streams?.active ?? 0)
        set("altup.num_inputs", stack.streams?.count ?? 1)
        metadata["gemma3n.activation_sparsity_scale"] = .array(GGUFArray(stack.layers.map { $0.gateDeviations ?? 0 }))
    }
}
