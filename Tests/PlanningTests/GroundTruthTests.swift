import MartletJSON
import MartletPlanning
import Testing

/// 284 figures from papers, model cards, measurements and independent counters, each through the planner's public
/// functions.
@Suite struct GroundTruthTests {
    @Test func everyCaseIsThere() {
        #expect(GroundTruth.all.count == 284)
        #expect(GroundTruth.all.allSatisfy { !$0.ask.isEmpty && !$0.expected.isNull })
    }

    @Test(arguments: GroundTruth.all) func agrees(_ truth: GroundTruth) throws {
        switch try Answer(truth) {
        case .number(let value):
            #expect(truth.accepts(value), "\(truth.name): \(value), expected \(truth.expected.text())")
        case .count(let value):
            let agrees = truth.exact ? "\(value)" == truth.expected.digits : truth.accepts(Double(value))
            #expect(agrees, "\(truth.name): \(value), expected \(truth.expected.text())")
        case .verdict(let value):
            #expect(value == truth.expected.boolValue)
        case .several(let values):
            for (key, value) in values {
                let expected = try #require(truth.expected[key]?.doubleValue)
                #expect(
                    truth.accepts(value, expected: expected), "\(truth.name), \(key): \(value), expected \(expected)")
            }
            #expect(values.count == truth.expected.objectValue?.count)
        }
    }
}

extension JSON {
    /// The digits of a whole number, however large.
    fileprivate var digits: String? {
        switch self {
        case .integer(let value): "\(value)"
        case .number(let value): Count(exactly: value).map { "\($0)" }
        default: nil
        }
    }
}
