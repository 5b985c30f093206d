import MartletFormats
import MartletLayers
import MartletTensors

/// The settings that decoders in Llama's line share, with the defaults of one model type: pre-norms, rotary positions,
/// grouped-query attention, gated feed-forwards.
///
/// A family makes one, changes the layer where its model differs, and asks for the architecture.
struct LlamaLike {
    /// Defaults of keys that a `config.json` leaves out, and the spelling of those that differ between families.
    struct Defaults {
        var vocabulary = 32_000
        var width = 4_096
        var hidden = 11_008
        var layers = 32
        var heads = 32
        var context = 2_048
        /// Key and value heads; nil: as many as there are query heads.
        var keyHeads: Int?
        /// The width of a head; nil: width over heads.
        var headWidth: Int?
        var epsilon = 1e-6
        var epsilonKey = "rms_norm_eps"
        var base = 10_000.0
        /// The rotated share of each head (partial rotary factor); nil: whole heads, and it is no setting.
        var share: Double?
        var activation = Architecture.Activation.silu
        /// The key of the activation; nil: it is no setting.
        var activationKey: String? = "hidden_act"
        /// The key that says whether all four projections of attention have biases.
        var biasKey: String? = "attention_bias"
        /// The key that says whether queries, keys and values alone have biases.
        var inputBiasKey: String?
        var feedForwardBiasKey: String?
        /// The meaning of these keys where they are absent.
        var biased = false
        var tied = false
    }

    let config: ConfigReader
    let width: Int
    let context: Int
    let layers: Int
    let norm: Architecture.Norm
    let rotary: Architecture.Rotary
    /// Every layer, until the family changes it.
    var layer: Architecture.Layer
    var embedding = Architecture.Embedding()
    var head: Architecture.TokenHead
    private let vocabulary: Int

    /// - Parameter rotary: reads the positions, by the width of a head and the context, where they are spelled in
    ///   another way.
    init(
        _ config: ConfigReader, _ defaults: Defaults = Defaults(),
        norm: (Float) -> Architecture.Norm = { .rms(epsilon: $0) },
        rotary: ((Int, Int) -> Architecture.Rotary)? = nil
    ) {
        self.config = config
        width = config.integer("hidden_size", default: defaults.width)
        context = config.integer("max_position_embeddings", default: defaults.context)
        layers = config.integer("num_hidden_layers", default: defaults.layers, in: ConfigReader.layers)
        vocabulary = config.integer("vocab_size", default: defaults.vocabulary)
        let heads = config.integer("num_attention_heads", default: defaults.heads)
        // Null is not absence: it asks for the width over the heads.
        let headWidth = config.integer(orNull: "head_dim", absent: defaults.headWidth) ?? width / heads
        self.norm = norm(Float(config.number(defaults.epsilonKey, default: defaults.epsilon)))
        self.rotary =
            rotary?(headWidth, context)
            ?? config.rotary(headWidth: headWidth, context: context, base: defaults.base, share: defaults.share)
        func bias(_ key: String?) -> Architecture.Presence {
            key.map { config.presence($0, default: defaults.biased) } ?? .absent
        }
        let all = bias(defaults.biasKey)
        let attention = Architecture.Attention(
            queryHeads: heads,
            keyHeads: config.integer(orNull: "num_key_value_heads", absent: defaults.keyHeads) ?? heads,
            headWidth: headWidth, scale: 1 / Float(headWidth).squareRoot(), reach: .past,
            positions: .rotary(self.rotary),
            bias: all == .present ? .all : bias(defaults.inputBiasKey) == .present ? .queryKeyValue : .none)
        let feedForward = Architecture.FeedForward.gated(
            hidden: config.integer("intermediate_size", default: defaults.hidden),
            defaults.activationKey.map { config.activation($0, default: defaults.activation) } ?? defaults.activation,
            bias: .init(bias(defaults.feedForwardBiasKey)))
        layer = .init(norm: self.norm, arrangement: .before, attention: attention, feedForward: feedForward)
        head = config.tokenHead(tied: defaults.tied)
    }

    /// Has the feed-forward go without a gate.
    mutating func removeGate() {
        guard case .gated(let hidden, let activation, let bias) = layer.feedForward else { return }
        layer.feedForward = .plain(hidden: hidden, activation, bias: bias.ofOutput)
    }

    /// Has pairs of neighbouring elements turned, as in the paper.
    mutating func turnNeighbours() {
        var rotary = rotary
        rotary.pairing = .neighbours
        layer.attention.positions = .rotary(rotary)
    }

    /// The layers whose attention slides: what `layer_types` says, or all but every `period`-th, counted from the first
    /// or the last.
    func sliding(allBut period: Int, first: Bool = false) -> [Bool] {
        config.slidingLayers(layers) ?? (0..<layers).map { period > 0 && ($0 + (first ? 0 : 1)) % period != 0 }
    }

    /// The description, with `vary` applied to each of its layers.
    func architecture(_ vary: (Int, inout Architecture.Layer) -> Void = { _, _ in }) -> Architecture {
        let all = (0..<layers).map { index in
            var layer = layer
            vary(index, &layer)
            return layer
        }
        return Architecture(
            vocabulary: vocabulary, width: width, context: layer.attention.positions.isUnbounded ? nil : context,
            embedding: embedding, body: .decoder(.init(layers: all, outputNorm: norm)), head: config.decoderHead(head))
    }
}

extension WeightNames {
    /// Llama's names, with norms behind the sublayers: before them only where the layer has such.
    static func llamaWithNormsAfter(before: Bool) -> WeightNames {
        let after: WeightNames = [
            "decoder.#.attention.normAfter": "layers.#.post_attention_layernorm",
            "decoder.#.feedForward.normAfter": "layers.#.post_feedforward_layernorm",
        ]
        return before ? after.adding(["decoder.#.feedForward.normBefore": "layers.#.pre_feedforward_layernorm"]) : after
    }

    /// The weights of norms for each head, one head after the other in one tensor; none where heads share them.
    static func headNorms(of architecture: Architecture, query: String, key: String) -> WeightNames {
        guard case .decoder(let stack) = architecture.body, let form = stack.layers.first?.attention,
            form.queryKeyNormSpan == .eachHead
        else { return [:] }
        return [
            "decoder.#.attention.queryNorm.##": WeightName(query, .stacked(count: form.queryHeads)),
            "decoder.#.attention.keyNorm.##": WeightName(key, .stacked(count: form.keyHeads)),
        ]
    }

    /// Query, key and value one after the other in one tensor of the checkpoint.
    static func fusedAttention(_ name: String, order: [String] = ["query", "key", "value"], groups: Int = 1)
        -> WeightNames
    {
        let fused = WeightName(name, .rows(of: order.map { "decoder.#.attention.\($0)" }, groups: groups))
        return [
            "decoder.#.attention.query": fused, "decoder.#.attention.key": fused, "decoder.#.attention.value": fused,
        ]
    }
}
