import MartletFormats
import MartletModels
import MartletPlatform
import MartletTensors

extension Parser {
    /// The parsers of files that are mapped; `scratch` takes the files.
    static func files(_ scratch: String) -> [Parser] {
        func parser(_ name: String, _ read: @escaping (String) throws -> Void) -> Parser {
            let path = scratch + "/" + name
            return Parser(name: name) { bytes in
                try write(bytes, to: path)
                try read(path)
            }
        }
        return [
            parser("file.safetensors") { try look(Safetensors(contentsOf: $0).tensors) },
            parser("file.bin") { try look(Safetensors(weights: $0).tensors) },
            parser("file.gguf") { path in
                let file = try GGUF(contentsOf: path)
                _ = file.metadata.json()
                try look(file.tensors)
                _ = try ModelFile(path: path).inventory()
            },
            parser("model.bin") { try look(CTranslate2File(contentsOf: $0).tensors) },
        ]
    }

    /// Reads every tensor.
    private static func look(_ tensors: StoredTensors) throws {
        for stored in tensors.all where stored.type.elementType != nil && stored.extents.count <= 4 {
            let tensor = try stored.tensor()
            unsafe touch(UnsafeRawBufferPointer(start: tensor.pointer, count: tensor.bytes))
        }
    }

    /// Reads all bytes, to no end but that they can be.
    @inline(never) private static func touch(_ bytes: UnsafeRawBufferPointer) {
        precondition(unsafe bytes.reduce(0) { $0 | UInt($1) } < 256)
    }

    /// Writes over the file that is there, whose folder is memory where the system has such.
    static func write(_ bytes: [UInt8], to path: String) throws {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw FileError(path: path, operation: "open", code: errno) }
        defer { close(descriptor) }
        let written = unsafe bytes.withUnsafeBytes { unsafe writeBytes(descriptor, $0.baseAddress, $0.count) }
        guard written == bytes.count, ftruncate(descriptor, off_t(bytes.count)) == 0 else {
            throw FileError(path: path, operation: "write", code: errno)
        }
    }
}
