import MartletFormats
import MartletTensors
import Testing

/// Files with seeded damage either load whole or are refused with a typed error; nothing else can happen.
@Suite("Damaged files")
struct MutationTests {
    private static let sources = ["reference.safetensors", "writable.safetensors", "reference.gguf", "aligned.gguf"]

    /// Opens a file, and reads everything in it.
    private func load(_ path: String) throws(FormatError) {
        let tensors: StoredTensors
        if path.hasSuffix(".gguf") {
            let file = try GGUF(contentsOf: path)
            tensors = file.tensors
            _ = file.metadata.json()
        } else {
            tensors = try Safetensors(contentsOf: path).tensors
        }
        for stored in tensors.all {
            guard stored.type.elementType != nil, stored.extents.count <= 4 else { continue }
            let tensor = try stored.tensor()
            #expect(tensor.rawBytes.count == stored.bytes)
        }
    }

    private func name(_ source: String, _ copy: String) -> String {
        copy + (source.hasSuffix(".gguf") ? ".gguf" : ".safetensors")
    }

    @Test("cut after any byte", arguments: sources)
    func truncated(source: String) throws {
        let folder = try TemporaryFolder()
        let bytes = try readFile(fixtures + "formats/" + source)
        for length in 0..<bytes.count {
            let path = try folder.file(name(source, "cut"), Array(bytes[..<length]))
            #expect(throws: FormatError.self, "cut after \(length)") { try load(path) }
        }
    }

    @Test("changed at 1 to 8 places, 2,500 times", arguments: sources)
    func mutated(source: String) throws {
        let folder = try TemporaryFolder()
        let bytes = try readFile(fixtures + "formats/" + source)
        var random = SplitMix(seed: 2)
        var refused = 0
        for _ in 0..<2500 {
            let path = try folder.file(name(source, "changed"), random.damaged(bytes))
            do throws(FormatError) {
                try load(path)
            } catch {
                refused += 1
                #expect(error.path == path)
                #expect(!error.offences.isEmpty)
            }
        }
        #expect(refused > 500, "the damage must matter")
    }
}

/// A seeded generator (Steele et al. 2014).
private struct SplitMix {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

    /// `bytes` with a few changes, most of them in the first half, where headers are.
    mutating func damaged(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for _ in 0...below(8) {
            let place = below(below(4) == 0 ? bytes.count : max(bytes.count / 2, 1))
            switch below(7) {
            case 0: bytes[place] ^= 1 << UInt8(below(8))
            case 1: bytes[place] = UInt8(truncatingIfNeeded: next())
            case 2: bytes[place] = [0, 1, 0x7F, 0x80, 0xFF][below(5)]
            case 3: bytes.remove(at: place)
            case 4: bytes.insert(UInt8(truncatingIfNeeded: next()), at: place)
            case 5: bytes[place] = UInt8(ascii: "0") + UInt8(below(10))
            default:
                let extreme: UInt64 = [0, .max, 1 << 31, 1 << 32, 1 << 60, 1 << 63][below(6)]
                for (offset, byte) in little(extreme).enumerated() where place + offset < bytes.count {
                    bytes[place + offset] = byte
                }
            }
        }
        return bytes
    }
}
