import MartletJSON

/// A request that is being answered: its fields, and what its handler may use.
struct Job: Sendable {
    let request: APIRequest
    let id: String
    let service: ModelService
    /// Whose key it came with; nil where none is asked for.
    let tenant: Int?
    let arrival: ContinuousClock.Instant
    /// What follows the route's path: a model's name.
    var remainder = ""

    var limits: ServiceLimits { service.settings.limits }
    var metrics: ServiceMetrics { service.metrics }

    /// The fields of the body.
    func fields() throws(APIError) -> Fields { try Fields(body: request.body) }

    /// Logs names of fields that nobody reads, once per request.
    func note(unknown names: [String]) {
        guard !names.isEmpty else { return }
        service.log("fields_ignored", ["request_id": .string(id), "fields": .array(names.map { .string($0) })])
    }
}

/// One address of the API.
struct Route: Sendable {
    let method: String
    /// A path, or with a slash at its end the beginning of one.
    let path: String
    /// Whether it is open without a key.
    var isOpen = false
    let handle: @Sendable (Job) async throws -> APIResponse

    init(
        _ method: String, _ path: String, isOpen: Bool = false,
        _ handle: @escaping @Sendable (Job) async throws -> APIResponse
    ) {
        (self.method, self.path, self.isOpen, self.handle) = (method, path, isOpen, handle)
    }
}
