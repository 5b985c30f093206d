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
        func plain(_ name: String, _ bytes: Int, _ conversion: StoredType.Conversion? = nil) -> StoredType {
            StoredType(name, BlockSize(elements: 1, bytes: bytes), conversion)
        }
        let types = [
            StoredType(.f32), StoredType(.f16), StoredType(.bf16), StoredType(.i32), plain("BOOL", 1), plain("U8", 1),
            plain("I8", 1, .ggml(24)), plain("U16", 2), plain("I16", 2, .ggml(25)), plain("U32", 4), plain("U64", 8),
            plain("I64", 8, .ggml(27)), plain("F64", 8, .ggml(28)), plain("C64", 8),
            plain("F8_E4M3", 1, .float8(.e4m3)), plain("F8_E5M2", 1, .float8(.e5m2)),
            plain("F8_E8M0", 1, .float8(.e8m0)), plain("F8_E4M3FNUZ", 1, .float8(.e4m3UnsignedZero)),
            plain("F8_E5M2FNUZ", 1, .float8(.e5m2UnsignedZero)), StoredType("F4", BlockSize(elements: 2, bytes: 1)),
            StoredType("F6_E2M3", BlockSize(elements: 4, bytes: 3)),
            StoredType("F6_E3M2", BlockSize(elements: 4, bytes: 3)),
        ]
        return Dictionary(uniqueKeysWithValues: types.map { ($0.name, $0) })
    }()
}
