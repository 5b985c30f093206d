@_exported public import protocol MartletPlatform.MartletError

/// The error of a checkpoint, with every parameter that a model asks for and the checkpoint does not hold as it should.
public struct CheckpointError: MartletError, Equatable {
    /// The checkpoint.
    public let path: String
    /// The missing tensors, which the model asks for and the checkpoint lacks.
    public internal(set) var missing: [String] = []
    /// The misshapen tensors, of another shape or type than the model asks for.
    public internal(set) var misshapen: [String] = []

    init(path: String) { self.path = path }

    var isEmpty: Bool { missing.isEmpty && misshapen.isEmpty }

    /// The remedy, where one is known.
    public var remedy: String? { "Use the config.json that belongs to these weights" }

    /// The offences: everything that was wrong, each as a sentence.
    public var offences: [String] { missing + misshapen }

    /// The cause: what was found, and where.
    public var cause: String {
        func list(_ what: String, _ names: [String]) -> String? {
            guard !names.isEmpty else { return nil }
            let shown = names.prefix(12).joined(separator: "; ")
            return "\(names.count) \(what): \(shown)" + (names.count > 12 ? "; and \(names.count - 12) more" : "")
        }
        let parts = [list("missing", missing), list("of another shape or type", misshapen)]
        return "\(path): the tensors do not fit the configuration: " + parts.compactMap { $0 }.joined(separator: ". ")
    }
}
