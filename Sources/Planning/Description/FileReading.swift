internal import MartletFormats
internal import MartletJSON
internal import MartletLayers
package import MartletModels
internal import MartletTensors

extension DescribedModel {
    /// A model on disk, of which only headers are read: its description and the types that its tensors have.
    ///
    /// - Throws: ``PlanningError`` for its configuration, ``CheckpointError`` where tensors and configuration do not fit.
    package init(_ file: ModelFile) throws {
        let config = try file.config()
        if config.count > 0, let described = try? DescribedModel(configuration: .object(config)),
            described.architecture == file.architecture
        {
            self = described
        } else {
            self.init(file.architecture, modelType: file.modelType)
            if PlannedFamily.fused.contains(file.modelType) { blueprint.fuseProjections() }
        }
        let checkpoint = try file.checkpoint()
        var types: [String: StorageType] = [:]
        for entry in try file.inventory().entries {
            guard let type = checkpoint.type(entry.name).flatMap({ StorageType(rawValue: $0.rawValue) }) else {
                continue
            }
            types[DescribedModel.withoutExpert(entry.name)] = type
        }
        storedTypes = types
    }

    /// Experts are one tensor in a description: "….experts.3.up.weight" is "….experts.up.weight".
    private static func withoutExpert(_ name: String) -> String {
        var steps = name.split(separator: ".")
        guard let experts = steps.firstIndex(of: "experts"), experts + 1 < steps.count, Int(steps[experts + 1]) != nil
        else { return name }
        steps.remove(at: experts + 1)
        return steps.joined(separator: ".")
    }
}
