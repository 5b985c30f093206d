internal import MartletFormats
package import MartletLayers
internal import MartletModels

@_exported public import enum MartletJSON.JSON
@_exported public import struct MartletJSON.JSONObject

/// A description read from a configuration, with what was assumed on the way.
public struct DescribedModel: Sendable, Hashable {
    package var blueprint: Blueprint
    /// Fields the configuration left out, with the default of the model type that was taken.
    public var defaulted: [String]
    /// Fields of the configuration that had no part in the plan.
    public var ignored: [String]
    /// The architecture that Martlet would run; nil for model types that it only counts.
    package var architecture: Architecture? { blueprint.architecture }
    /// The storage type of each parameter in a file, where there is one.
    package var storedTypes: [String: StorageType]?

    package init(blueprint: Blueprint, defaulted: [String] = [], ignored: [String] = []) {
        (self.blueprint, self.defaulted, self.ignored) = (blueprint, defaulted, ignored)
    }

    /// A model that was opened already.
    ///
    /// - Throws: ``PlanningError/impossible(_:)`` for a description that says more than can be run.
    package init(_ architecture: Architecture, modelType: String) throws(PlanningError) {
        self.init(blueprint: try Blueprint(architecture, modelType: modelType))
    }
}

/// Model types that Martlet cannot run, each with the translation of its configuration into what it costs.
struct PlannedFamily: Sendable {
    typealias Translation = @Sendable (inout ConfigurationFields) -> Blueprint

    let modelTypes: [String]
    let translate: Translation

    init(_ modelTypes: String..., translate: @escaping Translation) {
        (self.modelTypes, self.translate) = (modelTypes, translate)
    }

    /// Model types that are planned and not run.
    static let described: [PlannedFamily] =
        [whisperFamily] + pictureFamilies

    /// Model types that Martlet runs: their description is the one that runs, and their parameters are those of the
    /// model itself.
    static let runnable = Families.all.flatMap { $0.modelTypes }.filter { !notConfigured.contains($0) }

    /// Formats that go by a name of their own and keep no `config.json`.
    private static let notConfigured = ["ctranslate2"]

    /// Every model type that can be planned, in alphabetical order.
    static var knownModelTypes: [String] { (described.flatMap(\.modelTypes) + runnable).sorted() }
}

extension DescribedModel {
    /// Every model type that can be planned.
    package static var knownModelTypes: [String] { PlannedFamily.knownModelTypes }

    /// Reads the contents of a `config.json`.
    ///
    /// - Throws: ``PlanningError/unknownModelType(_:known:)``, or ``PlanningError/configuration(modelType:problems:)``
    ///   with everything that is wrong.
    public init(configuration: JSON) throws(PlanningError) {
        guard let whole = configuration.objectValue else {
            throw .configuration(
                modelType: "?", problems: ["a configuration is a JSON object, and this is \(configuration.kind)"])
        }
        // Of a model that also sees and is not described itself, the language model is planned.
        let isDescribed = PlannedFamily.described.contains { family in
            family.modelTypes.contains(whole["model_type"]?.stringValue ?? "")
        }
        let text = isDescribed ? nil : ModelFile.textPart(of: whole)
        let object = isDescribed ? whole : ModelFile.settings(of: whole)
        // What a larger model sees or hears with is not planned, and that is told.
        let others = ["text_config", "quantization_config", "generation_config"]
        let outside = text == nil ? [] : whole.keys.filter { $0.hasSuffix("_config") && !others.contains($0) }
        guard let modelType = object["model_type"]?.stringValue else {
            throw .configuration(
                modelType: "?", problems: ["model_type is missing, and without it the fields have no meaning"])
        }
        if PlannedFamily.runnable.contains(modelType) {
            self = try DescribedModel(runnable: object, modelType: modelType)
            ignored = outside + ignored.filter { !outside.contains($0) }
            return
        }
        guard let family = PlannedFamily.described.first(where: { $0.modelTypes.contains(modelType) }) else {
            throw .unknownModelType(modelType, known: PlannedFamily.knownModelTypes)
        }
        var fields = ConfigurationFields(object, modelType: modelType)
        let blueprint = family.translate(&fields)
        guard fields.problems.isEmpty else {
            throw .configuration(
                modelType: modelType, problems: fields.problems + DescribedModel.told(defaults: fields.defaulted))
        }
        self.init(blueprint: blueprint, defaulted: fields.defaulted, ignored: outside + fields.ignored)
    }

    /// The defaults in words, which may have contradicted the rest without being written anywhere.
    private static func told(defaults: [String]) -> [String] {
        defaults.isEmpty
            ? [] : ["not in the configuration, so defaults were taken: \(defaults.joined(separator: ", "))"]
    }

    /// Reads a configuration by the family that would run it.
    private init(runnable object: JSONObject, modelType: String) throws(PlanningError) {
        guard let family = Families.reading(modelType) else {
            throw .unknownModelType(modelType, known: PlannedFamily.knownModelTypes)
        }
        let reader = ConfigReader(object, path: "config.json")
        // How weights are packed is the file's, or `--weights`'.
        reader.ignore("quantization_config", "quantization")
        let architecture = family.architecture(reader)
        for contradiction in architecture.contradictions { reader.reject(contradiction) }
        do { try reader.finish(ignoring: family.harmlessKeys, reference: ConfigurationKeys.of(modelType)) } catch {
            throw .configuration(
                modelType: modelType, problems: error.offences + DescribedModel.told(defaults: reader.absentKeys))
        }
        var blueprint = try Blueprint(architecture, modelType: modelType)
        blueprint.restrict(toClass: object["architectures"]?[0]?.stringValue)
        self.init(blueprint: blueprint, defaulted: reader.absentKeys, ignored: reader.passedOver)
    }
}

extension Blueprint {
    /// Leaves the head out when the checkpoint was written by a class without one.
    fileprivate mutating func restrict(toClass name: String?) {
        guard let name, ConfigReader.isBare(name), hasDecoder else { return }
        head = Head(.none, width: head.width, tensors: head.tensors.filter { $0.role != .head })
    }
}
