/// The client's names for fields of a chat completion, into which its request was translated.
struct FieldNames: Sendable {
    private var names: [(own: String, given: String)]

    init(_ names: [(own: String, given: String)] = []) { self.names = names }

    /// Adds the client's name `given` for a field and all that it holds; a name that was added before goes first.
    mutating func add(_ own: String, given: String) { names.append((own, given)) }

    /// Runs `body`, whose errors then name the fields as the client does.
    func translatingErrors<Result>(_ body: () async throws -> Result) async throws -> Result {
        do { return try await body() } catch let error as APIError { throw translated(error) }
    }

    private func translated(_ error: APIError) -> APIError {
        guard let parameter = error.parameter else { return error }
        for (own, given) in names where parameter.utf8.starts(with: own.utf8) {
            let rest = parameter.utf8.dropFirst(own.utf8.count)
            guard rest.isEmpty || rest.first == UInt8(ascii: ".") || rest.first == UInt8(ascii: "[") else { continue }
            var name = given + String(decoding: rest, as: UTF8.self)
            if name.utf8.first == UInt8(ascii: ".") { name.removeFirst() }
            var translated = error
            translated.parameter = name
            // The message may name what the field is a part of.
            let (old, new) = error.message.contains(parameter) ? (parameter, name) : (own, given)
            translated.message = error.message.replacing(old, with: new, maxReplacements: 1)
            return translated
        }
        return error
    }
}
