import MartletFormats
import MartletJSON
import MartletLayers
import MartletModels
import MartletPlatform
import MartletTensors
import Synchronization
import TestSupport
import Testing

/// Matrices that are mapped from the cache have the bits of those that are packed, and what may not be trusted is
/// packed anew.
@Suite struct PackedCacheTests {
    static let families = FamilyTests.supported.map { "\(FamilyTests.folder)/\($0)" }
    static let files = GGUFFamilyTests.files.map { "\(GGUFFamilyTests.folder)/\($0)" }
    static let llama = "\(GGUFFamilyTests.folder)/llama-bf16.gguf"

    /// The logits of a model, and how much of its weights was mapped.
    private static func run(
        _ path: String, _ cache: PackedCache?, matrices: ElementType? = nil
    ) throws -> (results: [[Float]], mapped: Int, bytes: Int) {
        var file = try ModelFile(path: path)
        (file.packedCache, file.matrices) = (cache, matrices)
        let device = Device(threads: 2)
        var weights = PackedWeights()
        let model = try file.model(on: device, weights: &weights)
        #expect(PackedCache.finishWriting(within: .seconds(60)))
        let results = try ForwardPass.run(
            model, file.architecture, try inputs(path), recording: .nothing, layers: .last, on: device)
        return (results.map(\.tensor.values), weights.mappedBytes, weights.bytes)
    }

    private static func inputs(_ path: String) throws -> [ForwardPass.Input] {
        let isFile = path.hasSuffix(".gguf")
        let name = isFile ? String(path.dropLast(5)) + ".expected.safetensors" : path + "/expected.safetensors"
        return try FamilyTests.inputs(Safetensors(contentsOf: name).tensors)
    }

    /// The names in the cache's folder beside the measured limits of packed rows.
    private static func packed(_ folder: String) -> [String] {
        Fixtures.entries(folder).filter { $0 != "rows.json" }
    }

    private static func cache(_ folder: String, limit: Int = 1 << 30) -> PackedCache {
        PackedCache(folder: folder, limit: limit, least: 1)
    }

    private static func bits(_ results: [[Float]]) -> [[UInt32]] { results.map { $0.map(\.bitPattern) } }

    /// Packed, kept, mapped: three loads, the same bits.
    @Test(arguments: families + files) func bitsAreThose(path: String) throws {
        try TemporaryFolder.use { folder in
            let cache = Self.cache(folder)
            let plain = try Self.run(path, nil)
            let first = try Self.run(path, cache)
            let second = try Self.run(path, cache)
            #expect(plain.mapped == 0 && first.mapped == 0 && second.mapped == second.bytes && second.bytes > 0)
            #expect(Self.bits(first.results) == Self.bits(plain.results))
            #expect(Self.bits(second.results) == Self.bits(plain.results))
            #expect(Self.packed(folder).count == 1)
        }
    }

    @Test func roundedMatricesAreKeptBesideTheStoredOnes() throws {
        try TemporaryFolder.use { folder in
            let cache = Self.cache(folder)
            let plain = try Self.run(Self.llama, nil, matrices: .q8_0)
            _ = try Self.run(Self.llama, cache)
            #expect(try Self.run(Self.llama, cache, matrices: .q8_0).mapped == 0)
            let mapped = try Self.run(Self.llama, cache, matrices: .q8_0)
            #expect(mapped.mapped == mapped.bytes && Self.bits(mapped.results) == Self.bits(plain.results))
            #expect(Self.packed(folder).count == 2)
        }
    }

    enum Damage: CaseIterable {
        case everyByte, cut, longer, empty, folder, link, otherUser
    }

    /// A damaged file is as none, and is replaced.
    @Test(arguments: Damage.allCases) func damagedFilesAreMadeAnew(damage: Damage) throws {
        try TemporaryFolder.use { folder in
            let cache = Self.cache(folder)
            let plain = try Self.run(Self.llama, cache)
            let path = try folder + "/" + #require(Self.packed(folder).first)
            let whole = Fixtures.bytes(path)
            for bytes in Self.damaged(whole, damage) {
                unsafe unlink(path)
                switch damage {
                case .folder: try Folder.make(path)
                case .link: try Folder.link(path, to: "/dev/zero")
                default: try writeFile(bytes, to: path)
                }
                if damage == .otherUser, unsafe chown(path, 1, 1) != 0 { return }
                let damaged = try Self.run(Self.llama, cache)
                #expect(damaged.mapped == 0 && Self.bits(damaged.results) == Self.bits(plain.results))
                if damage == .folder { Folder.remove(path) }
                if damage == .folder { _ = try Self.run(Self.llama, cache) }
                let mended = try Self.run(Self.llama, cache)
                #expect(mended.mapped == mended.bytes && Self.bits(mended.results) == Self.bits(plain.results))
                #expect(Fixtures.bytes(path) == whole)
            }
        }
    }

    private static func damaged(_ whole: [UInt8], _ damage: Damage) -> [[UInt8]] {
        switch damage {
        case .cut: return [whole.dropLast(), whole.prefix(whole.count / 2), whole.prefix(7)].map { Array($0) }
        case .longer: return [whole + [0]]
        case .everyByte:
            // Of the header every digit and name, of the rest some.
            let header = 8 + Int(whole[0]) + Int(whole[1]) << 8
            let places = Array(stride(from: 0, to: header, by: 61)) + stride(from: header, to: whole.count, by: 9_973)
            return (places + [whole.count - 1]).map { place in
                var bytes = whole
                bytes[place] ^= 1
                return bytes
            }.filter { $0 != whole }
        case .empty: return [[]]
        case .folder, .link, .otherUser: return [whole]
        }
    }

    /// Other weights under the same name take the place of the old ones.
    @Test func changedModelsArePackedAnew() throws {
        try TemporaryFolder.use { models in
            try TemporaryFolder.use { folder in
                let cache = Self.cache(folder)
                let path = models + "/model.gguf"
                try writeFile(
                    Fixtures.bytes("\(GGUFFamilyTests.folder)/llama-bf16.expected.safetensors"),
                    to: models + "/model.expected.safetensors")
                var bytes = Fixtures.bytes(Self.llama)
                try writeFile(bytes, to: path)
                let before = try Self.run(path, cache)
                #expect(try Self.run(path, cache).mapped == before.bytes)
                bytes[bytes.count - 1_000] ^= 1
                try writeFile(bytes, to: path)
                let plain = try Self.run(path, nil)
                let after = try Self.run(path, cache)
                #expect(after.mapped == 0 && Self.bits(after.results) == Self.bits(plain.results))
                let again = try Self.run(path, cache)
                #expect(again.mapped == again.bytes && Self.bits(again.results) == Self.bits(plain.results))
                #expect(Self.packed(folder).count == 1)
            }
        }
    }

    /// Loads at once, each with descriptors of its own as processes have.
    @Test func loadsAtOnceAgree() throws {
        try TemporaryFolder.use { folder in
            let cache = Self.cache(folder)
            let plain = try Self.run(Self.llama, nil)
            let wrong = Mutex(0)
            for _ in 0..<4 {
                Threads.run(4) { _ in
                    let result = try? Self.run(Self.llama, cache)
                    if result.map({ Self.bits($0.results) }) != Self.bits(plain.results) { wrong.withLock { $0 += 1 } }
                }
                #expect(Self.packed(folder).count == 1)
            }
            let last = try Self.run(Self.llama, cache)
            #expect(wrong.withLock { $0 } == 0 && last.mapped == last.bytes)
        }
    }

    /// Eviction: what was unused for longest goes, and what killed processes left.
    @Test func filesStayWithinTheLimit() throws {
        try TemporaryFolder.use { folder in
            let sizes = try Self.files.prefix(8).map { try Self.run($0, nil).bytes }
            let limit = sizes.reduce(0, +) / 2
            let cache = Self.cache(folder, limit: limit)
            try writeFile([1, 2, 3], to: folder + "/a.safetensors.123.partial")
            for path in Self.files.prefix(8) {
                _ = try Self.run(path, cache)
                let packed = Self.packed(folder).reduce(0) { $0 + (Folder.size(of: "\(folder)/\($1)") ?? 0) }
                // Headers are not counted before they are written.
                #expect(packed <= limit + 64 << 10)
            }
            let last = try Self.run(Self.files[7], cache)
            #expect(last.mapped == (sizes[7] <= limit ? last.bytes : 0))
            #expect(!Self.packed(folder).contains { $0.hasSuffix(".partial") })
            #expect(Self.packed(folder).count < 8)
        }
    }

    /// A folder that cannot be written costs nothing but time.
    @Test func foldersThatCannotBeWrittenAreNoFailure() throws {
        let plain = try Self.run(Self.llama, nil)
        for folder in ["/proc/nowhere", "/dev/null/x"] {
            #expect(try Self.bits(Self.run(Self.llama, Self.cache(folder)).results) == Self.bits(plain.results))
        }
    }

    /// Limits of packed rows are measured once for a type, and kept for this processor alone.
    @Test func rowsAreMeasuredOnce() throws {
        try TemporaryFolder.use { folder in
            let (cache, path) = (Self.cache(folder), folder + "/rows.json")
            func kept() throws -> JSON { try JSON(contentsOf: path) }
            cache.chooseRows(for: [.q5_1])
            let measured = try #require(try kept()["q5_1"]?.integerValue)
            #expect((1...252).contains(measured))
            let mine = try String(decoding: kept().serialized(), as: UTF8.self)
            try writeFile(Array(mine.replacing("\"q5_1\":\(measured)", with: "\"q5_1\":42").utf8), to: path)
            cache.chooseRows(for: [.q5_1, .q4_1])
            #expect(try kept()["q5_1"]?.integerValue == 42)
            #expect(try kept()["q4_1"]?.integerValue != nil)
            for other in [mine.replacing("\"processor\":\"", with: "\"processor\":\"another "), "[1]", "{"] {
                try writeFile(Array(other.utf8), to: path)
                cache.chooseRows(for: [.q6_K])
                #expect(try kept()["q5_1"] == nil && kept()["q6_K"]?.integerValue != nil)
            }
        }
    }
}
