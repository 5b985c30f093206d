internal import MartletJSON
internal import MartletTensors

/// A model file of the ggml family: metadata, then tensors.
///
/// Versions 2 and 3, little-endian. Source: the GGUF specification and the rules of llama.cpp's reader, which are
/// enforced: tensors in order without holes but the alignment's, at most four extents, names of at most 63 bytes. Bytes
/// after the last tensor are allowed, as there.
package struct GGUF: Sendable {
    package let path: String
    package let version: Int
    /// The alignment of the data and of each tensor in it, in bytes.
    package let alignment: Int
    package let metadata: GGUFMetadata
    package let tensors: StoredTensors

    package static let defaultAlignment = 32
    /// The largest alignment, 16 MiB; a file that asks for more only wants its reader to pad.
    package static let maximumAlignment = 1 << 24
    /// The maximum length of a name in bytes: one less than ggml's buffer for it.
    package static let maximumNameBytes = 63

    /// Opens a file: maps the data and reads the metadata; arrays wait in the file until they are asked for.
    ///
    /// - Throws: ``FormatError`` with everything that is wrong.
    package init(contentsOf path: String, _ access: FileAccess = .mapped) throws(FormatError) {
        let first = try GGUF(part: path, access)
        self = try first.joined(access)
    }

    init(path: String, version: Int, alignment: Int, metadata: GGUFMetadata, tensors: StoredTensors) {
        (self.path, self.version, self.alignment) = (path, version, alignment)
        (self.metadata, self.tensors) = (metadata, tensors)
    }

    /// Opens one file, which may be a part of a model.
    init(part path: String, _ access: FileAccess) throws(FormatError) {
        let file = try MappedFile(path, access)
        try file.checkKind()
        let header = try unsafe file.withBytes { bytes throws(FormatError) in
            var reader = unsafe GGUFReader(bytes, file)
            return try reader.read()
        }
        self.path = path
        (version, alignment, metadata) = (header.version, header.alignment, header.metadata)
        tensors = try StoredTensors(unique: header.tensors, path: path, files: [file])
    }

    static let magic: [UInt8] = Array("GGUF".utf8)

    /// Returns whether `path` is a file that begins as a GGUF does.
    package static func begins(_ path: String) -> Bool {
        guard let file = try? Storage(mapping: path), file.bytes >= magic.count else { return false }
        return magic.indices.allSatisfy {
            unsafe file.pointer.load(fromByteOffset: $0, as: UInt8.self) == magic[$0]
        }
    }

    static let problem = "not a valid GGUF file"
}
