import MartletJSON

/// Server-sent events.
enum ServerSentEvents {
    static func data(_ json: JSON) -> [UInt8] { Array("data: ".utf8) + json.serialized() + Array("\n\n".utf8) }
    static func event(_ name: String, _ json: JSON) -> [UInt8] { Array("event: \(name)\n".utf8) + data(json) }
    static let done = Array("data: [DONE]\n\n".utf8)
    static let ping = Array(": ping\n\n".utf8)
}
