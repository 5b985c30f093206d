/// Every address of the API.
enum Routes {
    static let all: [Route] = state + openAI + anthropic + tasks + ollama

    private static let state = [
        Route("GET", "/health", isOpen: true, StateRoutes.health),
        Route("GET", "/v1/health", isOpen: true, StateRoutes.health),
        Route("GET", "/ready", isOpen: true, StateRoutes.ready),
        Route("GET", "/metrics", StateRoutes.metrics),
        Route("GET", "/openapi.json", OpenAPIDocument.answer),
        Route("GET", "/", PageRoutes.html),
        Route("GET", "/page.css", PageRoutes.css),
        Route("GET", "/page.js", PageRoutes.javaScript),
    ]

    private static let openAI = [
        Route("GET", "/v1/models", ModelRoutes.list),
        Route("POST", "/v1/models/load", ModelRoutes.load),
        Route("POST", "/v1/models/unload", ModelRoutes.unload),
        Route("POST", "/models/load", ModelRoutes.load),
        Route("POST", "/models/unload", ModelRoutes.unload),
        Route("GET", "/v1/models/", ModelRoutes.one),
        Route("POST", "/v1/chat/completions", ChatRoute.answer),
        Route("POST", "/v1/chat/completions/input_tokens", TokenRoutes.count),
        Route("POST", "/v1/completions", CompletionRoute.answer),
        Route("POST", "/v1/responses", ResponsesRoute.answer),
        Route("POST", "/v1/responses/input_tokens", TokenRoutes.countOfResponse),
        Route("POST", "/v1/embeddings", EmbeddingRoute.answer),
    ]

    private static let anthropic = [
        Route("POST", "/v1/messages", MessagesRoute.answer),
        Route("POST", "/v1/messages/count_tokens", MessagesRoute.count),
    ]

    private static let tasks = [
        Route("POST", "/tokenize", TokenRoutes.tokenize),
        Route("POST", "/detokenize", TokenRoutes.detokenize),
        Route("POST", "/apply-template", TokenRoutes.template),
        Route("POST", "/v1/rerank", RankRoutes.rerank),
        Route("POST", "/v2/rerank", RankRoutes.rerank),
        Route("POST", "/rerank", RankRoutes.rerank),
        Route("POST", "/v1/score", RankRoutes.score),
        Route("POST", "/v1/classify", TaskRoutes.classify),
        Route("POST", "/v1/tag", TaskRoutes.tag),
        Route("POST", "/v1/answer", TaskRoutes.answer),
        Route("POST", "/v1/translate", TaskRoutes.translate),
        Route("POST", "/v1/summarize", TaskRoutes.summarize),
        Route("POST", "/v1/explain", ExplainRoute.answer),
    ]

    private static let ollama =
        [
            Route("POST", "/api/chat", Ollama.chat),
            Route("POST", "/api/generate", Ollama.generate),
            Route("POST", "/api/embed", Ollama.embed),
            Route("POST", "/api/embeddings", Ollama.embed),
            Route("GET", "/api/tags", Ollama.tags),
            Route("GET", "/api/ps", Ollama.running),
            Route("POST", "/api/show", Ollama.show),
            Route("GET", "/api/version", Ollama.version),
        ] + ["pull", "push", "create", "copy"].map { Route("POST", "/api/" + $0, Ollama.notServed) }
        + [Route("DELETE", "/api/delete", Ollama.notServed)]
}
