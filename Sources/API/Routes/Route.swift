/// An address of the API.
struct Route: Sendable {
    let method: String
    /// A path, or with a slash at its end the beginning of one.
    let path: String
    /// True where it is open without a key.
    var isOpen = false
    let handle: @Sendable (Job) async throws -> APIResponse

    init(
        _ method: String, _ path: String, isOpen: Bool = false,
        _ handle: @escaping @Sendable (Job) async throws -> APIResponse
    ) {
        (self.method, self.path, self.isOpen, self.handle) = (method, path, isOpen, handle)
    }
}
