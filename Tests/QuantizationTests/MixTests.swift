import MartletJSON
import MartletLayers
import MartletPlanning
import MartletQuantization
import MartletTensors
import TestSupport
import Testing

/// The type of every tensor against what llama.cpp's quantizer chose for a file with those names
/// (`Tools/fixtures/quantization_mixes.py`).
@Suite struct MixTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let facts: JSONObject
        var name: String { facts["name"]?.stringValue ?? "" }
        var testDescription: String { name + (facts["importance"]?.boolValue == true ? " with importance" : "") }

        func integer(_ key: String) -> Int { facts[key]?.integerValue ?? 0 }

        func types(_ fileType: FileType) -> TensorTypes {
            let rules = MixedQuantization(
                fileType, modelType: facts["architecture"]?.stringValue ?? "", layers: integer("layers"),
                groups: integer("heads") / max(integer("key_heads"), 1), experts: integer("experts"),
                headIsTied: facts["tied"]?.boolValue ?? false, hasImportance: facts["importance"]?.boolValue ?? false)
            return TensorTypes(rules, fileType)
        }
    }

    static let cases: [Case] = {
        let path = Fixtures.folder + "/quantization/mixes.json"
        let document = try? JSON(contentsOf: path).objectValue
        return document?["cases"]?.arrayValue?.compactMap { $0.objectValue.map { Case(facts: $0) } } ?? []
    }()

    /// Vectors, routers and positions, which are not chosen but always f32.
    private static func isMatrix(_ name: String) -> Bool {
        !["norm.weight", "ffn_gate_inp.weight", "position_embd.weight"].contains { name.hasSuffix($0) }
    }

    @Test(arguments: cases) func everyTensorHasTheTypeThatLlamaCppGivesIt(_ example: Case) throws {
        let types = try #require(example.facts["types"]?.objectValue)
        var compared = 0
        for (key, value) in types.members {
            let fileType = try #require(FileType(named: key))
            let chosen = example.types(fileType)
            for (name, expected) in try #require(value.objectValue).members where Self.isMatrix(name) {
                let runs = try #require(expected.stringValue)
                let isLayered = runs.contains("*")
                let found = (0..<(isLayered ? example.integer("layers") : 1)).map { layer in
                    let full = isLayered ? "blk.\(layer).\(name)" : name
                    return chosen.type(byName: full, row: example.integer("width")).rawValue.uppercased()
                }
                #expect(found == Self.expand(runs), "\(key) \(name)")
                compared += found.count
            }
        }
        #expect(compared > 100)
    }

    /// "A*2 B*1" to A, A, B.
    private static func expand(_ runs: String) -> [String] {
        runs.split(separator: " ").flatMap { run in
            let parts = run.split(separator: "*")
            return Array(repeating: String(parts[0]), count: parts.count > 1 ? Int(parts[1]) ?? 0 : 1)
        }
    }

    @Test func thereAreCases() { #expect(Self.cases.count >= 19) }

    @Test func patterns() throws {
        func matches(_ pattern: String, _ name: String) -> Bool {
            TensorOverride(pattern: pattern, type: .q8_0).matches(name)
        }
        #expect(matches("ffn_down", "blk.3.ffn_down.weight"))
        #expect(!matches("ffn_down", "blk.3.ffn_up.weight"))
        #expect(matches("blk.1.*", "blk.1.attn_q.weight") && !matches("blk.1.*", "blk.11.attn_q.weight"))
        #expect(matches("*attn_?.weight", "attn_?.weight") && !matches("*attn_?.weight", "blk.0.attn_q.weight"))
        #expect(matches("blk.*.ffn_*.weight", "blk.20.ffn_gate.weight"))
        #expect(!matches("a*a", "a") && matches("a*a", "aa") && matches("*", "") && matches("**", "x"))
        #expect(throws: QuantizationError.self) { try TensorOverride("ffn_down") }
        #expect(throws: QuantizationError.self) { try TensorOverride("=q8_0") }
        #expect(throws: QuantizationError.self) { try TensorOverride("ffn_down=iq2_xs") }
        #expect(try TensorOverride("ffn_down=Q6_K") == TensorOverride(pattern: "ffn_down", type: .q6_K))
    }

    @Test func overridesGoBeforeTheMixAndStillFitTheRows() {
        let rules = MixedQuantization(
            .q4_K_M, modelType: "llama", layers: 4, groups: 1, experts: 0, headIsTied: false, hasImportance: false)
        let types = TensorTypes(
            rules, .q4_K_M, overrides: [.init(pattern: "ffn_up", type: .q6_K), .init(pattern: "ffn", type: .q8_0)])
        #expect(types.type(byName: "blk.0.ffn_up.weight", row: 256) == .q6_K)
        #expect(types.type(byName: "blk.0.ffn_up.weight", row: 96) == .q8_0)
        #expect(types.type(byName: "blk.0.ffn_down.weight", row: 256) == .q8_0)
        #expect(types.type(byName: "blk.0.attn_q.weight", row: 40) == .f16)
    }

    @Test func namesOfMixes() {
        #expect(
            FileType(mix: "q4_K") == .q4_K_M && FileType(mix: "Q5_K_S") == .q5_K_S && FileType(mix: "q8_0") == .q8_0)
        #expect(FileType(mix: "Q7") == nil)
        #expect(FileType.writable.count == 20)
    }
}

extension TensorTypes {
    /// The type of a tensor whose parameters are only known by what ggml calls it.
    func type(byName name: String, row: Int) -> StorageType {
        let kinds: [(String, ParameterRole)] = [
            ("attn_qkv", .queryKeyValue), ("attn_v", .value), ("attn_k", .key), ("attn_q", .query),
            ("attn_output", .output), ("ffn_up", .up), ("ffn_gate", .gate), ("ffn_down", .down), ("output", .head),
            ("token_embd", .tokens),
        ]
        let parts = name.split(separator: ".")
        let role = kinds.first { parts[parts.count - 2].hasPrefix($0.0) }?.1 ?? .other
        return type(of: name, role, layer: parts[0] == "blk" ? Int(parts[1]) ?? 0 : 0, row: row)
    }
}
