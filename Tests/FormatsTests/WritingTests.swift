import MartletFormats
import MartletTensors
import Testing

@Suite("Writing")
struct WritingTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    @Test("safetensors: the same tensors give the bytes of the reference writer")
    func safetensorsBytes() throws {
        let reference = fixtures + "formats/writable.safetensors"
        let file = try Safetensors(contentsOf: reference)
        let tensors = try file.tensors.all.reversed().map { (name: $0.name, tensor: try $0.tensor()) }
        let copy = folder.path + "/copy.safetensors"
        try Safetensors.write(tensors, metadata: file.metadata, to: copy)
        #expect(try readFile(copy) == readFile(reference))
        #expect(folder.contents == ["copy.safetensors"])
    }

    @Test("GGUF: the same metadata and tensors give the bytes of the reference writer")
    func ggufBytes() throws {
        let reference = fixtures + "formats/writable.gguf"
        let file = try GGUF(contentsOf: reference)
        let tensors = try file.tensors.all.map { (name: $0.name, tensor: try $0.tensor()) }
        let copy = folder.path + "/copy.gguf"
        try GGUF.write(tensors, metadata: file.metadata, to: copy)
        #expect(try readFile(copy) == readFile(reference))
        #expect(folder.contents == ["copy.gguf"])
    }

    @Test("GGUF: metadata of every kind comes back")
    func ggufMetadata() throws {
        let metadata: GGUFMetadata = [
            "u8": .uint8(255), "i8": .int8(-128), "u16": .uint16(65535), "i16": .int16(-32768), "u32": .uint32(.max),
            "i32": .int32(.min),
            "u64": .uint64(.max), "i64": .int64(.min), "f32": .float32(1.5), "f64": .float64(.pi), "yes": .bool(true),
            "no": .bool(false),
            "text": .string("é\0"), "raw": .bytes([0xFF, 0x00]), "words": .array(GGUFArray(["a", "", "é"])),
            "ints": .array(GGUFArray([Int32.min, 7])), "units": .array(GGUFArray([UInt32.max])),
            "octets": .array(GGUFArray([UInt8(9)])),
            "flags": .array(GGUFArray([true, false])), "reals": .array(GGUFArray([Float(0.5), -.infinity])),
            "none": .array(GGUFArray([String]())), "general.alignment": .uint32(64),
        ]
        let path = folder.path + "/metadata.gguf"
        try GGUF.write([("t", Tensor([1, 2], shape: [2]))], metadata: metadata, to: path)
        let file = try GGUF(contentsOf: path)
        #expect(file.alignment == 64)
        #expect(file.metadata.entries.map(\.key) == metadata.entries.map(\.key))
        for (key, value) in metadata.entries {
            #expect("\(value.plain)" == "\(try #require(file.metadata[key]).plain)", "\(key)")
        }
        #expect(try file.tensors.tensor("t").values == [1, 2])
    }

    @Test(
        "an alignment that a writer cannot keep",
        arguments: [GGUFValue.uint32(0), .uint32(24), .uint32(1 << 31), .int32(32)])
    func alignment(value: GGUFValue) {
        let error = #expect(throws: FormatError.self) {
            try GGUF.write([], metadata: ["general.alignment": value], to: folder.path + "/x.gguf")
        }
        #expect(error?.offences.first?.hasPrefix("general.alignment must be") == true)
        #expect(folder.contents.isEmpty)
    }

    @Test("names and types that a format does not have, all named at once")
    func refusals() throws {
        let one = Tensor([1], shape: [1])
        let blocks = Tensor(storage: Storage(bytes: 34), shape: [32], type: .q8_0)
        let long = String(repeating: "n", count: 64)
        let safetensors = #expect(throws: FormatError.self) {
            try Safetensors.write(
                [("a", one), ("a", one), ("__metadata__", one), ("b", blocks)], metadata: [("k", ""), ("k", "")],
                to: folder.path + "/x")
        }
        #expect(
            safetensors?.offences == [
                "two tensors are called \"a\"", "the name \"__metadata__\" is reserved",
                "tensor \"b\" is q8_0, which safetensors does not have", "the metadata key \"k\" occurs twice",
            ])
        let gguf = #expect(throws: FormatError.self) {
            try GGUF.write([("a", one), ("a", one), (long, one)], metadata: [:], to: folder.path + "/x")
        }
        #expect(gguf?.offences == ["two tensors are called \"a\"", "the name \"\(long)\" is longer than 63 bytes"])
        #expect(folder.contents.isEmpty)
    }

    @Test("an empty file of each format")
    func empty() throws {
        try Safetensors.write([], to: folder.path + "/e.safetensors")
        #expect(try Safetensors(contentsOf: folder.path + "/e.safetensors").tensors.count == 0)
        try GGUF.write([], metadata: [:], to: folder.path + "/e.gguf")
        #expect(try GGUF(contentsOf: folder.path + "/e.gguf").tensors.count == 0)
    }

    @Test("a file replaces another whole, or not at all")
    func atomic() throws {
        let path = try folder.file("kept", Array("before".utf8))
        do {
            let plan = [
                PlannedTensor(name: "a", type: .f32, shape: [2]), PlannedTensor(name: "b", type: .f32, shape: [1]),
            ]
            var writer = try Safetensors.writer(for: plan, to: path)
            #expect(writer.plan.map(\.name) == ["a", "b"])
            try writer.write(Tensor([1, 2], shape: [2]))
            #expect(folder.contents.count == 2)
        }
        #expect(folder.contents == ["kept"])
        #expect(try readFile(path) == Array("before".utf8))
        try Safetensors.write([("a", Tensor([3], shape: [1]))], to: path)
        #expect(folder.contents == ["kept"])
        #expect(try Safetensors(contentsOf: path).tensors.tensor("a").values == [3])
    }

    @Test("places that cannot be written", arguments: ["/nowhere/x.gguf", "/dev/null", "/"])
    func unwritable(path: String) {
        let error = #expect(throws: FormatError.self) { try GGUF.write([], metadata: [:], to: path) }
        #expect(error?.path == path)
        #expect(error?.problem == "cannot write")
    }

    /// A tensor that is read stays what it was when its file is written anew.
    @Test("a file may be replaced by what was read from it")
    func overReplaced() throws {
        let path = folder.path + "/x.safetensors"
        try Safetensors.write([("a", Tensor([1, 2], shape: [2])), ("b", Tensor([9], shape: [1]))], to: path)
        let file = try Safetensors(contentsOf: path)
        let a = try file.tensors.tensor("a")
        try Safetensors.write([("c", a)], to: path)
        #expect(a.values == [1, 2])
        #expect(try Safetensors(contentsOf: path).tensors.tensor("c").values == [1, 2])
    }
}

extension GGUFValue {
    /// The kind and the elements, for comparing.
    fileprivate var plain: String {
        guard let array = arrayValue else { return "\(self)" }
        let elements: Any = array.byteStrings ?? array.doubles ?? array.bools as Any
        return "\(array.kind) \(array.count) \(elements)"
    }
}
