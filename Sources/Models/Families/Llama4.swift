import MartletFormats
import MartletJSON
import MartletLayers
import MartletTensors

/// Llama 4's text part: three of four layers read chunks with rotary positions, the fourth the whole text without any;
/// experts weigh what they are given.
///
/// Source: Meta's configurations of Llama-4-Scout and -Maverick.
enum Llama4: Family {
    static let modelTypes = ["llama4_text"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        var model = LlamaLike(
            config,
            .init(
                vocabulary: 202_048, width: 5_120, hidden: 8_192, layers: 48, heads: 40, context: 131_072, keyHeads: 8,
                headWidth: 128, epsilon: 1e-5, base: 500_000))
        model.turnNeighbours()
        let rotated = rotated(config, model.layers)
        let chunk = config.integer(orNull: "attention_chunk_size", absent: 8_192)
        let chunked = chunkedLayers(config, rotated)
        let feedForwards = feedForwards(config, model)
        let isNormed = config.bool("use_qk_norm", default: true)
        let growth = growth(config)
        var epsilon: Float = 1e-5
        if case .rms(let value, _) = model.norm { epsilon = value }
        return model.architecture { index, layer in
            layer.feedForward = feedForwards[index]
            if chunked[index], let chunk { layer.attention.reach = .chunk(chunk) }
            guard rotated[index] else {
                layer.attention.positions = .none
                layer.attention.queryGrowth = growth
                return
            }
            if isNormed {
                layer.attention.queryKeyNorm = .unweightedRMS(epsilon: epsilon)
                layer.attention.queryKeyNormSpan = .rotatedHead
            }
        }
    }

    /// Numbers other than 0 say that a layer is rotated, whatever the key's name suggests.
    private static func rotated(_ config: ConfigReader, _ layers: Int) -> [Bool] {
        let interval = config.integer("no_rope_layer_interval", default: 4)
        let usual = (0..<layers).map { ($0 + 1) % interval != 0 }
        guard let stated = config.optionalIntegers("no_rope_layers", in: 0...1), !stated.isEmpty else { return usual }
        guard stated.count == layers else {
            config.reject("no_rope_layers has \(stated.count) entries for \(layers) layers")
            return usual
        }
        return stated.map { $0 != 0 }
    }

    private static func chunkedLayers(_ config: ConfigReader, _ rotated: [Bool]) -> [Bool] {
        guard
            let types = config.optionalChoices("layer_types", of: ["full_attention": false, "chunked_attention": true])
        else { return rotated }
        guard types.count == rotated.count else {
            config.reject("layer_types has \(types.count) entries for \(rotated.count) layers")
            return rotated
        }
        return types
    }

    private static func growth(_ config: ConfigReader) -> Architecture.QueryGrowth? {
        let growth = Architecture.QueryGrowth(
            factor: Float(config.number("attn_scale", default: 0.1, in: 0...1e3)),
            every: config.integer("floor_scale", default: 8_192), first: 1)
        // Some publishers wrote a number for true.
        let isOn = config.json("attn_temperature_tuning").map { $0.boolValue ?? ($0.integerValue != 0) } ?? true
        return isOn ? growth : nil
    }

    private static func feedForwards(_ config: ConfigReader, _ model: LlamaLike) -> [Architecture.FeedForward] {
        let dense = config.integer("intermediate_size_mlp", default: 16_384)
        let step = config.integer("interleave_moe_layer_step", default: 1)
        let sparse = config.optionalIntegers("moe_layers", in: 0...Int(Int32.max)).map { Set($0) }
        guard case .gated(let hidden, let activation, _) = model.layer.feedForward else { return [] }
        var routing = Architecture.Routing(.sigmoid, .asTheyAre)
        routing.target = .inputs
        let experts = Architecture.Experts(
            count: config.integer("num_local_experts", default: 16, in: ConfigReader.experts),
            active: config.integer("num_experts_per_tok", default: 1), hidden: hidden, activation: activation,
            routing: routing, shared: .init(hidden: hidden, gate: .absent))
        return (0..<model.layers).map { layer in
            (sparse?.contains(layer) ?? ((layer + 1) % step == 0))
                ? .experts(experts) : .gated(hidden: dense, activation, bias: .absent)
        }
    }

    static let prefixes = Llama.prefixes
    static let unused = Llama.unused + ["vision_model.*"]

    static func names(_ architecture: Architecture) -> WeightNames {
        let (block, expert) = ("layers.#.feed_forward", "decoder.#.feedForward.experts.##")
        var names = Llama.names(architecture)
        for part in ["gate", "up", "down"] {
            names = names.adding([
                "decoder.#.feedForward.\(part)": WeightName("\(block).\(part)_proj"),
                "decoder.#.feedForward.shared.\(part)": WeightName("\(block).shared_expert.\(part)_proj"),
            ])
        }
        guard case .decoder(let stack) = architecture.body else { return names }
        let counts = stack.layers.compactMap { layer in
            if case .experts(let experts) = layer.feedForward { experts.count } else { nil }
        }
        guard let count = counts.first else { return names }
        let gates = WeightName(
            "\(block).experts.gate_up_proj",
            .stackedRows(count: count, of: ["\(expert).gate.weight", "\(expert).up.weight"], transposed: true))
        return names.adding([
            "decoder.#.feedForward.router": WeightName("\(block).router"),
            "\(expert).gate.weight": gates,
            "\(expert).up.weight": gates,
            "\(expert).down.weight": WeightName(
                "\(block).experts.down_proj", .stacked(count: count, transposed: true)),
        ])
    }

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        GGUFNames.decoder.adding(GGUFNames.experts(architecture))
    }
}
