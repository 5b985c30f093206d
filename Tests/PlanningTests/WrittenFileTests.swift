import MartletFormats
import MartletJSON
import MartletLayers
import MartletModels
import MartletPlanning
import MartletQuantization
import MartletTensors
import TestSupport
import Testing

/// The bytes that are planned are those that our own writers write, to the byte.
@Suite struct WrittenFileTests {
    private static let device = Device(threads: 1)
    /// Every fixture with weights that Martlet reads.
    static let folders = Fixtures.entries(Fixtures.folder + "/families").filter { name in
        (try? ModelFile(path: Fixtures.folder + "/families/" + name).checkpoint()) != nil
    }

    private static func file(_ name: String) throws -> ModelFile {
        try ModelFile(path: Fixtures.folder + "/families/" + name)
    }

    /// True where a GGUF keeps a constant among its settings: those of xIELU.
    private static func isSetting(_ entry: ParameterDescription) -> Bool {
        entry.name.hasSuffix(".feedForward.beta") || entry.name.hasSuffix(".feedForward.epsilon")
    }

    /// Tensor bytes of a file, without those that are no parameters.
    private static func bytes(
        _ tensors: StoredTensors, _ file: ModelFile, _ type: ElementType, isGGUF: Bool = false
    ) throws -> Count {
        let constants = try file.inventory().entries.filter { $0.fill.isConstant && !(isGGUF && isSetting($0)) }
        let idle = constants.reduce(0) { $0 + $1.shape.elements * type.block.bytes }
        let tables = tensors.all.filter { $0.name.hasPrefix("rope_f") }.reduce(0) { $0 + $1.bytes }
        return Count(tensors.bytes - idle - tables)
    }

    /// Bytes of the parameters that a GGUF keeps among its settings: the slopes of xIELU.
    private static func settings(_ file: ModelFile) throws -> Count {
        let slopes = try file.inventory().entries.filter {
            $0.name.hasSuffix(".positive") || $0.name.hasSuffix(".negative")
        }
        return Count(4 * slopes.count)
    }

    @Test func thereAreFixtures() { #expect(WrittenFileTests.folders.count > 80) }

    @Test(arguments: folders) func safetensors(_ name: String) throws {
        let file = try WrittenFileTests.file(name)
        let blueprint = try DescribedModel(file).blueprint
        for type in [ElementType.f32, .bf16] {
            var written: Count?
            try TemporaryFolder.use { folder in
                let export = try ModelExport(file, on: WrittenFileTests.device)
                try export.writeSafetensors(in: folder, type: type)
                written = try WrittenFileTests.bytes(Safetensors(directory: folder).tensors, file, type)
            }
            let planned = try blueprint.weightBytes(.uniform(StorageType(rawValue: type.rawValue) ?? .f64))
            #expect(planned.count == written, "\(type)")
        }
    }

    @Test(arguments: folders) func gguf(_ name: String) throws {
        let file = try WrittenFileTests.file(name)
        guard case .decoder = file.architecture.body else { return }
        let blueprint = try DescribedModel(file).blueprint
        for (type, planned) in [(ElementType.f32, FileType.f32), (.f16, .f16), (.bf16, .bf16), (.q8_0, .q8_0)] {
            var written: Count?
            try TemporaryFolder.use { folder in
                let export = try ModelExport(file, on: WrittenFileTests.device)
                // Some descriptions have no words in GGUF.
                guard (try? export.writeGGUF(to: folder + "/a.gguf", name: "a", type: type)) != nil else { return }
                written =
                    try WrittenFileTests.bytes(
                        GGUF(contentsOf: folder + "/a.gguf").tensors, file, .f32, isGGUF: true)
                    + WrittenFileTests.settings(file)
            }
            guard let written else { continue }
            #expect(try QuantizedFile(blueprint, fileType: planned).tensorBytes.count == written, "\(type)")
        }
    }

    /// A quantized file before it is made, and what the quantizer is about to write, in every mix that it writes.
    @Test(arguments: folders) func quantized(_ name: String) throws {
        let file = try WrittenFileTests.file(name)
        guard case .decoder = file.architecture.body else { return }
        let blueprint = try DescribedModel(file).blueprint
        for type in FileType.writable {
            guard let plan = try? Quantizer(file, type, on: WrittenFileTests.device).weights().plan else { continue }
            let idle = try file.inventory().entries.filter { $0.fill.isConstant }.reduce(0) {
                $0 + $1.shape.elements * 4
            }
            let written = plan.reduce(Count(0)) { $0 + Count($1.bytes) } - Count(idle)
            #expect(try QuantizedFile(blueprint, fileType: type).tensorBytes.count == written, "\(type)")
        }
    }

    /// The types in a file's header are those that are planned when nothing else is asked for.
    @Test(arguments: folders) func asStored(_ name: String) throws {
        let file = try WrittenFileTests.file(name)
        let described = try DescribedModel(file)
        let types = try #require(described.storedTypes)
        let planned = try described.blueprint.weightBytes(.stored(types)).count
        let checkpoint = try file.checkpoint()
        let parameters = try file.inventory().entries.filter { !$0.fill.isConstant }
        let stored = parameters.reduce(0) { total, entry in
            total + (checkpoint.type(entry.name)?.block.checkedBytes(of: entry.shape.elements) ?? 0)
        }
        #expect(planned == Count(stored))
    }
}
