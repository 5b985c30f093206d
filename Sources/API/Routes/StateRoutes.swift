import MartletJSON

/// Routes for the state of the service: `/health`, `/ready`, `/metrics`.
enum StateRoutes {
    /// 200 when models are loaded, whatever else happens; 503 while one is being loaded.
    static func health(_ job: Job) async throws -> APIResponse {
        if job.service.isLoading {
            var response = APIResponse(["status": "loading model"], status: 503)
            response.headers.append(("retry-after", "2"))
            return response
        }
        return APIResponse(["status": "ok"])
    }

    /// The answer of `/health`, and 503 while the service drains: whether a balancer should send more here.
    static func ready(_ job: Job) async throws -> APIResponse {
        guard job.service.isDraining else { return try await health(job) }
        return APIResponse(["status": "draining"], status: 503)
    }

    static func metrics(_ job: Job) async throws -> APIResponse {
        let loads = job.service.models.map { (model: $0.name, load: $0.engine.load) }
        return APIResponse(
            type: "text/plain; version=0.0.4; charset=utf-8",
            .whole(Array(job.metrics.text(loads: loads).utf8)))
    }
}
