import MartletGeneration
import MartletJSON
import MartletServing
import MartletTasks
import MartletTokenizers
import Synchronization

/// A service of models behind an API: it finds the route of a request, checks who asks, and answers.
///
/// Knows no socket, installs no signal handler, holds no global state; a process may have several.
package final class ModelService: Sendable {
    private struct State {
        var isDraining = false
        /// The number of prompt tokens that are being answered or wait.
        var promptTokens = 0
        var requests = 0
        var retries = RetryAdvice()
    }

    package let settings: ServiceSettings
    package let metrics = ServiceMetrics()
    package let registry: ModelRegistry
    private let state = Mutex(State())
    let routes: [Route]

    package init(_ settings: ServiceSettings) {
        self.settings = settings
        registry = ModelRegistry(limit: settings.limits.loadedModels)
        routes = Routes.all
    }

    // MARK: Models

    package func add(_ model: ServedModel) { registry.add(model) }

    /// Adds a model that is loaded when it is asked for; `isAwaited` says that without it the service is not ready.
    package func register(_ name: String, isAwaited: Bool = false, _ load: @escaping ModelRegistry.Load) {
        registry.register(name, isAwaited: isAwaited, load)
    }

    package var models: [ServedModel] { registry.models }

    var isLoading: Bool { registry.isLoading }

    /// The model that a request names, loaded if it is not. A name that nobody has is an error; without one, the first
    /// model is meant.
    func model(_ fields: Fields) async throws -> ServedModel { try await model(named: fields.string("model")) }

    /// The model of a request; one that names none means the first model that is made for what it asks.
    func model(_ fields: Fields, madeFor isMade: (ServedModel) -> Bool) async throws -> ServedModel {
        let name = try fields.string("model") ?? ""
        return try await model(named: name.isEmpty ? models.first(where: isMade)?.name : name)
    }

    func model(named name: String?) async throws -> ServedModel {
        do {
            return try await registry.model(named: name.flatMap { $0.isEmpty ? nil : ModelService.untagged($0) })
        } catch let error as APIError {
            throw error
        } catch {
            log("load_failed", ["model": name.map { .string($0) } ?? .null, "error": .string("\(error)")])
            throw APIError(
                status: 500, .server, "The model could not be loaded; the server's log says why.", code: "load_failed")
        }
    }

    /// Ollama's clients add a tag.
    static func untagged(_ name: String) -> String {
        name.utf8.suffix(7).elementsEqual(":latest".utf8) ? String(name.dropLast(7)) : name
    }

    // MARK: Draining

    /// Takes no more work; what is being answered goes on.
    package func drain() { state.withLock { $0.isDraining = true } }

    package var isDraining: Bool { state.withLock { $0.isDraining } }

    // MARK: Admission

    /// Counts a request in, or refuses it.
    private func admit() throws(APIError) {
        let (seconds, limit) = (metrics.answerSeconds, settings.limits.requests)
        let refusal = state.withLock { state -> APIError? in
            if state.isDraining {
                return .unavailable("The server is about to stop.", code: "draining", retryAfter: 5)
            }
            guard state.requests < limit else {
                return .overloaded(
                    "\(state.requests) requests are being answered or wait, as many as are taken; try again.",
                    retryAfter: state.retries.refuse(at: .now, answering: seconds, limit: limit))
            }
            state.requests += 1
            return nil
        }
        if let refusal { throw refusal }
    }

    /// Counts a prompt's tokens in, or refuses it; what is returned counts them out.
    package func admit(promptTokens count: Int) throws(APIError) -> Ending {
        let (seconds, limit) = (metrics.answerSeconds, settings.limits.requests)
        let refusal = state.withLock { state -> APIError? in
            guard state.promptTokens == 0 || state.promptTokens + count <= settings.limits.queuedTokens else {
                return .overloaded(
                    "Prompts of \(state.promptTokens) tokens are being answered or wait, \(count) more are over the "
                        + "\(settings.limits.queuedTokens) that are taken; try again.",
                    retryAfter: state.retries.refuse(at: .now, answering: seconds, limit: limit))
            }
            state.promptTokens += count
            return nil
        }
        if let refusal { throw refusal }
        return Ending { [self] in state.withLock { $0.promptTokens -= count } }
    }

    // MARK: Answering

    /// Answers a request; never throws, for every error is an answer.
    package func respond(to request: APIRequest) async -> APIResponse {
        let arrival = ContinuousClock.now
        let id = RequestIdentity.id(request)
        metrics.requestBegan()
        var routeName = "none"
        var response: APIResponse
        var tenant: Int?
        do {
            try check(host: request)
            if request.method == "OPTIONS", let origin = allowed(request) {
                return noting(
                    ModelService.preflight(origin, request), request, id: id, route: "OPTIONS", tenant: nil,
                    since: arrival)
            }
            let found = find(request)
            routeName = found.route?.path ?? "none"
            if found.route?.isOpen != true { tenant = try key(request) }
            guard let route = found.route else { throw missing(request, found.methods) }
            try checkBody(request)
            if request.method == "POST" { try admit() }
            let admission = request.method == "POST" ? Ending { [self] in state.withLock { $0.requests -= 1 } } : nil
            var job = Job(request: request, id: id, service: self, tenant: tenant, arrival: arrival)
            job.remainder = found.remainder
            response = keeping(admission, try await route.handle(job))
            job.noteIgnoredFields()
        } catch {
            response = answer(error, to: request, id: id)
        }
        response.headers.append(("x-request-id", id))
        if Dialect(request) == .anthropic { response.headers.append(("request-id", id)) }
        if !settings.origins.isEmpty { response.headers.append(("vary", "Origin")) }
        if let origin = allowed(request) {
            response.headers += [
                ("access-control-allow-origin", origin),
                ("access-control-expose-headers", "x-request-id, retry-after, x-should-retry"),
            ]
        }
        return noting(response, request, id: id, route: routeName, tenant: tenant, since: arrival)
    }

    /// The answer to an error, in the envelope of the request's dialect.
    package func answer(_ error: any Error, to request: APIRequest, id: String? = nil) -> APIResponse {
        let id = id ?? RequestIdentity.id(request)
        let failure = withoutPaths(ModelService.failure(error))
        if failure.status >= 500 { log("failure", ["request_id": .string(id), "error": .string("\(error)")]) }
        return Dialect(request).answer(failure, requestID: id)
    }

    /// Keeps the request counted until its stream has been written.
    private func keeping(_ admission: Ending?, _ response: APIResponse) -> APIResponse {
        guard let admission, case .stream(let write) = response.body else { return response }
        var response = response
        response.body = .stream { sink in
            try await write(sink)
            withExtendedLifetime(admission) {}
        }
        return response
    }

    /// Counts and logs the answer when it has been written.
    private func noting(
        _ response: APIResponse, _ request: APIRequest, id: String, route: String, tenant: Int?,
        since arrival: ContinuousClock.Instant
    ) -> APIResponse {
        let status = response.status
        let finish = Ending { [self] in
            request.cancellation.finish()
            let isGone = request.cancellation.reason is CancellationError
            if isGone { metrics.disconnected() }
            metrics.requestEnded(route: route, status: isGone ? 499 : status)
            var entry: JSONObject = JSONObject()
            entry["request_id"] = .string(id)
            entry["method"] = .string(request.method)
            entry["path"] = .string(request.path)
            entry["status"] = .integer(isGone ? 499 : status)
            entry["seconds"] = .number((ContinuousClock.now - arrival).seconds)
            if let tenant { entry["key"] = .integer(tenant) }
            if let parent = request.headers["traceparent"] { entry["traceparent"] = .string(parent) }
            log("request", .object(entry))
        }
        guard case .stream(let write) = response.body else {
            finish()
            return response
        }
        var response = response
        response.body = .stream { sink in
            defer { finish() }
            try await write(sink)
        }
        return response
    }

    func log(_ event: String, _ fields: JSON) {
        var entry = JSONObject()
        entry["time"] = .string(UnixTime.text())
        entry["event"] = .string(event)
        for (key, value) in fields.objectValue?.members ?? [] { entry[key] = value }
        settings.log(.object(entry))
    }

    // MARK: Errors

    /// The answer to an error: what the request did wrong is told, what is wrong here is not.
    static func failure(_ error: any Error) -> APIError {
        switch error {
        case let error as APIError: error
        case .overloaded(let reason) as EngineError: .overloaded(reason, retryAfter: 1)
        case let error as EngineError where error == .stopped:
            .unavailable("The model has been unloaded.", code: "unloaded", retryAfter: 1)
        case is CancellationError: APIError(status: 499, .invalidRequest, "The client has gone.", code: "client_gone")
        default:
            isOfRequest(error)
                ? .invalid("\(error)", nil)
                : APIError(status: 500, .server, "The server failed; its log says why.", code: "internal_error")
        }
    }

    /// Returns whether a request is to blame for an error of the layers below.
    private static func isOfRequest(_ error: any Error) -> Bool {
        switch error as? EngineError {
        case .invalid?, .unsatisfiable?: true
        default: error is GenerationError || error is TaskError || error is TokenizerError
        }
    }

    /// An error without the places of models in this machine's folders, which are no client's business.
    private func withoutPaths(_ error: APIError) -> APIError {
        var error = error
        for model in models {
            error.message = error.message.replacing(model.path + ": ", with: "")
                .replacing(model.path, with: model.name)
        }
        return error
    }
}
