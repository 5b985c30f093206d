import MartletJSON
import MartletLayers
import MartletTensors

extension JSONObject {
    /// The keys under which configurations count their layers.
    private static let layerCounts = ["num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers"]

    /// A configuration with so many layers as are kept.
    func keeping(layers: [Int]?) throws(RunError) -> JSONObject {
        guard let layers else { return self }
        var config = self
        guard let key = JSONObject.layerCounts.first(where: { config[$0]?.integerValue != nil }),
            let count = config[key]?.integerValue
        else { throw RunError("model.layers: config.json does not say how many layers the model has") }
        if let wrong = layers.first(where: { $0 >= count }) {
            throw RunError("model.layers names layer \(wrong), but the model has \(count)")
        }
        config[key] = .integer(layers.count)
        // What stands once for each layer.
        if let kinds = config["layer_types"]?.arrayValue, kinds.count == count {
            config["layer_types"] = .array(layers.map { kinds[$0] })
        }
        return config
    }
}

/// A model that keeps some layers of another.
final class KeptLayers: ParameterSource {
    private let base: any ParameterSource
    private let layers: [Int]

    init(_ base: any ParameterSource, _ layers: [Int]) { (self.base, self.layers) = (base, layers) }

    func parameter(_ description: ParameterDescription) -> Parameter {
        guard let place = description.place, let layer = place.layer else { return base.parameter(description) }
        let (own, origin) = ("\(place.stack.rawValue).\(layer).", "\(place.stack.rawValue).\(layers[layer]).")
        let name = origin + description.name.dropFirst(own.count)
        let value = base.parameter(
            ParameterDescription(
                name, description.shape, description.fill, role: description.role, use: description.use,
                place: ParameterPlace(place.stack, layer: layers[layer])))
        return Parameter(description, value: value.value)
    }

    func packed(_ parameter: Parameter) -> PackedMatrix? { nil }
    func decoded(_ parameter: Parameter) -> Parameter { base.decoded(parameter) }
}
