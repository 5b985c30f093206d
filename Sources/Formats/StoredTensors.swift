internal import MartletJSON
public import MartletTensors

/// The tensors of a checkpoint, in one file or several, found by the bytes of their name.
public struct StoredTensors: Sendable {
    /// In the order of the file.
    public let all: [StoredTensor]
    /// What to name in messages: the file, the index or the folder.
    public let path: String
    private let positions: [ExactKey: Int]

    /// - Precondition: no name twice; whoever reads the file has made sure.
    init(unique all: [StoredTensor], path: String) {
        positions = Dictionary(uniqueKeysWithValues: all.enumerated().map { (ExactKey($1.name), $0) })
        (self.all, self.path) = (all, path)
    }

    public var count: Int { all.count }
    public var names: [String] { all.map(\.name) }

    /// Bytes of all tensors.
    public var bytes: Int { all.reduce(0) { $0 + $1.bytes } }

    public subscript(name: String) -> StoredTensor? { positions[ExactKey(name)].map { all[$0] } }

    /// The tensor called `name`.
    ///
    /// - Throws: ``FormatError`` when there is none, or it cannot be loaded.
    public func tensor(_ name: String) throws(FormatError) -> Tensor {
        guard let stored = self[name] else {
            throw FormatError(path: path, problem: "cannot load", offences: ["there is no tensor \(name.quoted)"])
        }
        return try stored.tensor()
    }
}
