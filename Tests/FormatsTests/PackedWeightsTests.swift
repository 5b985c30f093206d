import MartletFormats
import MartletJSON
import MartletPlatform
import MartletTensors
import TestSupport
import Testing

/// Matrices as published checkpoints pack them, against what their own libraries unpack.
@Suite struct PackedWeightsTests {
    static let folder = Fixtures.folder + "/formats/packed"
    static let names = Fixtures.entries(folder).filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }

    /// The config and the tensors of a fixture.
    static func fixture(_ name: String) throws -> (config: JSONObject, tensors: StoredTensors) {
        let config = try #require(try JSON(contentsOf: "\(folder)/\(name).json").objectValue)
        return (config, try Safetensors(contentsOf: "\(folder)/\(name).safetensors").tensors)
    }

    @Test func thereIsEveryMethod() { #expect(Self.names.count == 17) }

    @Test(arguments: names) func unpacksAsItsLibraryDoes(name: String) throws {
        let (config, tensors) = try Self.fixture(name)
        let quantization = try #require(try WeightQuantization(config: config, path: name))
        let unpacked = try tensors.unpacked(quantization)
        #expect(unpacked.names == ["m.weight"])
        let tensor = try unpacked.tensor("m.weight")
        let expected = try Safetensors(contentsOf: Self.folder + "/expected.safetensors").tensors.tensor(name)
        #expect(tensor.shape == expected.shape)
        let values = tensor.decoded(on: Device(threads: 1)).values
        if name.hasPrefix("mlx") {
            // MLX also rounds the product to f16 before it adds: two units in the last place of the largest.
            #expect(Comparison(values, expected.values, absolute: 0x1p-9).withinTolerance)
            return
        }
        #expect(Comparison(values, expected.values, absolute: 1e-7, relative: 0.004).withinTolerance)
        let equal = zip(values, expected.values).count { $0 == $1 }
        #expect(equal * 100 >= values.count * 97, "\(equal) of \(values.count) are equal")
    }

    @Test func partsThatDoNotFitAreNamed() throws {
        let (config, _) = try Self.fixture("gptq")
        let quantization = try #require(try WeightQuantization(config: config, path: "x"))
        let awq = try Self.fixture("nf4").tensors
        #expect(try awq.unpacked(quantization).count == awq.count)
        let other = try Self.fixture("gptq-8").tensors
        let error = #expect(throws: FormatError.self) { try other.unpacked(quantization) }
        #expect(error?.description.contains("\"m\"") == true)
    }

    @Test(arguments: ["hqq", "aqlm", "quanto", "eetq", "vptq"]) func otherMethodsAreRefusedByName(method: String) {
        let config: JSON = ["quantization_config": ["quant_method": .string(method)]]
        let error = #expect(throws: FormatError.self) {
            try WeightQuantization(config: config.objectValue ?? JSONObject(), path: "config.json")
        }
        #expect(error?.description.contains(method) == true && error?.remedy != nil)
    }

    @Test func eightBitFloats() throws {
        // 0, the least and the greatest numbers, −1.5 and NaN.
        #expect(try Self.floats("F8_E4M3", [0, 1, 0x7E, 0xBC]) == [0, 0x1p-9, 448, -1.5])
        #expect(try Self.floats("F8_E5M2", [0, 1, 0x7B, 0xBE]) == [0, 0x1p-16, 57_344, -1.5])
        #expect(try Self.floats("F8_E8M0", [127, 0, 254, 130]) == [1, 0x1p-127, 0x1p127, 8])
        #expect(try Self.floats("F8_E4M3", [0x7F]).first?.isNaN == true)
        #expect(try Self.floats("F8_E4M3FNUZ", [0x80]).first?.isNaN == true)
    }

    private static func floats(_ type: String, _ bytes: [UInt8]) throws -> [Float] {
        var values: [Float] = []
        try TestSupport.TemporaryFolder.use { folder in
            let header = #"{"x":{"dtype":"\#(type)","shape":[\#(bytes.count)],"data_offsets":[0,\#(bytes.count)]}}"#
            let length = (0..<8).map { UInt8(truncatingIfNeeded: header.utf8.count >> (8 * $0)) }
            try writeFile(length + Array(header.utf8) + bytes, to: folder + "/x.safetensors")
            let tensor = try Safetensors(contentsOf: folder + "/x.safetensors").tensors.tensor("x")
            values = tensor.decoded(on: Device(threads: 1)).values
        }
        return values
    }
}

/// ggml's element types, against what the gguf package decodes.
@Suite struct ForeignTypesTests {
    static let expected = try? Safetensors(contentsOf: PackedWeightsTests.folder + "/types.expected.safetensors")
        .tensors
    static let names = expected?.names ?? []

    /// Types whose blocks hold integers with one scale, or the same sub-blocks as q6_K.
    static let exact = ["Q3_K", "IQ4_NL", "TQ1_0", "TQ2_0", "MXFP4", "F64", "I8", "I16", "I64"]

    @Test func thereIsEveryType() { #expect(Self.names.count == 19) }

    @Test(arguments: names) func decodesBitForBit(name: String) throws {
        let stored = try #require(try GGUF(contentsOf: PackedWeightsTests.folder + "/types.gguf").tensors[name])
        let wanted = try #require(Self.expected).tensor(name).values
        #expect(stored.decodedValues.map(\.bitPattern) == wanted.map(\.bitPattern))
        let loaded = try stored.tensor()
        let values = loaded.type == .f32 ? loaded.values : loaded.decoded(on: Device(threads: 1)).values
        if Self.exact.contains(name) {
            #expect(values == wanted)
        } else {
            // Rounded in blocks of 32, each to 1/127 of its largest.
            for block in stride(from: 0, to: wanted.count, by: 32) {
                let largest = wanted[block..<block + 32].reduce(0) { max($0, abs($1)) }
                let worst = zip(values[block..<block + 32], wanted[block..<block + 32]).reduce(0) {
                    max($0, abs($1.0 - $1.1))
                }
                #expect(worst <= largest / 127 * 0.54, "\(name), block \(block / 32)")
            }
        }
    }
}

/// `pytorch_model.bin`, in both of its formats, read without running anything.
@Suite struct PyTorchFileTests {
    @Test(arguments: ["zip", "nested", "legacy"]) func readsTensors(name: String) throws {
        try TestSupport.TemporaryFolder.use { folder in
            try writeFile(Fixtures.bytes("\(PackedWeightsTests.folder)/\(name).bin"), to: folder + "/pytorch_model.bin")
            let tensors = try Safetensors(directory: folder).tensors
            let expected = try Safetensors(contentsOf: PackedWeightsTests.folder + "/bin.expected.safetensors").tensors
            #expect(Set(tensors.names) == Set(expected.names))
            for name in expected.names {
                let tensor = try tensors.tensor(name)
                let values = tensor.type == .f32 ? tensor.values : tensor.decoded(on: Device(threads: 1)).values
                #expect(try values == expected.tensor(name).values && tensor.shape == expected.tensor(name).shape)
            }
        }
    }

    /// A tensor without elements whose other extents and strides no machine can multiply.
    @Test func emptyBeyondMeasure() throws {
        try TestSupport.TemporaryFolder.use { folder in
            try writeFile(Fixtures.bytes("\(PackedWeightsTests.folder)/empty.bin"), to: folder + "/pytorch_model.bin")
            let tensors = try? Safetensors(directory: folder).tensors
            #expect(try tensors?.tensor("a").shape.elements ?? 0 == 0)
        }
    }

    /// Cut anywhere, or with any byte changed, a file is refused or read; nothing traps.
    @Test(arguments: ["zip", "legacy"]) func damagedFiles(name: String) throws {
        let whole = Fixtures.bytes("\(PackedWeightsTests.folder)/\(name).bin")
        var random = SplitMix(state: 7)
        try TestSupport.TemporaryFolder.use { folder in
            let path = folder + "/pytorch_model.bin"
            for round in 0..<400 {
                var bytes = whole
                if round % 4 == 0 {
                    bytes.removeLast(Int(random.next() % UInt64(bytes.count)))
                } else {
                    for _ in 0..<1 + round % 3 {
                        bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
                    }
                }
                try writeFile(bytes, to: path)
                guard let tensors = try? Safetensors(directory: folder).tensors else { continue }
                for tensor in tensors.all { _ = try? tensor.tensor() }
            }
        }
    }

    private struct SplitMix {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
            return z ^ z >> 31
        }
    }
}

/// Folders and files that are not what they should be are told as what they are.
@Suite struct MistakenFilesTests {
    private static func failure(_ name: String, _ text: String) throws -> FormatError? {
        var error: FormatError?
        try TestSupport.TemporaryFolder.use { folder in
            try writeFile(Array(text.utf8), to: folder + "/" + name)
            error = #expect(throws: FormatError.self) { try Safetensors(directory: folder) }
        }
        return error
    }

    @Test(arguments: [
        ("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "Git LFS pointer"),
        ("model.safetensors", "\n<!DOCTYPE html><html>", "web page"), ("model.safetensors", "", "empty"),
        ("tf_model.h5", "x", "TensorFlow"), ("flax_model.msgpack", "x", "Flax"), ("model.onnx", "x", "ONNX"),
        ("model.Q4_0.gguf", "x", "by its own name"), ("model.safetensors.incomplete", "x", "has not ended"),
        ("adapter_model.safetensors", "x", "adapter"), ("notes.txt", "x", "pytorch_model.bin"),
        ("pytorch_model.bin", "hello", "begins neither"),
    ]) func toldAsWhatTheyAre(name: String, text: String, words: String) throws {
        let error = try Self.failure(name, text)
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }

    @Test func modelsInSeveralFiles() throws {
        try TestSupport.TemporaryFolder.use { folder in
            func write(_ index: Int, of count: Int, _ name: String, to path: String) throws {
                var metadata: GGUFMetadata = [:]
                metadata["split.no"] = .uint16(UInt16(index))
                metadata["split.count"] = .uint16(UInt16(count))
                metadata["split.tensors.count"] = .int32(2)
                if index == 0 { metadata["general.architecture"] = .string("llama") }
                try GGUF.write([(name, Tensor([Float(index), 1], shape: [2]))], metadata: metadata, to: path)
            }
            try write(0, of: 2, "a", to: folder + "/x-00001-of-00002.gguf")
            #expect(throws: FormatError.self) { try GGUF(contentsOf: folder + "/x-00001-of-00002.gguf") }
            try write(1, of: 2, "b", to: folder + "/x-00002-of-00002.gguf")
            for part in ["/x-00001-of-00002.gguf", "/x-00002-of-00002.gguf"] {
                let file = try GGUF(contentsOf: folder + part)
                #expect(file.tensors.names == ["a", "b"])
                #expect(try file.tensors.tensor("b").values == [1, 1])
                #expect(try file.metadata.string("general.architecture") == "llama")
            }
            try write(0, of: 2, "b", to: folder + "/x-00002-of-00002.gguf")
            let error = #expect(throws: FormatError.self) { try GGUF(contentsOf: folder + "/x-00001-of-00002.gguf") }
            #expect(error?.offences.count == 1)
        }
    }
}
