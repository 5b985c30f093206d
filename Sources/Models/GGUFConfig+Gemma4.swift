import MartletFormats
import MartletJSON
import MartletLayers

/// Gemma 4's settings: sizes that differ between layers that slide and those that see the whole text.
///
/// Source: llama.cpp's conversion of Gemma 4 and its loader.
extension GGUFConfig {
    mutating func readGemma4() throws {
        guard dialect.modelType == "gemma4_text" else { return }
        let slides = metadata["attention.sliding_window_pattern"]?.arrayValue?.compactMap(\.boolValue) ?? []
        config["layer_types"] = .array(slides.map { $0 ? "sliding_attention" : "full_attention" })
        let whole = slides.firstIndex(of: false)
        let hasValues = whole.map { tensors.extents("blk.\($0).attn_v.weight") != nil } ?? true
        config["attention_k_eq_v"] = .bool(!hasValues)
        if config["hidden_size_per_layer_input"] == nil { config["hidden_size_per_layer_input"] = 0 }
        if let rows = tensors.extents("per_layer_token_embd.weight")?.first {
            config["vocab_size_per_layer_input"] = .integer(rows)
        }
        config["enable_moe_block"] = .bool((config["num_experts"]?.integerValue ?? 0) > 0)
        try readGemma4Rotation()
        readGemma4Sizes(slides)
    }

    /// Frequencies of the whole text's layers are divided by 1 where they turn, by a huge number where they do not.
    private mutating func readGemma4Rotation() throws {
        var (whole, sliding) = (JSONObject(), JSONObject())
        (whole["rope_type"], sliding["rope_type"]) = ("default", "default")
        whole["rope_theta"] = metadata["rope.freq_base"] ?? 1e6
        sliding["rope_theta"] = metadata["rope.freq_base_swa"] ?? 1e4
        if tensors.extents("rope_freqs.weight") != nil {
            let divisors = try tensors.numbers("rope_freqs.weight")
            let turned = divisors.prefix { $0 == 1 }.count
            guard divisors.dropFirst(turned).allSatisfy({ $0 >= 1e20 }) else {
                throw ModelError("\(path): rope_freqs.weight has other numbers than 1 and 1e30")
            }
            whole["rope_type"] = "proportional"
            whole["partial_rotary_factor"] = .number(Double(turned) / Double(max(1, divisors.count)))
        }
        config["rope_parameters"] = [
            "full_attention": .object(whole), "sliding_attention": .object(sliding),
        ]
    }

    /// Lists of sizes that config.json has words for, in these words.
    private mutating func readGemma4Sizes(_ slides: [Bool]) {
        guard var sizes = config[LayerSizes.key]?.objectValue else { return }
        func numbers(_ key: String) -> [Int] { sizes[key]?.arrayValue?.compactMap(\.integerValue) ?? [] }
        let heads = Dictionary(grouping: zip(slides, numbers("attention.head_count_kv")), by: \.0).mapValues {
            Set($0.map(\.1))
        }
        if let own = heads[true], let whole = heads[false], own.count == 1, whole.count == 1,
            config["attention_k_eq_v"] == true
        {
            config["num_key_value_heads"] = own.first.map(JSON.integer)
            config["num_global_key_value_heads"] = whole.first.map(JSON.integer)
            sizes["attention.head_count_kv"] = nil
        }
        let hidden = numbers("feed_forward_length")
        let shared = config["num_kv_shared_layers"]?.integerValue ?? 0
        if let own = hidden.first, shared <= hidden.count,
            hidden == Array(repeating: own, count: hidden.count - shared) + Array(repeating: 2 * own, count: shared)
        {
            config["intermediate_size"] = .integer(own)
            config["use_double_wide_mlp"] = true
            sizes["feed_forward_length"] = nil
        }
        config[LayerSizes.key] = sizes.isEmpty ? nil : .object(sizes)
    }
}

extension GGUFSettings {
    /// The inverse.
    mutating func addGemma4() {
        guard dialect.architecture == "gemma4" else { return }
        let slides = stack.layers.map { if case .window = $0.attention.reach { true } else { false } }
        metadata["gemma4.attention.sliding_window_pattern"] = .array(GGUFArray(slides))
        let shared = stack.layers.count { !$0.attention.keepsKeyValues }
        set("attention.shared_kv_layers", shared)
        set("embedding_length_per_layer_input", architecture.embedding.perLayer?.width ?? 0)
        let attentions = stack.layers.map(\.attention)
        for (isWhole, suffix) in [(true, ""), (false, "_swa")] {
            guard let index = slides.firstIndex(of: !isWhole) else { continue }
            set("attention.key_length\(suffix)", attentions[index].headWidth)
            set("attention.value_length\(suffix)", attentions[index].headWidth)
            guard case .rotary(let rotary) = attentions[index].positions else { continue }
            set("rope.dimension_count\(suffix)", rotary.width)
            set("rope.freq_base\(suffix)", rotary.base)
        }
        guard case .experts(let experts)? = stack.layers.first?.feedForward, let shared = experts.shared else { return }
        set("feed_forward_length", shared.hidden)
    }
}
