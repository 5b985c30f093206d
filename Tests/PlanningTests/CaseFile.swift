import MartletJSON
import Testing

/// One published or computed figure with what it follows from.
struct GroundTruth: Sendable, CustomTestStringConvertible {
    let name: String
    /// The question.
    let ask: String
    let given: JSON
    let expected: JSON
    let exact: Bool
    let relative: Double
    let absolute: Double

    var testDescription: String { name }

    init(_ json: JSON) {
        name = json["name"]?.stringValue ?? ""
        ask = json["ask"]?.stringValue ?? ""
        given = json["given"] ?? .null
        expected = json["expected"] ?? .null
        exact = json["tolerance"]?.stringValue == "exact"
        relative = json["tolerance"]?["relative"]?.doubleValue ?? 0
        absolute = json["tolerance"]?["absolute"]?.doubleValue ?? 0
    }

    /// The file of cases; each case on a line with its source.
    static let all: [GroundTruth] = {
        let path = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        let json = try? JSON(contentsOf: "/\(path)/Fixtures/planning/cases.json")
        return (json?.arrayValue ?? []).map(GroundTruth.init)
    }()

    func number(_ key: String) -> Double { given[key]?.doubleValue ?? .nan }
    func integer(_ key: String) -> Int { given[key]?.integerValue ?? Int(given[key]?.doubleValue ?? -1) }
    func text(_ key: String) -> String { given[key]?.stringValue ?? "" }
    func flag(_ key: String) -> Bool { given[key]?.boolValue ?? false }

    /// True where a value is the expected one within the stated tolerance.
    func accepts(_ value: Double, expected: Double? = nil) -> Bool {
        guard let expected = expected ?? self.expected.doubleValue else { return false }
        if exact { return value == expected }
        return abs(value - expected) <= max(relative * abs(expected), absolute)
    }
}
