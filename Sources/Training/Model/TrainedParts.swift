import MartletJSON
import MartletLayers
import MartletModels

/// The parts of a model that are trained, and how fast, by the names that a recipe uses. The one place that knows parts
/// by their names.
struct TrainedParts {
    private let frozen: [String]
    private let layers: Int
    /// The depth of each parameter of the model: how many layers stand above it, the head and the norm in front of it
    /// being 0.
    private let depths: [String: Int]
    private let decay: Double

    /// Parts with names of their own; every other word is the beginning of a parameter's path ("encoder.0").
    static let words = ["tokens", "embeddings", "body", "norms"]

    /// - Throws: ``RunError`` for a part that the model does not have.
    init(_ settings: Recipe.Training, _ inventory: Inventory) throws(RunError) {
        (frozen, decay) = (settings.frozen, settings.layerDecay)
        let layers = inventory.entries.reduce(0) { max($0, ($1.layer ?? -1) + 1) }
        self.layers = layers
        depths = Dictionary(
            inventory.entries.map { entry in
                let isAbove = entry.isPartOfHead || entry.name.contains(".outputNorm.")
                return (entry.name, isAbove ? 0 : entry.layer.map { layers - $0 } ?? layers + 1)
            }
        ) { first, _ in first }
        for part in frozen where !inventory.entries.contains(where: { TrainedParts.holds(part, $0) }) {
            let known = TrainedParts.words.joined(separator: ", ")
            throw RunError(
                "train.freeze: this model has no \(part.quoted); name one of \(known), or the beginning of a parameter's path"
            )
        }
    }

    var selection: TrainableParameters.Selection {
        var selection = TrainableParameters.Selection()
        let (frozen, layers, decay, depths) = (frozen, layers, decay, depths)
        selection.isTrained = { entry in !frozen.contains { TrainedParts.holds($0, entry) } }
        guard decay < 1 else { return selection }
        selection.rateFactor = { name in
            let depth = depths[name] ?? TrainedParts.layer(of: name).map { layers - $0 } ?? 0
            return Float(power(decay, Double(depth)))
        }
        return selection
    }

    private static func holds(_ part: String, _ entry: Inventory.Entry) -> Bool {
        switch part {
        case "tokens": entry.role == .tokens
        case "embeddings": isEmbedding(entry)
        case "body": !entry.isPartOfHead
        case "norms": entry.role == .norm
        default: entry.name.hasPrefix(part + ".") || entry.name.hasSameBytes(as: part)
        }
    }

    /// Tables, what lies between them and the layers, and the norm there.
    private static func isEmbedding(_ entry: Inventory.Entry) -> Bool {
        switch entry.role {
        case .tokens, .perLayerTokens, .positions, .segments, .stem: true
        case .norm: entry.place != nil && entry.layer == nil && entry.name.contains(".inputNorm.")
        default: false
        }
    }

    /// Returns whether a parameter is the last projection of a head that labels, which is new beside a body that
    /// adapters change.
    static func isLabelHead(_ name: String) -> Bool {
        ["nextSentence", "sequence", "rows", "answers"].contains { head in
            ["weight", "bias"].contains { name.hasSameBytes(as: "\(head).\($0)") }
        }
    }

    /// The number of the layer that a stored module, whose adapter this is, is part of.
    private static func layer(of name: String) -> Int? {
        name.split(separator: ".").lazy.compactMap { Int($0) }.first
    }
}
