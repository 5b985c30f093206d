public import MartletModels
import MartletPlatform

/// The files of a model that is given by name: a Hugging Face directory, a `.gguf` file, a run of the trainer, or
/// `org/name` in the hub cache.
public enum ModelLocation {
    /// The path of the model called `name`: itself, the model in a run's folder, or its snapshot in the hub cache.
    ///
    /// - Throws: ``ModelError`` when there is no such model.
    public static func path(of name: String) throws(ModelError) -> String {
        guard !name.isEmpty else {
            throw ModelError("the model has an empty name", remedy: "give a folder, a .gguf file or ORG/NAME")
        }
        if fileExists(name) { return model(ofRun: name) ?? directory(ofFile: name) ?? name }
        if let cached = HubCache.snapshot(of: name) { return cached }
        throw ModelError(
            "\(name): there is no such file or directory, nor a model of this name in the hub cache \(HubCache.folder)",
            remedy: HubCache.remedy(for: name))
    }

    /// The model's directory, where `name` is a file in it.
    private static func directory(ofFile name: String) -> String? {
        guard !ModelFile.isNamedGGUF(name), Folder.isFile(name) else { return nil }
        let folder = name.lastIndex(of: "/").map { String(name[..<$0]) } ?? "."
        return fileExists(folder + "/config.json") ? folder : nil
    }

    /// The model of a run of our trainer, where `folder` is one.
    private static func model(ofRun folder: String) -> String? {
        let model = folder + "/model"
        return fileExists(folder + "/recipe.yaml") && fileExists(model) ? model : nil
    }
}
