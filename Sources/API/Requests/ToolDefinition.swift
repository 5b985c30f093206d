import MartletJSON

/// A function that the model may call.
struct ToolDefinition: Sendable {
    let name: String
    /// The JSON schema of its arguments.
    let parameters: JSON
    /// The whole definition, as templates read it.
    let definition: JSON

    /// The most tools that a request may have.
    static let most = 1_024

    static func list(_ fields: Fields) throws(APIError) -> [ToolDefinition] {
        var names: Set<ExactKey> = []
        return try (fields.array("tools", atMost: most) ?? []).enumerated().map { index, tool throws(APIError) in
            let path = "tools[\(index)]"
            let tool = try Fields(tool, at: path)
            guard try tool.string("type") ?? "function" == "function" else {
                throw .unsupported("\(path).type: only functions can be called here.", path + ".type")
            }
            guard let function = try tool.object("function") else { throw tool.missing("function") }
            let name = try function.requiredString("name")
            guard !name.isEmpty, name.utf8.count <= 128, name.utf8.allSatisfy(RequestIdentity.isWord) else {
                throw .invalid(
                    "\(function.path("name")) is \(name.quoted), but 1 to 128 letters, digits, _, - and . are expected.",
                    function.path("name"), code: "invalid_value")
            }
            guard names.insert(ExactKey(name)).inserted else {
                throw .invalid(
                    "\(function.path("name")) is \(name.quoted), as an earlier function's is; give each its own.",
                    function.path("name"), code: "invalid_value")
            }
            return ToolDefinition(name: name, parameters: try parameters(function), definition: .object(tool.object))
        }
    }

    /// The schema of a function's arguments, which are an object; of none where there is no schema.
    private static func parameters(_ function: Fields) throws(APIError) -> JSON {
        guard let given = try function.object("parameters"), !given.object.isEmpty else {
            return ["type": "object", "properties": [:], "additionalProperties": false]
        }
        var schema = given.object
        let types = schema["type"].map { $0.arrayValue ?? [$0] } ?? ["object"]
        guard types.contains("object") else {
            throw .invalid(
                "\(given.path("type")) is \(schema["type"]?.text() ?? ""), but arguments are an object: \"object\".",
                given.path("type"), code: "invalid_value")
        }
        schema["type"] = "object"
        // Without properties there are no arguments, unless the schema says what others are.
        if schema["properties"]?.objectValue?.isEmpty == true, schema["additionalProperties"] == nil,
            schema["patternProperties"] == nil
        {
            schema["additionalProperties"] = false
        }
        return .object(schema)
    }

}
