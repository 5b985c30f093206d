internal import MartletFormats
internal import MartletJSON
internal import MartletLayers
package import MartletModels
internal import MartletTensors

extension DescribedModel {
    /// A model on disk, of which only headers are read: its description and the types that its tensors have.
    ///
    /// - Throws: ``PlanningError`` for its configuration, ``CheckpointError`` where tensors and configuration do not
    ///   fit.
    package init(_ file: ModelFile) throws {
        let config = try file.config()
        if config.count > 0, let described = try? DescribedModel(configuration: .object(config)),
            described.architecture == file.architecture
        {
            self = described
        } else {
            try self.init(file.architecture, modelType: file.modelType)
        }
        let checkpoint = try file.checkpoint()
        var types: [String: StorageType] = [:]
        for entry in try file.inventory().entries {
            guard let type = checkpoint.type(entry.name).flatMap({ StorageType(rawValue: $0.rawValue) }) else {
                continue
            }
            types[ParameterTensor.name(of: entry)] = type
        }
        storedTypes = types
    }
}
