import MartletLayers
import MartletTensors

/// A source that rounds matrices to a type as they are read: a base in blocks for adapters to learn over (QLoRA,
/// arXiv:2305.14314), without a file of it.
///
/// New parameters, those in blocks already, and rows that would not fill blocks stay as they are.
final class RoundedSource: ParameterSource {
    private let base: any ParameterSource
    private let type: ElementType
    private let new: Set<String>
    private let device: Device

    init(_ base: any ParameterSource, to type: ElementType, leaving new: Set<String>, on device: Device) {
        (self.base, self.type, self.new, self.device) = (base, type, new, device)
    }

    func parameter(_ description: ParameterDescription) -> Parameter {
        let stored = base.parameter(description)
        guard let value = stored.value, !new.contains(description.name), description.use != .elementwise,
            value.type.blockElements == 1,
            description.shape.width % type.blockElements == 0
        else { return stored }
        return stored.with(value.converted(to: type, on: device))
    }

    func packed(_ parameter: Parameter) -> PackedMatrix? { nil }
    func decoded(_ parameter: Parameter) -> Parameter { base.decoded(parameter) }
}
