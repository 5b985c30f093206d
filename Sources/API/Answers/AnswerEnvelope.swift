import MartletJSON

/// The fields that every object of an answer in OpenAI's shape begins with.
struct AnswerEnvelope: Sendable {
    private let id: String
    private let created = UnixTime.now
    private let model: ServedModel

    /// - Parameter prefix: What the answer's id begins with: `chatcmpl-`.
    init(_ prefix: String, _ model: ServedModel) { (id, self.model) = (prefix + RequestIdentity.random(), model) }

    /// The fields of an object of kind `kind`: `chat.completion`.
    func object(_ kind: String) -> JSONObject {
        var object = JSONObject()
        object["id"] = .string(id)
        object["object"] = .string(kind)
        object["created"] = .integer(created)
        object["model"] = .string(model.name)
        object["system_fingerprint"] = .string(model.fingerprint)
        return object
    }
}
