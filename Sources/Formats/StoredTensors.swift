internal import MartletJSON
package import MartletPlatform
package import MartletTensors

/// The tensors of a checkpoint, in one file or several, found by the bytes of their name.
package struct StoredTensors: Sendable {
    /// All tensors, in the order of the file.
    package let all: [StoredTensor]
    /// The place to name in messages: the file, the index or the folder.
    package let path: String
    let files: [MappedFile]
    private let positions: [ExactKey: Int]

    /// The tensors of `files`, which must still be as they were mapped.
    ///
    /// - Precondition: no name twice; whoever reads the file has made sure.
    init(unique all: [StoredTensor], path: String, files: [MappedFile]) throws(FormatError) {
        positions = Dictionary(uniqueKeysWithValues: all.enumerated().map { (ExactKey($1.name), $0) })
        (self.all, self.path, self.files) = (all, path, files)
        try checkUnchanged()
    }

    /// A loader that has copied the elements asks once more whether they were still those of the file that was opened.
    ///
    /// - Throws: ``FormatError`` when a file was replaced, written or cut since.
    package func checkUnchanged() throws(FormatError) {
        for file in files { try file.checkUnchanged() }
    }

    /// Adds to `fingerprint` what tells these files from others and from what they were before.
    ///
    /// - Throws: ``FileError`` when one is no longer there.
    package func identify(in fingerprint: inout Fingerprint) throws(FileError) {
        for file in files { try fingerprint.add(identityOf: file.path) }
    }

    /// The paths of the files.
    package var paths: [String] { files.map(\.path) }

    /// Tells the system that the files will not be read again soon; what is read all the same comes back by itself.
    package func release() {
        for file in files { file.storage.release(0..<file.storage.bytes) }
    }

    /// Returns these tensors with those of another checkpoint in their place or beside them, under the names that
    /// `renamed` gives; those without one stay away.
    package func overlaid(
        by other: StoredTensors, renamed: (String) -> String?
    ) throws(FormatError) -> StoredTensors {
        let further = other.all.compactMap { tensor in
            renamed(tensor.name).map { name in
                StoredTensor(
                    name: name, type: tensor.type, extents: tensor.extents, byteOffset: tensor.byteOffset,
                    bytes: tensor.bytes, storage: tensor.storage, path: tensor.path, derivation: tensor.derivation)
            }
        }
        let names = Set(further.map { ExactKey($0.name) })
        let kept = all.filter { !names.contains(ExactKey($0.name)) }
        return try StoredTensors(unique: kept + further, path: path, files: files + other.files)
    }

    /// The wrappers of training whose names stand before all others where their whole state was saved: data
    /// parallelism, compilation, adapters that were merged.
    private static let wrappers = ["module.", "_orig_mod.", "base_model.model."]

    /// Returns these tensors without the names of wrappers that stand before every one of them.
    package func withoutWrappers() throws(FormatError) -> StoredTensors {
        var count = 0
        while let wrapper = StoredTensors.wrappers.first(where: { wrapper in
            !all.isEmpty && all.allSatisfy { $0.name.utf8.dropFirst(count).starts(with: wrapper.utf8) }
        }) { count += wrapper.utf8.count }
        guard count > 0 else { return self }
        let unwrapped = all.map { tensor in
            StoredTensor(
                name: String(decoding: Array(tensor.name.utf8.dropFirst(count)), as: UTF8.self), type: tensor.type,
                extents: tensor.extents, byteOffset: tensor.byteOffset, bytes: tensor.bytes, storage: tensor.storage,
                path: tensor.path, derivation: tensor.derivation)
        }
        return try StoredTensors(unique: unwrapped, path: path, files: files)
    }

    /// A tensor that follows from others: its name and extents, and how its f32 elements are made when it is loaded.
    package typealias Derived = (
        name: String, extents: [Int], make: @Sendable () throws(FormatError) -> Tensor
    )

    /// Returns these tensors with others that are made of them or of what stands beside them; those that are there
    /// already stay.
    package func adding(_ derived: [Derived]) throws(FormatError) -> StoredTensors {
        guard let file = files.first else { return self }
        let made = derived.filter { self[$0.name] == nil }.map { tensor in
            StoredTensor(
                name: tensor.name, type: StoredType(.f32), extents: tensor.extents, byteOffset: 0,
                bytes: 4 * (Shape.product(tensor.extents) ?? 0), storage: file.storage, path: path,
                derivation: tensor.make)
        }
        return made.isEmpty ? self : try StoredTensors(unique: all + made, path: path, files: files)
    }

    package var count: Int { all.count }
    package var names: [String] { all.map(\.name) }

    /// The size of all tensors in bytes.
    package var bytes: Int { all.reduce(0) { $0 + $1.bytes } }

    package subscript(name: String) -> StoredTensor? { positions[ExactKey(name)].map { all[$0] } }

    /// The tensor called `name`.
    ///
    /// - Throws: ``FormatError`` when there is none, or it cannot be loaded.
    package func tensor(_ name: String) throws(FormatError) -> Tensor {
        guard let stored = self[name] else {
            throw FormatError(path: path, problem: "cannot load", offences: ["there is no tensor \(name.quoted)"])
        }
        return try stored.tensor()
    }
}
