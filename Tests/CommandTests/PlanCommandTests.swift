import Foundation
import MartletJSON
import TestSupport
import Testing

/// `martlet plan` as scripts see it. No number that depends on the machine is looked at.
@Suite struct PlanCommandTests {
    private static let llama = Fixtures.folder + "/families/llama"

    private func plan(_ arguments: [String]) throws -> JSON {
        let result = try Command.run(["plan"] + arguments + ["--json"])
        #expect(result.status == 0, "\(result.errors)")
        return try JSON(parsing: result.output)
    }

    @Test func aloneItAnswersForThisMachine() throws {
        // Without --refresh nothing is timed: memory and context are arithmetic.
        let instant = try plan([PlanCommandTests.llama, "--context", "16"])
        #expect(instant["answer"]?[0]?.stringValue?.hasPrefix("fits: ") == true)
        #expect(instant["engine"]?["longest_context"]?["value"]?.doubleValue ?? 0 > 0)
        #expect(instant["engine"]?["decode_tokens_per_second"] == nil)
        let plan = try plan([PlanCommandTests.llama, "--context", "16", "--refresh"])
        #expect(plan["answer"]?[0]?.stringValue?.hasPrefix("fits: ") == true)
        for key in ["peak_bytes", "longest_context", "prefill_tokens_per_second", "decode_tokens_per_second"] {
            #expect(plan["engine"]?[key]?["value"]?.doubleValue ?? 0 > 0, "\(key)")
            #expect(plan["engine"]?[key]?["derivation"]?.stringValue?.isEmpty == false, "\(key)")
        }
        #expect(plan["weights"]?.stringValue == "as stored")
    }

    @Test func anotherDeviceIsNotTimedHere() throws {
        let plan = try plan(["llama-3-8b", "--hardware", "H100", "--weights", "Q4_K_M"])
        #expect(plan["engine"] == nil)
        #expect(plan["answer"]?[0]?.stringValue?.hasPrefix("fits on H100") == true)
        #expect(plan["time"]?["decode_tokens_per_second"]?["low"]?.doubleValue ?? 0 > 0)
    }

    @Test(arguments: ["llama", "bert-model", "bart"]) func measurementStandsBesideThePrediction(_ name: String) throws {
        let report = try plan([Fixtures.folder + "/families/" + name, "--measure", "--context", "8"])
        let terms = report["terms"]?.arrayValue ?? []
        #expect(terms.count >= (name == "bert-model" ? 1 : 2))
        for term in terms {
            #expect(term["predicted"]?.doubleValue ?? 0 > 0 && term["measured"]?.doubleValue ?? 0 > 0)
        }
    }

    @Test(arguments: [["--price=-3"], ["--price=nan"], ["--lora-rank", "0"], ["--carbon=inf"], ["--draft-cost=2"]])
    func numbersOutOfRangeAreRefusedByName(_ arguments: [String]) throws {
        let result = try Command.run(["plan", "llama-3-8b", "--hardware", "H100", "--train-tokens", "1e9"] + arguments)
        let name = String(arguments[0].prefix { $0 != "=" })
        #expect(result.status == 2 && result.errors.contains(name), "\(result.status) \(result.errors)")
    }

    @Test func aBadConfigurationIsNamedKeyByKey() throws {
        try TemporaryFolder.use { folder in
            let path = folder + "/config.json"
            let text = #"{"model_type": "llama", "hidden_size": "wide", "num_hidden_layers": -3}"#
            try Data(text.utf8).write(to: URL(fileURLWithPath: path))
            let result = try Command.run(["plan", path])
            #expect(result.status != 0)
            #expect(result.errors.contains("hidden_size") && result.errors.contains("num_hidden_layers"))
        }
    }
}
