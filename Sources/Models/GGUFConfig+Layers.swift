import MartletJSON
import MartletLayers
import MartletPlatform

/// Sizes that differ from layer to layer, which any GGUF may have and config.json has no words for.
struct LayerSizes {
    /// The key of a translated configuration that holds them.
    static let key = "sizes_by_layer"

    /// Settings of a GGUF that are one number, or one for each layer.
    static let settings = ["attention.head_count", "attention.head_count_kv", "feed_forward_length"]

    private let queryHeads, keyHeads, hidden: [Int]?

    /// - Returns: nil where the configuration has none.
    init?(_ config: JSONObject) {
        guard let sizes = config[LayerSizes.key] else { return nil }
        func numbers(_ setting: String) -> [Int]? { sizes[setting]?.arrayValue?.compactMap(\.integerValue) }
        queryHeads = numbers(LayerSizes.settings[0])
        keyHeads = numbers(LayerSizes.settings[1])
        hidden = numbers(LayerSizes.settings[2])
    }

    /// The given architecture with these sizes.
    ///
    /// - Throws: ``ModelError`` for layers that have no attention or no feed-forward, or another number of layers.
    func applied(to architecture: Architecture, path: String) throws(ModelError) -> Architecture {
        guard case .decoder(var stack) = architecture.body else { return architecture }
        for sizes in [queryHeads, keyHeads, hidden].compactMap({ $0 }) {
            guard sizes.count == stack.layers.count else {
                throw ModelError("\(path): sizes of \(sizes.count) layers, but the model has \(stack.layers.count)")
            }
            if let index = sizes.firstIndex(where: { !(1...1 << 24).contains($0) }) {
                throw ModelError(
                    "\(path): layer \(index) has no attention or no feed-forward (its size is \(sizes[index])), and every layer computed here has both"
                )
            }
        }
        for index in stack.layers.indices {
            if let queryHeads { stack.layers[index].attention.queryHeads = queryHeads[index] }
            if let keyHeads { stack.layers[index].attention.keyHeads = keyHeads[index] }
            if let hidden {
                stack.layers[index].feedForward = stack.layers[index].feedForward.with(hidden: hidden[index])
            }
        }
        var result = architecture
        result.body = .decoder(stack)
        return result
    }
}

extension Architecture.FeedForward {
    /// This feed-forward, as wide as `hidden`; experts stay what they are.
    fileprivate func with(hidden: Int) -> Self {
        switch self {
        case .plain(_, let activation, let bias): .plain(hidden: hidden, activation, bias: bias)
        case .gated(_, let activation, let bias): .gated(hidden: hidden, activation, bias: bias)
        case .expandedIntegral: .expandedIntegral(hidden: hidden)
        case .experts: self
        }
    }
}

extension GGUFConfig {
    /// A size that a file gives for each layer: one number where they are alike, else the largest, with all of them
    /// kept aside. Nil for what is no such list.
    mutating func size(_ key: String, _ value: JSON) throws(ModelError) -> JSON? {
        guard LayerSizes.settings.contains(key), let list = value.arrayValue else { return nil }
        let numbers = list.compactMap(\.integerValue)
        guard numbers.count == list.count, let largest = numbers.max() else {
            throw ModelError("\(path): \(key) should be a number for each layer")
        }
        if numbers.contains(where: { $0 != largest }) {
            var sizes = config[LayerSizes.key]?.objectValue ?? JSONObject()
            sizes[key] = .array(numbers.map(JSON.integer))
            config[LayerSizes.key] = .object(sizes)
        }
        return .integer(largest)
    }
}
