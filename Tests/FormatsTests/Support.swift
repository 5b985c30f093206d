import MartletFormats
import MartletPlatform
import MartletTensors
import Testing

/// The package's folder.
let packageRoot: String = {
    var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
    parts.removeLast(3)
    return parts.joined(separator: "/")
}()

let fixtures = packageRoot + "/Tests/Fixtures/"

/// Real models and vocabularies, where this machine has them.
let sharedData: String? = {
    let path = unsafe getenv("MARTLET_DATA").map { unsafe String(cString: $0) } ?? packageRoot + "/../shared/data"
    return unsafe access(path, R_OK) == 0 ? path : nil
}()

/// A folder that goes away with the test.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = "/tmp/martlet-formats-\(UInt64.random(in: 0 ... .max))"
        try #require(unsafe mkdir(path, 0o700) == 0)
    }

    deinit {
        for name in contents { unsafe unlink(path + "/" + name) }
        unsafe rmdir(path)
    }

    var contents: [String] {
        guard let folder = unsafe opendir(path) else { return [] }
        defer { unsafe closedir(folder) }
        var names: [String] = []
        while let entry = unsafe readdir(folder) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Writes `bytes` and returns the path.
    ///
    /// As a new file: some file systems wait for the disk when an old one is cut and written again.
    func file(_ name: String, _ bytes: [UInt8]) throws -> String {
        remove(name)
        return try append(name, bytes)
    }

    func append(_ name: String, _ bytes: [UInt8]) throws -> String {
        let path = path + "/" + name
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let written = unsafe write(descriptor, bytes, bytes.count)
        try #require(written == bytes.count)
        return path
    }

    func remove(_ name: String) { unsafe unlink(path + "/" + name) }
}

func readFile(_ path: String) throws -> [UInt8] {
    let storage = try Storage(mapping: path)
    defer { withExtendedLifetime(storage) {} }
    return unsafe Array(UnsafeRawBufferPointer(start: storage.pointer, count: storage.bytes))
}

extension Tensor {
    /// The stored bytes.
    var rawBytes: [UInt8] { unsafe Array(UnsafeRawBufferPointer(start: pointer, count: bytes)) }

    /// The elements of a plain type as numbers.
    var numbers: [Double] {
        let raw = rawBytes
        return (0..<shape.elements).map { index in
            let size = type.block.bytes
            let bits = raw[index * size..<(index + 1) * size].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            return switch type {
            case .f32: Double(Float(bitPattern: bits))
            case .bf16: Double(Float(bitPattern: bits << 16))
            case .f16: Double(half: UInt16(bits))
            default: Double(Int32(bitPattern: bits))
            }
        }
    }
}

extension Double {
    /// A normal number or zero in IEEE half precision.
    fileprivate init(half bits: UInt16) {
        let exponent = Int(bits >> 10 & 31)
        let magnitude =
            exponent == 0
            ? 0 : Double(sign: .plus, exponent: exponent - 15, significand: 1 + Double(bits & 1023) / 1024)
        self = bits >> 15 == 1 ? -magnitude : magnitude
    }
}

/// The fixtures' numbers, by their place.
func numbers(_ tensor: Double, _ count: Int, step: Double = 0.5) -> [Double] {
    (0..<count).map { tensor + Double($0) * step }
}
