import MartletFormats
import MartletPlatform
import MartletTensors
import Testing

/// Changes of a model's files after they were opened: a mapping shows them, a copy does not.
struct FileAccessTests {
    private static func cut(_ path: String) -> Bool { unsafe truncate(path, 0) == 0 }

    @Test(arguments: ["reference.gguf", "reference.safetensors"])
    func aCopyOutlivesItsFile(name: String) throws {
        let folder = try TemporaryFolder()
        let path = try folder.file(name, readFile(fixtures + "formats/" + name))
        func tensors(_ access: FileAccess) throws -> StoredTensors {
            name.hasSuffix("gguf")
                ? try GGUF(contentsOf: path, access).tensors
                : try Safetensors(contentsOf: path, access).tensors
        }
        func bytes(_ tensors: StoredTensors) throws -> [[UInt8]] {
            try tensors.all.filter { $0.type.elementType != nil && $0.extents.count <= 4 }
                .map { Array(try $0.tensor().rawBytes) }
        }
        let expected = try bytes(tensors(.mapped))
        let copied = try tensors(.copied)
        #expect(try bytes(copied) == expected)
        #expect(Self.cut(path))
        #expect(try bytes(copied) == expected && !expected.joined().isEmpty)
    }

    @Test func aMappingEndsWithItsFile() async {
        await #expect(processExitsWith: .signal(SIGBUS)) {
            let path = "/tmp/martlet-cut-\(getpid())"
            defer { unsafe unlink(path) }
            try writeFile([UInt8](repeating: 1, count: 1 << 16), to: path)
            let storage = try Storage(mapping: path)
            _ = FileAccessTests.cut(path)
            unsafe unlink(path)
            #expect(storage.contents.isEmpty)
        }
    }
}
