package import MartletJSON
import Yams

/// YAML to values and back, by the core schema of YAML 1.2: `true` and `false` are truth values, `yes` and `on` are
/// texts.
package enum RecipeText {
    private static let deepest = 32
    private static let mostNodes = 100_000

    /// The mapping that a YAML text holds.
    ///
    /// - Throws: ``RecipeError``.
    package static func parse(_ text: String, path: String) throws(RecipeError) -> JSONObject {
        let value = try value(text, path: path)
        if value.isNull { return JSONObject() }
        guard let object = value.objectValue else {
            throw RecipeError(path, ["it holds \(value.kind) where settings are wanted, each as \"key: value\""])
        }
        return object
    }

    /// The value of any YAML text.
    package static func value(_ text: String, path: String) throws(RecipeError) -> JSON {
        let node: Node?
        do {
            node = try Yams.compose(yaml: text)
        } catch {
            let reason = "\(error)".split(whereSeparator: \.isNewline).joined(separator: " ")
            throw RecipeError(path, ["it is not YAML: \(reason)"])
        }
        var left = mostNodes
        return try node.map { node throws(RecipeError) in try json(node, path, depth: 0, &left) } ?? .null
    }

    private static func json(_ node: Node, _ path: String, depth: Int, _ left: inout Int) throws(RecipeError) -> JSON {
        left -= 1
        guard depth <= deepest, left >= 0 else {
            throw RecipeError(path, ["it is nested deeper than \(deepest), or has over \(mostNodes) values"])
        }
        switch node {
        case .scalar(let scalar): return value(of: scalar)
        case .sequence(let sequence):
            var values: [JSON] = []
            for element in sequence { values.append(try json(element, path, depth: depth + 1, &left)) }
            return .array(values)
        case .mapping(let mapping):
            var object = JSONObject()
            for (key, value) in mapping {
                guard case .scalar(let key) = key else { throw RecipeError(path, ["a key is not a text"]) }
                guard object[key.string] == nil else {
                    throw RecipeError(path, ["the key \(key.string.quoted) occurs twice"])
                }
                object[key.string] = try json(value, path, depth: depth + 1, &left)
            }
            return .object(object)
        case .alias: throw RecipeError(path, ["an alias names nothing"])
        }
    }

    private static func value(of scalar: Node.Scalar) -> JSON {
        guard scalar.style == .plain || scalar.style == .any else { return .string(scalar.string) }
        let text = scalar.string
        switch text {
        case "", "~", "null": return .null
        case "true": return .bool(true)
        case "false": return .bool(false)
        default:
            let digits = text.utf8.first.map { (48...57).contains($0) || [43, 45, 46].contains($0) } ?? false
            guard digits else { return .string(text) }
            if let integer = Int(text) { return .integer(integer) }
            if let number = Double(text), number.isFinite { return .number(number) }
            return .string(text)
        }
    }

    // MARK: - Writing

    /// Block style, texts in quotes.
    package static func yaml(_ object: JSONObject) -> String {
        lines(object, indent: "").joined(separator: "\n") + "\n"
    }

    private static func lines(_ object: JSONObject, indent: String) -> [String] {
        object.members.flatMap { key, value -> [String] in
            let name = indent + (isPlain(key) ? key : JSON.string(key).text()) + ":"
            if let nested = value.objectValue, !nested.isEmpty {
                return [name] + lines(nested, indent: indent + "  ")
            }
            if let elements = value.arrayValue, elements.contains(where: { $0.objectValue != nil }) {
                return [name] + elements.map { "\(indent)  - \($0.text())" }
            }
            return ["\(name) \(value.text())"]
        }
    }

    private static func isPlain(_ key: String) -> Bool {
        key.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 95 }
            && !["true", "false", "null", ""].contains(key) && !(key.utf8.first.map { (48...57).contains($0) } ?? true)
    }
}
