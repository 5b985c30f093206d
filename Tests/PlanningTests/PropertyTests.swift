import MartletJSON
import MartletLayers
import MartletModels
import MartletPlanning
import Testing

/// Properties of every plan, whatever the sizes of the model.
@Suite struct PropertyTests {
    private static let presets = (try? Preset.names()) ?? []

    private static func blueprint(_ name: String) throws -> Blueprint { try Preset.model(named: name).blueprint }

    @Test(arguments: presets) func partsSumToTheTotal(_ name: String) throws {
        let count = ParameterCount(try PropertyTests.blueprint(name))
        #expect(count.byRole.reduce(0) { $0 + $1.elements } == count.total.count)
        #expect(count.tensors.reduce(0) { $0 + $1.elements } == count.total.count)
        #expect((count.active.count ?? 0) <= (count.total.count ?? 0))
    }

    /// Every parameter of a model has a role, and the parts of the plan hold each of them once.
    @Test(arguments: presets) func theDescriptionIsTheInventory(_ name: String) throws {
        let blueprint = try PropertyTests.blueprint(name)
        guard let architecture = blueprint.architecture else { return }
        let inventory = try architecture.inventory()
        #expect(ParameterCount(blueprint).total.count == Count(inventory.total))
        // Sinks of attention are a few numbers that nothing goes by.
        #expect(!blueprint.tensors.contains { $0.role == .other && $0.shape.count > 1 })
        #expect(Set(blueprint.tensors.map(\.name)).count == blueprint.tensors.count)
    }

    /// Reading a text costs what its tokens cost one after the other, when only pairs that are seen count.
    @Test(arguments: ["llama-3.2-1b", "gemma-3-1b", "mistral-7b-v0.1", "gpt-neo-125m", "mixtral-8x7b", "gpt-oss-120b"])
    func forwardIsTheSumOfDecodes(_ name: String) throws {
        let operations = OperationCount(try PropertyTests.blueprint(name), convention: .init(attention: .seen))
        let tokens = 700
        let decodes = (1...tokens).reduce(Count(0)) { $0 + (operations.decode(context: $1).count ?? 0) }
        #expect(operations.forward(Workload(tokens: tokens)).count == decodes)
        #expect(
            operations.generation(prompt: 1, generated: 3).count
                == (1...3).reduce(Count(0)) { $0 + (operations.decode(context: $1).count ?? 0) })
    }

    @Test func batchesAreSums() throws {
        let blueprint = try PropertyTests.blueprint("qwen3-0.6b")
        let operations = OperationCount(blueprint)
        let one = operations.forward(Workload(tokens: 100)).count ?? 0
        #expect(operations.forward(Workload(sequences: 7, tokens: 100)).count == 7 * one)
        let cache = CacheFootprint(blueprint)
        #expect(cache.bytes(Workload(sequences: 3, tokens: 50)).count == 150 * (cache.bytesPerToken.count ?? 0))
    }

    @Test func shardsSumToTheWhole() {
        for stage in ShardingStage.allCases {
            let whole = ModelStates(
                parameters: 4096, weightBytes: 2, gradientBytes: 2, stateBytes: 12, stage: .none, dataParallel: 1)
            let shard = ModelStates(
                parameters: 4096, weightBytes: 2, gradientBytes: 2, stateBytes: 12, stage: stage, dataParallel: 8)
            let sums = [
                shard.optimizer * (stage.rawValue >= 1 ? 8 : 1), shard.gradients * (stage.rawValue >= 2 ? 8 : 1),
            ]
            #expect(sums == [whole.optimizer, whole.gradients])
        }
    }

    /// The longest context fits, and one token more does not.
    @Test func inverseQuestionsAreTight() throws {
        let blueprint = try PropertyTests.blueprint("llama-3-8b")
        let budget: Count = 24_000_000_000
        let limits = InferenceLimits(blueprint, weights: .uniform(.bf16), budget: budget)
        let longest = Int(try #require(try limits.longestContext()?.count))
        func total(_ tokens: Int) throws -> Count {
            try InferenceMemory(
                blueprint, weights: .uniform(.bf16), cache: CacheLayout(), workload: Workload(tokens: tokens)
            ).total.count ?? 0
        }
        #expect(try total(longest) <= budget)
        #expect(try total(longest + 1) > budget)
        #expect(try InferenceLimits(blueprint, weights: .uniform(.bf16), budget: 1_000_000).longestContext() == nil)
        let best = try #require(
            try InferenceLimits.bestQuantization(blueprint, workload: Workload(tokens: 4096), budget: 6_000_000_000))
        #expect(best.type == .q4_K_M)
    }

    /// A window is never kept beyond its size, and blocks are paid in full.
    @Test func cacheLayouts() throws {
        let blueprint = try PropertyTests.blueprint("mistral-7b-v0.1")
        func bytes(_ layout: CacheLayout, _ tokens: Int) -> Count? {
            CacheFootprint(blueprint, layout: layout).bytes(Workload(tokens: tokens)).count
        }
        #expect(bytes(CacheLayout(), 4096) == bytes(CacheLayout(), 100_000))
        #expect(bytes(CacheLayout(windows: .everything), 8192) == 2 * (bytes(CacheLayout(), 4096) ?? 0))
        #expect(bytes(CacheLayout(block: 16), 17) == bytes(CacheLayout(), 32))
        let quantized = CacheFootprint(blueprint, layout: CacheLayout(type: .q8_0)).bytesPerToken.count
        #expect(quantized == Count(32 * 2 * 1024 / 32 * 34))
    }
}

/// 500 random configurations with the parameters that transformers gives them, written by
/// Tools/fixtures/planner_counts.py.
@Suite struct RandomConfigurationTests {
    struct Counted: Sendable, CustomTestStringConvertible {
        let model: JSON
        let parameters: Int
        var testDescription: String { model.text() }
    }

    static let all: [Counted] = {
        let root = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        let entries = (try? JSON(contentsOf: "/\(root)/Fixtures/planning/random-counts.json"))?.arrayValue ?? []
        return entries.map { Counted(model: $0["model"] ?? .null, parameters: $0["parameters"]?.integerValue ?? -1) }
    }()

    @Test func allAreThere() { #expect(RandomConfigurationTests.all.count == 500) }

    @Test(arguments: all) func parametersAreThoseOfTransformers(_ counted: Counted) throws {
        let blueprint = try DescribedModel(configuration: counted.model).blueprint
        #expect(ParameterCount(blueprint).total.count == Count(counted.parameters))
    }
}
