internal import MartletJSON

/// Published models by name, so that a plan needs no download.
///
/// Only models whose configuration was published; there is no preset for models about which there are only rumours.
public enum Preset {
    private static func models() throws(PlanningError) -> JSONObject {
        do {
            let json = try JSON(parsing: EmbeddedTables.presets)
            guard let models = json["models"]?.objectValue else {
                throw PlanningError.table(name: "presets.json", problems: ["no models"])
            }
            return models
        } catch let error as PlanningError {
            throw error
        } catch {
            throw .table(name: "presets.json", problems: ["\(error)"])
        }
    }

    /// The names of all presets.
    public static func names() throws(PlanningError) -> [String] { try models().keys }

    /// The model called `name`, in any case.
    public static func model(named name: String) throws(PlanningError) -> DescribedModel {
        let models = try models()
        let wanted = name.lowercased()
        guard let found = models.members.first(where: { $0.key.lowercased() == wanted }) else {
            throw .unknownPreset(name, known: models.keys)
        }
        return try DescribedModel(configuration: found.value)
    }
}
