import MartletFormats
import MartletLayers
import MartletModels
import MartletPlanning
import MartletQuantization
import MartletTensors
import TestSupport
import Testing

/// Whole models: the file and the model in memory are the same, and the same whatever computes them.
@Suite struct QuantizerTests {
    static let device = Device(threads: 2)
    static let tokens: [Int32] = [3, 14, 15, 9, 26, 5, 35, 8]
    static let windows: [[Int32]] = [tokens, [60, 1, 2, 44, 17, 20]]

    /// A random Llama whose rows fill superblocks, but for the last layer's feed-forward.
    static func writeModel(in folder: String) throws -> ModelFile {
        var architecture = TinyArchitectures.decoder(
            width: 256, layers: 3, queryHeads: 4, keyHeads: 2, headWidth: 64,
            positions: .rotary(.init(width: 64, base: 10_000)),
            feedForward: .gated(hidden: 96, .silu, bias: .absent))
        guard case .decoder(var stack) = architecture.body else { return try ModelFile(path: folder) }
        for index in stack.layers.indices { stack.layers[index].attention.scale = 0.125 }
        architecture.body = .decoder(stack)
        let inventory = try architecture.inventory()
        let source = SeededInitialiser(seed: 5, device: device, deviation: 0.05)
        var values: [String: Tensor] = [:]
        for entry in inventory.entries {
            values[entry.name] = source.parameter(entry).value
        }
        let path = folder + "/model.gguf"
        try ModelExport(modelType: "llama", architecture, WeightSource(inventory, values: values), on: device)
            .writeGGUF(to: path, name: "model")
        return try ModelFile(path: path)
    }

    static func logits(_ decoder: Decoder) -> [Float] {
        var state = Uncached()
        return decoder.logits(decoder.hidden(Rows(tokens), &state, on: device)).values
    }

    @Test(arguments: [
        FileType.q2_K, .q3_K_M, .iq4_NL, .iq4_XS, .q4_K_M, .q5_K_S, .q4_0, .q5_1, .q8_0, .q6_K, .bf16, .f32,
    ])
    func theFileIsTheModelInMemory(_ fileType: FileType) throws {
        try TemporaryFolder.use { folder in
            let file = try Self.writeModel(in: folder)
            let quantizer = try Quantizer(file, fileType, on: Self.device)
            let path = folder + "/quantized.gguf"
            let errors = try quantizer.write(to: path, name: "model", text: [:], measuring: true)
            let (decoder, inMemory) = try quantizer.decoder()
            #expect(Self.logits(decoder) == Self.logits(try ModelFile(path: path).decoder(on: Self.device)))
            // The file has rotary rows in another order, so its sums end otherwise in the last bits.
            #expect(abs(TensorError.relative(errors) - TensorError.relative(inMemory)) < 1e-12)
            let gguf = try GGUF(contentsOf: path)
            #expect(try gguf.metadata.integer("general.file_type") == fileType.number)
            let isQuantized = ![FileType.f32, .bf16].contains(fileType)
            #expect(try gguf.metadata.integer("general.quantization_version") == (isQuantized ? 2 : nil))
            let types = try TensorTypes(fileType, file.architecture, modelType: "llama", hasImportance: false)
            for tensor in gguf.tensors.all {
                let expected =
                    tensor.extents.count == 1 ? .f32 : types.type(byName: tensor.name, row: tensor.extents.last ?? 0)
                #expect(tensor.type.name.lowercased() == expected.rawValue.lowercased(), "\(tensor.name)")
            }
        }
    }

    @Test func bytesDoNotDependOnThreads() throws {
        try TemporaryFolder.use { folder in
            let file = try Self.writeModel(in: folder)
            var contents: [[UInt8]] = []
            for threads in [1, 3] {
                let device = Device(threads: threads)
                let importance = try Importance(of: file, on: Self.windows, device: device)
                let path = folder + "/\(threads).gguf"
                try Quantizer(file, .q4_K_M, importance: importance, on: device).write(to: path, name: "m", text: [:])
                contents.append(Fixtures.bytes(path))
            }
            #expect(contents[0] == contents[1] && contents[0].count > 100_000)
        }
    }

    @Test func importanceLowersTheWeightedError() throws {
        try TemporaryFolder.use { folder in
            let file = try Self.writeModel(in: folder)
            let importance = try Importance(of: file, on: Self.windows, device: Self.device)
            let (_, searched) = try Quantizer(file, .q4_K_S, importance: importance, on: Self.device).decoder()
            let (_, plain) = try Quantizer(
                file, .q4_K_S, importance: importance, rounding: .reference, on: Self.device
            ).decoder()
            #expect(searched.count == 22 && searched.map(\.name) == plain.map(\.name))
            for (one, other) in zip(searched, plain) {
                if let weighted = one.weighted, let reference = other.weighted {
                    #expect(weighted < reference, "\(one.name)")
                } else {
                    #expect(one.weighted == nil && one.relative <= other.relative, "\(one.name)")
                }
            }
            #expect(searched.filter { $0.weighted != nil }.count == 22)
        }
    }

    @Test func importanceReturnsFromItsFile() throws {
        try TemporaryFolder.use { folder in
            let file = try Self.writeModel(in: folder)
            let weights = try Quantizer(file, .f32, on: Self.device).weights()
            let importance = try Importance(of: file, on: Self.windows, device: Self.device)
            let path = folder + "/importance.gguf"
            try importance.write(to: path, for: weights, dataset: "windows")
            let read = try Importance(contentsOf: path, for: weights)
            #expect(read.columns.keys.sorted() == importance.columns.keys.sorted())
            #expect(read.chunks == 2 && read.chunkSize == 8)
            for (name, columns) in importance.columns {
                let other = try #require(read.columns[name])
                #expect(other.rows == columns.rows && other.squares == columns.squares.map { Double(Float($0)) })
                #expect(columns.rows == 14)
            }
            // A model is no importance matrix.
            #expect(throws: QuantizationError.self) { try Importance(contentsOf: file.path, for: weights) }
        }
    }

    /// Every expert counts the rows that it was sent, and the file keeps them apart.
    @Test func expertsHaveStatisticsOfTheirOwn() throws {
        let file = try ModelFile(path: Fixtures.folder + "/gguf/mixtral-f32.gguf")
        let importance = try Importance(of: file, on: [[1, 2, 3, 4, 5, 6, 7]], device: Self.device)
        let rows = (0..<4).map { importance.columns["decoder.0.feedForward.experts.\($0).up.weight"]?.rows ?? -1 }
        #expect(rows.reduce(0, +) == 14 && rows.allSatisfy { $0 >= 0 })
        try TemporaryFolder.use { folder in
            let quantizer = try Quantizer(file, .q8_0, importance: importance, on: Self.device)
            let path = folder + "/importance.gguf"
            try importance.write(to: path, for: quantizer.weights(), dataset: "t")
            #expect(try GGUF(contentsOf: path).tensors["blk.0.ffn_down_exps.weight.counts"]?.extents == [4, 1])
            let read = try Importance(contentsOf: path, for: quantizer.weights())
            #expect(read.columns.mapValues(\.rows) == importance.columns.mapValues(\.rows))
            let output = folder + "/quantized.gguf"
            try quantizer.write(to: output, name: "m", text: [:])
            let decoder = try ModelFile(path: output).decoder(on: Self.device)
            #expect(Self.logits(decoder) == Self.logits(try quantizer.decoder().decoder))
        }
    }

    @Test func aModelDoesNotDivergeFromItself() throws {
        try TemporaryFolder.use { folder in
            let file = try Self.writeModel(in: folder)
            let reference = try file.decoder(on: Self.device)
            let windows = TextWindows(window: 4, stride: 2)(Self.tokens)
            let same = Divergence(of: reference, from: reference, on: windows, device: Self.device)
            #expect(same.tokens == 7 && same.mean == 0 && same.agreement == 1)
            #expect(same.perplexity == same.referencePerplexity)
            let (coarse, _) = try Quantizer(file, .q4_0, on: Self.device).decoder()
            let other = Divergence(of: coarse, from: reference, on: windows, device: Self.device)
            #expect(other.mean > 0 && other.largest >= other.mean)
        }
    }

    @Test func whatCannotBeWrittenIsRefused() throws {
        try TemporaryFolder.use { folder in
            let file = try Self.writeModel(in: folder)
            #expect(throws: QuantizationError.self) { try Quantizer(file, .iq2_XS, on: Self.device) }
        }
        let encoder = try ModelFile(path: Fixtures.folder + "/families/bert")
        #expect(throws: ModelError.self) { try Quantizer(encoder, .q8_0, on: Self.device) }
    }
}
