import MartletJSON

/// `GET /openapi.json`: what can be asked, in OpenAPI 3.1.
enum OpenAPIDocument {
    static func answer(_ job: Job) async throws -> APIResponse { APIResponse(document) }

    private static var document: JSON {
        var paths = JSONObject()
        for route in Routes.all {
            let path =
                route.path.utf8.count > 1 && route.path.utf8.last == UInt8(ascii: "/")
                ? route.path + "{id}" : route.path
            var methods = paths[path]?.objectValue ?? JSONObject()
            methods[route.method.lowercased()] = .object(operation(route, path))
            paths[path] = .object(methods)
        }
        return [
            "openapi": "3.1.0",
            "info": [
                "title": "Martlet", "version": "1",
                "description": "Language models by the API of OpenAI's, Anthropic's and Ollama's clients.",
            ],
            "paths": .object(paths),
            "components": [
                "securitySchemes": ["key": ["type": "http", "scheme": "bearer"]],
                "schemas": [
                    "Error": errorSchema, "AnthropicError": anthropicErrorSchema, "OllamaError": ollamaErrorSchema,
                ],
            ],
        ]
    }

    private static func operation(_ route: Route, _ path: String) -> JSONObject {
        var operation = JSONObject()
        operation["operationId"] = .string(
            route.method.lowercased() + path.split { "/{}.-_".contains($0) }.map { "_" + $0 }.joined())
        if path.hasSuffix("{id}") {
            operation["parameters"] = [
                ["name": "id", "in": "path", "required": true, "schema": ["type": "string"]]
            ]
        }
        if route.method == "POST" {
            var schema = JSONObject()
            schema["type"] = "object"
            if let fields = required[path] { schema["required"] = .array(fields.map { .string($0) }) }
            operation["requestBody"] = [
                "required": true, "content": ["application/json": ["schema": .object(schema)]],
            ]
        }
        let error =
            switch Dialect(path: path) {
            case .openAI: "Error"
            case .anthropic: "AnthropicError"
            case .ollama: "OllamaError"
            }
        operation["security"] = route.isOpen ? [] : [["key": []]]
        operation["responses"] = [
            "200": ["description": "The answer."],
            "default": [
                "description": "What is wrong.",
                "content": ["application/json": ["schema": ["$ref": .string("#/components/schemas/" + error)]]],
            ],
        ]
        return operation
    }

    /// The fields without which a request is refused.
    private static let required: [String: [String]] = [
        "/v1/chat/completions": ["messages"], "/v1/completions": ["prompt"], "/v1/embeddings": ["input"],
        "/v1/responses": ["input"], "/v1/rerank": ["query", "documents"], "/rerank": ["query", "documents"],
        "/v1/score": ["text_1", "text_2"], "/v1/classify": ["input"], "/v1/tag": ["input"],
        "/v1/answer": ["question", "context"], "/v1/translate": ["input"], "/v1/summarize": ["input"],
        "/tokenize": ["content"], "/detokenize": ["tokens"], "/apply-template": ["messages"],
        "/v1/models/load": ["model"], "/v1/models/unload": ["model"], "/models/load": ["model"],
        "/models/unload": ["model"], "/v1/explain": ["text"], "/v2/rerank": ["query", "documents"],
        "/v1/chat/completions/input_tokens": ["messages"], "/v1/responses/input_tokens": ["input"],
        "/v1/messages": ["messages"], "/v1/messages/count_tokens": ["messages"], "/api/embed": ["input"],
        "/api/embeddings": ["prompt"],
    ]

    private static let ollamaErrorSchema: JSON = [
        "type": "object", "required": ["error"], "properties": ["error": ["type": "string"]],
    ]

    private static let anthropicErrorSchema: JSON = [
        "type": "object", "required": ["type", "error", "request_id"],
        "properties": [
            "type": ["const": "error"], "request_id": ["type": "string"],
            "error": [
                "type": "object", "required": ["type", "message"],
                "properties": ["type": ["type": "string"], "message": ["type": "string"]],
            ],
        ],
    ]

    private static var errorSchema: JSON {
        [
            "type": "object", "required": ["error"],
            "properties": [
                "error": [
                    "type": "object", "required": ["message", "type", "param", "code"],
                    "properties": [
                        "message": ["type": "string"], "type": ["type": "string"],
                        "param": ["type": ["string", "null"]], "code": ["type": ["string", "null"]],
                    ],
                ]
            ],
        ]
    }
}
