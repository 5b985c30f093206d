import MartletJSON

/// A request that is being answered: its fields, and what its handler may use.
struct Job: Sendable {
    let request: APIRequest
    let id: String
    let service: ModelService
    /// The number of the key that it came with; nil where none is asked for.
    let tenant: Int?
    let arrival: ContinuousClock.Instant
    /// The remainder of the path behind the route's: a model's name.
    var remainder = ""
    private let reads = FieldReads()

    init(
        request: APIRequest, id: String, service: ModelService, tenant: Int?, arrival: ContinuousClock.Instant
    ) {
        (self.request, self.id, self.service) = (request, id, service)
        (self.tenant, self.arrival) = (tenant, arrival)
    }

    var limits: ServiceLimits { service.settings.limits }
    var metrics: ServiceMetrics { service.metrics }

    /// The fields of the body.
    func fields() throws(APIError) -> Fields { try Fields(body: request.body, noting: reads) }

    /// Fields that clients send with every request, and that have no effect here.
    private static let harmless: Set<String> = [
        "user", "metadata", "store", "service_tier", "verbosity", "prediction", "safety_identifier",
        "prompt_cache_key", "prompt_cache_retention", "cache_prompt", "keep_alive",
    ]

    /// Logs the fields that had no effect, once per request.
    func noteIgnoredFields() {
        let names = reads.unread.filter { !Job.harmless.contains($0) }.prefix(16)
        guard !names.isEmpty else { return }
        service.log("fields_ignored", ["request_id": .string(id), "fields": .array(names.map { .string($0) })])
    }

    /// Keeps an answered generation for `martlet verify`: where it was asked, what, of which model, and the whole
    /// answer.
    func log(_ answer: JSON, of model: ServedModel) {
        guard let log = service.settings.answerLog else { return }
        log([
            "path": .string(request.path), "system_fingerprint": .string(model.fingerprint),
            "request": (try? JSON(parsing: request.body)) ?? .null, "response": answer,
        ])
    }
}
