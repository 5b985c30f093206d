import MartletPlatform

/// A recipe that has been read and checked: which model learns, from which files, by which loss, how fast and for how
/// long.
///
/// The words of a recipe are those of `martlet train`: see `Recipes/` and `Documentation/FineTuning.md`.
public struct TrainingRecipe: Sendable {
    package let recipe: Recipe

    package init(_ recipe: Recipe) { self.recipe = recipe }

    /// Reads a recipe in YAML.
    ///
    /// - Parameter overrides: Settings that replace the recipe's, as `"optimizer.learning_rate=1e-4"`.
    /// - Throws: ``RecipeError`` with everything that is missing, wrong or not known.
    public init(yaml text: String, overrides: [String] = []) throws(RecipeError) {
        recipe = try Recipe(yaml: text, path: "recipe", overrides: overrides)
    }

    /// Reads the recipe in the file at `path`.
    ///
    /// - Parameter overrides: Settings that replace the recipe's, as `"optimizer.learning_rate=1e-4"`.
    /// - Throws: ``RecipeError``; an error that names the file where it cannot be read.
    public init(path: String, overrides: [String] = []) throws {
        let text = String(decoding: try fileBytes(path), as: UTF8.self)
        recipe = try Recipe(yaml: text, path: path, overrides: overrides)
    }
}
