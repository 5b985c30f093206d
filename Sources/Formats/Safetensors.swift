internal import MartletJSON
import MartletPlatform
internal import MartletTensors

/// Named tensors in the safetensors format, in one file or in several with an index.
///
/// A file is an 8-byte little-endian length, a JSON header of that length, and the bytes of the tensors without holes.
/// Source: the format section of the safetensors README; all its rules are enforced. Where it is silent we refuse:
/// fields of a tensor that it does not define, and numbers that no `Int` holds.
package struct Safetensors: Sendable {
    /// The file, or the index.
    package let path: String
    package let tensors: StoredTensors
    /// The metadata, `__metadata__`, in the order of the file; of several files, those of the first.
    package let metadata: [(key: String, value: String)]

    /// The header may be no longer than this, whatever the file's size.
    package static let maximumHeaderBytes = 100_000_000

    /// Opens a `.safetensors` file, or a `.safetensors.index.json` with the files that it names.
    ///
    /// Maps the data and reads only the headers.
    /// - Throws: ``FormatError`` with everything that is wrong.
    package init(contentsOf path: String, _ access: FileAccess = .mapped) throws(FormatError) {
        self = try path.hasSuffix(".json") ? Safetensors(index: path, access) : Safetensors(file: path, access)
    }

    /// Opens one file of weights, whatever it is called: safetensors, or PyTorch's.
    package init(weights path: String) throws(FormatError) {
        let endings = [".bin", ".pt", ".pth", ".ckpt"]
        guard endings.contains(where: { path.utf8.reversed().starts(with: $0.utf8.reversed()) }) else {
            try self.init(contentsOf: path)
            return
        }
        self.init(path: path, tensors: try PyTorchFile(contentsOf: path).tensors, metadata: [])
    }

    /// Opens `model.safetensors`, or `model.safetensors.index.json` and its files, in a folder; a `pytorch_model.bin`
    /// where there is neither.
    package init(directory: String, _ access: FileAccess = .mapped) throws(FormatError) {
        self = try CheckpointFolder(directory).open(access)
    }

    init(path: String, tensors: StoredTensors, metadata: [(key: String, value: String)]) {
        (self.path, self.tensors, self.metadata) = (path, tensors, metadata)
    }

    /// Opens one file.
    init(file path: String, _ access: FileAccess) throws(FormatError) {
        let file = try MappedFile(path, access)
        try file.checkKind()
        let header = try unsafe file.withBytes { bytes throws(FormatError) in
            try unsafe SafetensorsHeader(bytes, path: path)
        }
        let all = header.entries.map {
            StoredTensor(
                name: $0.name, type: $0.type, extents: $0.extents, byteOffset: header.dataOffset + $0.range.lowerBound,
                bytes: $0.range.count, storage: file.storage, path: path)
        }
        let tensors = try StoredTensors(unique: all, path: path, files: [file])
        self.init(path: path, tensors: tensors, metadata: header.metadata)
    }

    static let problem = "not a valid safetensors file"

    /// The types of the format, by their names in the header.
    static let types: [String: StoredType] = {
        let types = [
            StoredType("F32", .f32), StoredType("F16", .f16), StoredType("BF16", .bf16), StoredType("I32", .i32),
            StoredType("BOOL", 1, 1), StoredType("U8", 1, 1), StoredType("I8", 1, 1, .ggml(24)),
            StoredType("U16", 1, 2),
            StoredType("I16", 1, 2, .ggml(25)), StoredType("U32", 1, 4), StoredType("U64", 1, 8),
            StoredType("I64", 1, 8, .ggml(27)),
            StoredType("F64", 1, 8, .ggml(28)), StoredType("C64", 1, 8), StoredType("F8_E4M3", 1, 1, .float8(.e4m3)),
            StoredType("F8_E5M2", 1, 1, .float8(.e5m2)),
            StoredType("F8_E8M0", 1, 1, .float8(.e8m0)), StoredType("F8_E4M3FNUZ", 1, 1, .float8(.e4m3UnsignedZero)),
            StoredType("F8_E5M2FNUZ", 1, 1, .float8(.e5m2UnsignedZero)),
            StoredType("F4", 2, 1), StoredType("F6_E2M3", 4, 3), StoredType("F6_E3M2", 4, 3),
        ]
        return Dictionary(uniqueKeysWithValues: types.map { ($0.name, $0) })
    }()
}
