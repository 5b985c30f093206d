import MartletFormats
package import MartletJSON
package import MartletPlatform

/// The folder of a run: what it holds, and that only one process works in it.
///
///     recipe.yaml tokenizer.json log.jsonl curves.svg
///     checkpoints/step-000001000/ …   everything needed to go on
///     model/                           the best model so far as a Hugging Face directory
///     cache/                           tokens of the data
package final class RunFolder: Sendable {
    package let path: String
    /// The lock on the folder; nil where another rank of the same run holds it.
    private let lock: FolderLock?

    /// Opens a run's folder, or makes it.
    ///
    /// - Parameter isLeader: whether this is the one process that writes there; further ranks of a run are not.
    /// - Throws: ``RunError`` when another process works in it, ``FileError``.
    package init(_ path: String, isLeader: Bool = true) throws {
        self.path = path
        guard isLeader else {
            lock = nil
            return
        }
        try Folder.make(path)
        lock = try FolderLock(path)
        guard lock != nil else {
            throw RunError("\(path): another process trains in this folder; wait for it, or choose another output")
        }
        // What a killed process left half written.
        for folder in [path, path + "/cache"] {
            for name in Folder.names(in: folder) where name.hasSuffix(".partial") { Folder.remove("\(folder)/\(name)") }
        }
    }

    package var store: CheckpointStore { CheckpointStore(path + "/checkpoints") }
    package var modelPath: String { path + "/model" }

    /// Returns whether a folder is that of a run.
    package static func isRun(_ path: String) -> Bool {
        // The recipe is written last of the two.
        fileExists(path + "/recipe.yaml") && fileExists(path + "/tokenizer.json")
    }

    // MARK: - Recipe and tokenizer

    package func write(_ recipe: Recipe, tokenizer: JSON) throws(FileError) {
        try writeFile(tokenizer.serialized(), to: path + "/tokenizer.json")
        try write(recipe)
    }

    /// The recipe as it now is: a run that goes on under other settings remembers them.
    package func write(_ recipe: Recipe) throws(FileError) {
        try writeFile(Array(RecipeText.yaml(recipe.document).utf8), to: path + "/recipe.yaml")
    }

    package func recipe(overrides: [String]) throws -> Recipe {
        let name = path + "/recipe.yaml"
        let text = String(decoding: try fileBytes(name), as: UTF8.self)
        return try Recipe(yaml: text, path: name, overrides: overrides)
    }

    package func tokenizer() throws -> JSON { try JSON(contentsOf: path + "/tokenizer.json") }

    /// The newest whole checkpoint and what was wrong with newer ones.
    ///
    /// - Throws: ``RunError`` when there is none.
    package func newestCheckpoint() throws(RunError) -> (step: Int, damages: [String]) {
        let (step, damages) = store.newest()
        guard let step else {
            throw RunError(
                "\(path): no whole checkpoint to go on from"
                    + (damages.isEmpty ? "" : ": " + damages.joined(separator: "; ")))
        }
        return (step, damages)
    }
}
