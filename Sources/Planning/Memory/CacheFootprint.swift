internal import MartletLayers

/// The layout of a decoder's KV cache.
public struct CacheLayout: Sendable, Hashable {
    /// The keys that a layer with a window keeps.
    public enum Windows: Sendable, Hashable {
        /// A windowed layer keeps min(tokens, window).
        case rolling
        /// A windowed layer keeps everything.
        case everything
    }
    /// The form in which latent attention keeps keys and values.
    public enum Latent: Sendable, Hashable {
        /// The shared latent vector and the rotary part of the key.
        case compressed
        /// Keys and values of every head, as older runtimes keep them.
        case expanded
    }
    /// The heads for which keys and values are kept.
    public enum Heads: Sendable, Hashable {
        case stored
        /// A key and a value for every query head, as transformers keeps Falcon-40B's.
        case expanded
    }
    /// The element type.
    public var type: StorageType
    /// The keys that a layer with a window keeps.
    public var windows: Windows
    /// The form in which latent attention keeps keys and values.
    public var latent: Latent
    /// The heads for which keys and values are kept.
    public var heads: Heads
    /// The block size in tokens, to whose multiples lengths are rounded up.
    public var block: Int

    /// A cache; the defaults are those of llama.cpp.
    public init(
        type: StorageType = .f16, windows: Windows = .rolling, latent: Latent = .compressed, heads: Heads = .stored,
        block: Int = 1
    ) {
        (self.type, self.windows, self.latent, self.heads, self.block) = (type, windows, latent, heads, max(block, 1))
    }

    var text: String {
        "\(type.rawValue), windows \(windows == .rolling ? "hold min(tokens, window)" : "hold all tokens")"
            + (latent == .expanded ? ", latent attention expanded" : "")
            + (block > 1 ? ", blocks of \(block) tokens" : "")
    }
}

/// The size of keys and values in bytes.
package struct CacheFootprint: Sendable {
    let blueprint: Blueprint
    let layout: CacheLayout

    package init(_ blueprint: Blueprint, layout: CacheLayout = CacheLayout()) {
        (self.blueprint, self.layout) = (blueprint, layout)
    }

    /// The bytes that one more token takes in every layer that sees everything and every window that is not full.
    package var bytesPerToken: Quantity {
        let bytes = decoderLayers.reduce(Count(0)) { $0 + tokenBytes($1.attention) }
        return Quantity(bytes, .bytesPerToken, .cachePerToken(layout), inputs)
    }

    /// The bytes for sequences of `workload.tokens` each; an encoder-decoder also keeps keys and values of its source.
    package func bytes(_ workload: Workload) -> Quantity {
        var bytes: Count = 0
        for layer in decoderLayers {
            bytes += tokenBytes(layer.attention) * Count(kept(layer.attention, workload.tokens))
            if let cross = layer.crossAttention { bytes += tokenBytes(cross) * Count(blueprint.sourceRows(workload)) }
        }
        let total = bytes * Count(workload.sequences)
        let asked: [Quantity.Input] = [.init("sequences", workload.sequences), .init("tokens each", workload.tokens)]
        return Quantity(total, .bytes, .cache(layout), inputs + asked)
    }

    /// The number of tokens that fit a budget when every token takes the same.
    package func slots(budget: Count) -> Quantity {
        let each = bytesPerToken.count ?? 0
        let slots = each > 0 ? budget / each : 0
        return Quantity(
            slots, .tokens,
            Formula(
                "memory.cache_slots", "⌊budget / bytes per token⌋", convention: layout.text, source: "arXiv:2309.06180"),
            [.init("budget", budget), .init("bytes per token", each)])
    }

    /// The layers that have keys and values of their own.
    private var decoderLayers: [Blueprint.Layer] {
        blueprint.stacks.filter { $0.role == .decoder }.flatMap(\.layers).filter(\.attention.keepsKeyValues)
    }

    /// The tokens of a sequence that a layer keeps, in whole blocks.
    private func kept(_ attention: Blueprint.Attention, _ tokens: Int) -> Int {
        let kept = layout.windows == .rolling ? attention.reach.seenKeys(tokens: tokens) : tokens
        return (kept + layout.block - 1) / layout.block * layout.block
    }

    /// Key and value of one token in one layer, each a row of its own.
    func tokenBytes(_ attention: Blueprint.Attention) -> Count {
        let heads = layout.heads == .stored ? attention.keyHeads : attention.queryHeads
        if let latent = attention.latent, layout.latent == .compressed {
            return layout.type.bytes(Count(latent.keyValueRank + latent.rotaryWidth))
        }
        return layout.type.bytes(Count(heads * attention.headWidth))
            + layout.type.bytes(Count(heads * attention.valueWidth))
    }

    private var inputs: [Quantity.Input] {
        guard let attention = decoderLayers.first?.attention else { return [.init("decoder layers", 0)] }
        var inputs: [Quantity.Input] = [.init("layers", decoderLayers.count)]
        if let latent = attention.latent, layout.latent == .compressed {
            inputs += [.init("latent width", latent.keyValueRank), .init("rotary width", latent.rotaryWidth)]
        } else {
            inputs += [.init("key heads", attention.keyHeads), .init("head width", attention.headWidth)]
        }
        return inputs + [.init("bits per element", layout.type.bitsPerElement)]
    }
}

extension Formula {
    static func cache(_ layout: CacheLayout) -> Formula {
        Formula(
            "memory.cache", "Σ layers (key bytes + value bytes) · kept tokens · sequences", convention: layout.text,
            source: "arXiv:2309.06180; latent: arXiv:2405.04434")
    }
    static func cachePerToken(_ layout: CacheLayout) -> Formula {
        Formula(
            "memory.cache_per_token", "Σ layers (key bytes + value bytes)", convention: layout.text,
            source: "arXiv:2309.06180; latent: arXiv:2405.04434")
    }
}
