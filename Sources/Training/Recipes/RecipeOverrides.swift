package import MartletJSON

/// `--set key=value`: changes of a recipe by dotted paths. Numbers step into lists; a key that is not there is added.
package enum RecipeOverrides {
    /// - Throws: ``RecipeError`` for an override that names no place.
    package static func apply(_ overrides: [String], to object: JSONObject) throws(RecipeError) -> JSONObject {
        var root = JSON.object(object)
        for override in overrides {
            let parts = override.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty else {
                throw RecipeError(
                    "--set \(override)", ["an override is spelled key=value, as in optimizer.learning_rate=1e-3"])
            }
            let keys = parts[0].split(separator: ".", omittingEmptySubsequences: false).map(String.init)
            guard keys.count <= 16 else { throw RecipeError("--set \(override)", ["over 16 keys in a path"]) }
            let value = try RecipeText.value(String(parts[1]), path: "--set \(override)")
            root = try set(keys[...], to: value, in: root, override)
        }
        return root.objectValue ?? JSONObject()
    }

    private static func set(
        _ keys: ArraySlice<String>, to value: JSON, in json: JSON, _ override: String
    ) throws(RecipeError) -> JSON {
        guard let key = keys.first else { return value }
        if case .array(var elements) = json {
            guard let index = Int(key), elements.indices.contains(index) else {
                throw RecipeError("--set \(override)", ["\(key.quoted) is no place in a list of \(elements.count)"])
            }
            elements[index] = try set(keys.dropFirst(), to: value, in: elements[index], override)
            return .array(elements)
        }
        guard json.isNull || json.objectValue != nil else {
            throw RecipeError("--set \(override)", ["\(key.quoted) would stand below \(json.kind)"])
        }
        var object = json.objectValue ?? JSONObject()
        object[key] = try set(keys.dropFirst(), to: value, in: object[key] ?? .null, override)
        return .object(object)
    }
}
