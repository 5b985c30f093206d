import MartletJSON
import MartletTokenizers

/// Text and tokens without a model's pass: llama.cpp's `/tokenize`, `/detokenize`, `/apply-template`.
enum TokenRoutes {
    static func tokenize(_ job: Job) async throws -> APIResponse {
        let fields = try job.fields()
        let tokenizer = try await job.service.model(fields).neededTokenizer()
        let text = try fields.requiredString("content")
        let tokens = try tokenizer.encode(
            text, addSpecialTokens: fields.bool("add_special") ?? false,
            parseSpecialTokens: fields.bool("parse_special") ?? true)
        guard try fields.bool("with_pieces") ?? false else {
            return APIResponse(["tokens": .array(tokens.map { .integer(Int($0)) })])
        }
        let pieces = tokens.map { id -> JSON in
            let bytes = tokenizer.bytes(ofToken: id) ?? []
            let piece: JSON =
                String(validating: bytes, as: UTF8.self).map { .string($0) }
                ?? .array(bytes.map { .integer(Int($0)) })
            return ["id": .integer(Int(id)), "piece": piece]
        }
        return APIResponse(["tokens": .array(pieces)])
    }

    static func detokenize(_ job: Job) async throws -> APIResponse {
        let fields = try job.fields()
        let tokenizer = try await job.service.model(fields).neededTokenizer()
        guard let elements = try fields.array("tokens", atMost: 1 << 20) else { throw fields.missing("tokens") }
        guard let ids = CompletionRoute.ids(elements) else {
            throw APIError.invalid("tokens holds something else than token ids.", "tokens", code: "invalid_type")
        }
        do {
            return APIResponse(["content": .string(try tokenizer.decode(ids, skipSpecialTokens: false))])
        } catch {
            throw APIError.invalid("\(error)", "tokens", code: "invalid_value")
        }
    }

    /// The prompt that a conversation becomes.
    static func template(_ job: Job) async throws -> APIResponse {
        let fields = try job.fields()
        let model = try await job.service.model(fields)
        let request = try ChatRequest(fields, model)
        let prompt = try model.neededChat().prompt(request, model.neededTokenizer())
        return APIResponse(["prompt": .string(prompt.text)])
    }

    /// The number of tokens that a conversation becomes.
    static func count(_ job: Job) async throws -> APIResponse {
        let fields = try job.fields()
        let model = try await job.service.model(fields)
        return try count(ChatRequest(fields, model), model)
    }

    /// The number of tokens that a request of `/v1/responses` becomes.
    static func countOfResponse(_ job: Job) async throws -> APIResponse {
        let fields = try job.fields()
        let model = try await job.service.model(fields)
        let request = try ResponsesRequest(fields)
        return try await request.names.translatingErrors { try count(ChatRequest(request.chat, model), model) }
    }

    private static func count(_ request: ChatRequest, _ model: ServedModel) throws -> APIResponse {
        APIResponse(["object": "response.input_tokens", "input_tokens": .integer(try tokens(of: request, model))])
    }

    /// The number of tokens of a conversation's prompt.
    static func tokens(of request: ChatRequest, _ model: ServedModel) throws -> Int {
        let tokenizer = try model.neededTokenizer()
        return try model.neededChat().prompt(request, tokenizer).tokens(tokenizer).count
    }
}
