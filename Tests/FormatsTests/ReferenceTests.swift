import MartletFormats
import MartletTensors
import Testing

/// Files that the reference libraries wrote (Tools/fixtures/formats.py).
@Suite("What others write")
struct ReferenceTests {
    @Test("a safetensors file of every type")
    func safetensors() throws {
        let file = try Safetensors(contentsOf: fixtures + "formats/reference.safetensors")
        #expect(file.metadata.map(\.key) == ["note"])
        #expect(file.metadata.first?.value == "a \"quoted\"\nline é")
        #expect(file.tensors.count == 15)
        let expected: [(String, [Int], ElementType, [Double])] = [
            ("f32", [2, 3], .f32, numbers(1, 6)), ("f16", [3, 1], .f16, numbers(2, 3)),
            ("bf16", [1, 2, 2], .bf16, numbers(3, 4)), ("i32", [4], .i32, numbers(4, 4, step: 1)),
            ("scalar", [], .f32, [9]),
            ("empty", [0, 4], .f32, []), ("caf\u{E9}", [1], .f32, [12]), ("cafe\u{301}", [1], .f32, [13]),
        ]
        for (name, extents, type, values) in expected {
            let tensor = try file.tensors.tensor(name)
            #expect(tensor.shape == Shape(extents), "\(name)")
            #expect(tensor.type == type)
            #expect(tensor.numbers == values)
            #expect(tensor.storage === file.tensors[name]?.storage, "mapped, not copied")
        }
        let types = file.tensors.all.reduce(into: [:]) { $0[$1.type.name, default: 0] += 1 }
        #expect(
            types == [
                "BF16": 1, "BOOL": 1, "F16": 1, "F32": 6, "F64": 1, "F8_E4M3": 1, "I32": 1, "I64": 1, "I8": 1, "U8": 1,
            ])
    }

    @Test(
        "types and ranks that are only listed",
        arguments: [
            ("u8", "its type is U8"), ("bool", "its type is BOOL"),
            ("five", "it has 5 extents"),
            ("none", "there is no tensor"),
        ])
    func notLoaded(name: String, words: String) throws {
        let file = try Safetensors(contentsOf: fixtures + "formats/reference.safetensors")
        let error = #expect(throws: FormatError.self) { try file.tensors.tensor(name) }
        #expect(error?.description.contains(words) == true)
        #expect(error?.path.hasSuffix("reference.safetensors") == true)
    }

    @Test("a GGUF file of every kind and type", arguments: [("reference", 32), ("aligned", 128)])
    func gguf(name: String, alignment: Int) throws {
        let file = try GGUF(contentsOf: fixtures + "formats/\(name).gguf")
        #expect(file.version == 3)
        #expect(file.alignment == alignment)
        let metadata = file.metadata
        #expect(try metadata.string("general.architecture") == "test")
        let integers = [
            "uint8": 200, "int8": -100, "uint16": 60000, "int16": -30000, "uint32": 4_000_000_000,
            "int32": -2_000_000_000,
            "int64": -(1 << 62),
        ]
        for (kind, value) in integers {
            #expect(try metadata.integer("kind.\(kind)") == value)
            #expect(try metadata.integers("array.\(kind)") == [value, 1])
            #expect("\(try #require(metadata["kind.\(kind)"]).kind)" == kind)
        }
        #expect(throws: FormatError.self) { try metadata.integer("kind.uint64") }
        #expect(try metadata.number("kind.uint64") == 9_223_372_036_854_775_808)
        #expect(try metadata.number("kind.float32") == Double(Float(0.1)))
        #expect(try metadata.number("kind.float64") == 0.1)
        #expect(try metadata.floats("array.float32") == [0.1, 1])
        #expect(metadata["array.float64"]?.arrayValue?.doubles == [0.1, 1])
        #expect(try metadata.bool("kind.bool") == true)
        #expect(try metadata.bools("array.bool") == [true, false])
        #expect(try metadata.string("kind.string") == "a\0é 😀")
        let strings = try #require(try metadata.strings("array.string")).map { Array($0.utf8) }
        #expect(strings == ["", "caf\u{E9}", "cafe\u{301}", "▁the"].map { Array($0.utf8) })
        #expect(try metadata.byteStrings("array.string") == strings)
        #expect(try metadata.string("absent") == nil)
        try checkTensors(file.tensors, alignment)
    }

    private func checkTensors(_ tensors: StoredTensors, _ alignment: Int) throws {
        #expect(
            tensors.names == ["q8_0", "q4_0", "q5_1", "q4_k", "q5_k", "q6_k", "f32", "f16", "bf16", "i32", "i64"])
        #expect(tensors.all.allSatisfy { $0.byteOffset % alignment == 0 })
        #expect(try tensors.tensor("f32").shape == [2, 3])
        #expect(try tensors.tensor("f32").numbers == numbers(1, 6))
        #expect(try tensors.tensor("f16").numbers == numbers(2, 3))
        #expect(try tensors.tensor("bf16").numbers == numbers(3, 4))
        #expect(try tensors.tensor("i32").numbers == numbers(4, 4, step: 1))
        for (name, type) in [("q4_k", ElementType.q4_K), ("q5_k", .q5_K), ("q6_k", .q6_K)] {
            let tensor = try tensors.tensor(name)
            #expect(tensor.shape == [3, 256])
            #expect(tensor.type == type)
            #expect(tensor.rawBytes == (0..<3 * type.block.bytes).map { UInt8(truncatingIfNeeded: $0) })
        }
        #expect(try tensors.tensor("q8_0").shape == [2, 64])
        #expect(try tensors.tensor("q4_0").bytes == 4 * 18)
        #expect(tensors["q5_1"]?.type.name == "Q5_1")
        #expect(tensors["q5_1"]?.bytes == 4 * 24)
        #expect(try tensors.tensor("q5_1").type == .q5_1)
        // Loaded as f32.
        #expect(try tensors.tensor("i64").type == .f32)
    }

    @Test("a big-endian GGUF is refused in words")
    func bigEndian() {
        let error = #expect(throws: FormatError.self) { try GGUF(contentsOf: fixtures + "formats/big-endian.gguf") }
        #expect(error?.offences.first?.hasPrefix("it is big-endian") == true)
    }

    @Test("a sharded checkpoint")
    func sharded() throws {
        let file = try Safetensors(directory: fixtures + "families/llama-sharded")
        #expect(file.path.hasSuffix("model.safetensors.index.json"))
        #expect(Set(file.tensors.all.map(\.path)).count > 1)
        for name in file.tensors.names { #expect(try file.tensors.tensor(name).bytes > 0) }
    }

    @Test("real files", .enabled(if: sharedData != nil, "needs MARTLET_DATA or ../shared/data"))
    func realFiles() throws {
        let data = try #require(sharedData)
        let stories = try Safetensors(directory: data + "/weights/stories260K")
        #expect(try stories.tensors.tensor("model.embed_tokens.weight").shape == [512, 64])
        let mini = try Safetensors(directory: data + "/weights/all-MiniLM-L6-v2")
        #expect(mini.tensors["embeddings.position_ids"]?.type.name == "I64")
        #expect(try mini.tensors.tensor("embeddings.word_embeddings.weight").shape == [30522, 384])
    }
}
