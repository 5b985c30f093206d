import MartletJSON
import MartletPlanning
import Testing

/// Configurations with keys taken away, changed and added: a description, or an error that names the key.
@Suite struct ConfigurationFuzzTests {
    private struct Generator: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ (state >> 31)
        }
    }

    private static let oddities: [JSON] = [
        .null, true, "odd", "", -1, 0, 1, 2, 7, 0.5, 1e300, .integer(1 << 40), [], [1, "a"], [:], ["factor": "x"],
    ]

    /// One configuration of each model type.
    private static let configurations: [JSONObject] = {
        var seen: Set<String> = []
        return RandomConfigurationTests.all.compactMap { counted in
            guard let object = counted.model.objectValue, let type = object["model_type"]?.stringValue,
                seen.insert(type).inserted
            else { return nil }
            return object
        }
    }()

    @Test func allModelTypesAreThere() { #expect(ConfigurationFuzzTests.configurations.count > 45) }

    @Test(arguments: 0..<64) func changedKeysAreReadOrNamed(_ seed: Int) throws {
        var generator = Generator(state: UInt64(seed))
        for configuration in ConfigurationFuzzTests.configurations {
            var changed = configuration
            let keys = changed.keys.filter { $0 != "model_type" }
            let key = keys.randomElement(using: &generator) ?? "hidden_size"
            let value = ConfigurationFuzzTests.oddities.randomElement(using: &generator) ?? .null
            changed[key] = value
            do throws(PlanningError) {
                let blueprint = try DescribedModel(configuration: .object(changed)).blueprint
                #expect((ParameterCount(blueprint).total.count ?? 0) > 0)
                _ = OperationCount(blueprint).forward(Workload(tokens: 16))
            } catch {
                // A number may be refused for what it does to another one, which the error names.
                let named = error.description.contains(key) || value.doubleValue != nil
                #expect(named, "\(changed["model_type"]?.text() ?? ""): \(key) = \(value.text()): \(error)")
            }
        }
    }

    /// A key that is gone takes its default, and is listed; or it has none, and is named.
    @Test func missingKeysAreDefaultedOrNamed() throws {
        for configuration in ConfigurationFuzzTests.configurations {
            for key in configuration.keys where key != "model_type" {
                var members = configuration.members.filter { $0.key != key }
                members.append(("transformers_version", "5.23.0"))
                var changed = JSONObject()
                for (key, value) in members { changed[key] = value }
                let type = configuration["model_type"]?.stringValue ?? ""
                do throws(PlanningError) {
                    let model = try DescribedModel(configuration: .object(changed))
                    // Keys whose absence says the same as their value in the recipe need not be listed.
                    // The width of two model types has two names, of which the first stands for both.
                    let names = ["bloom", "falcon"].contains(type) && key == "hidden_size" ? ["n_embed"] : [key]
                    let listed = model.defaulted.contains { listed in
                        names.contains { listed == $0 || listed.hasPrefix($0 + " ") }
                    }
                    #expect(listed || configuration[key] == .null || unlisted.contains(key), "\(type): \(key)")
                } catch {
                    #expect(!error.description.isEmpty)
                }
            }
        }
    }

    /// Keys that change nothing that is planned.
    private let unlisted: Set<String> = [
        "expansion_ratio",
        "pad_token_id", "num_labels", "architectures", "decoder_start_token_id", "n_group", "topk_group",
    ]

    @Test func unknownModelTypesAndOddDocumentsAreRefused() throws {
        for text in ["[]", "3", "{}", #"{"model_type": 3}"#, #"{"model_type": "x"}"#, #"{"model_type": null}"#] {
            let document = try JSON(parsing: text)
            #expect(throws: PlanningError.self) { try DescribedModel(configuration: document) }
        }
    }
}
