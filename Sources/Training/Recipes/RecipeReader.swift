import MartletJSON

/// A reader of a recipe, key by key, which remembers what was asked for: what is missing or wrong, and what nobody
/// asked for, is told at the end, all at once, with the key that was probably meant.
final class RecipeReader {
    private let object: JSONObject
    /// The keys that lead here, each followed by a dot.
    private let place: String
    private let report: Report
    private var asked: [String] = []

    /// The findings of a recipe's reader and of those nested in it.
    private final class Report {
        var offences: [String] = []
        var readers: [RecipeReader] = []
    }

    convenience init(_ object: JSONObject) { self.init(object, "", Report()) }

    private init(_ object: JSONObject, _ place: String, _ report: Report) {
        (self.object, self.place, self.report) = (object, place, report)
        report.readers.append(self)
    }

    func reject(_ offence: String) { report.offences.append(offence) }
    func name(_ key: String) -> String { (place + key).quoted }

    /// - Throws: ``RecipeError`` with everything that was found.
    func finish(_ path: String) throws(RecipeError) {
        let offences = report.offences + report.readers.flatMap(\.unknown)
        if !offences.isEmpty { throw RecipeError(path, offences) }
    }

    private var unknown: [String] {
        object.keys.filter { key in !asked.contains { $0.hasSameBytes(as: key) } }.map { key in
            let nearest = NearestWord.of(key, among: asked)
            return "unknown key \(name(key))"
                + (nearest.map { "; did you mean \(name($0))?" } ?? "; known here: \(asked.joined(separator: ", "))")
        }
    }

    // MARK: - Values

    func json(_ key: String) -> JSON? {
        asked.append(key)
        guard let value = object[key], !value.isNull else { return nil }
        return value
    }

    func has(_ key: String) -> Bool { !(object[key]?.isNull ?? true) }

    private func value<Value>(_ key: String, _ expected: String, _ read: (JSON) -> Value?) -> Value? {
        guard let json = json(key) else { return nil }
        if let value = read(json) { return value }
        reject("\(name(key)) should be \(expected), it is \(json.text().shortened)")
        return nil
    }

    func required<Value>(_ key: String, _ value: Value?, _ placeholder: Value) -> Value {
        if value == nil && !has(key) { reject("\(name(key)) is missing") }
        return value ?? placeholder
    }

    func integer(_ key: String, in range: ClosedRange<Int> = 1...Int(Int32.max)) -> Int? {
        value(key, "an integer from \(range.lowerBound) to \(range.upperBound)") {
            $0.integerValue.flatMap { range.contains($0) ? $0 : nil }
        }
    }

    func number(_ key: String, in range: ClosedRange<Double>) -> Double? {
        value(key, "a number from \(range.lowerBound) to \(range.upperBound)") {
            $0.doubleValue.flatMap { range.contains($0) ? $0 : nil }
        }
    }

    func bool(_ key: String) -> Bool? { value(key, "true or false", \.boolValue) }
    func string(_ key: String) -> String? { value(key, "a text", \.stringValue) }

    /// A text, or a list of them.
    func strings(_ key: String) -> [String]? {
        value(key, "a text or a list of texts") { json in
            let list = json.arrayValue ?? [json]
            let texts = list.compactMap(\.stringValue)
            return texts.count == list.count ? texts : nil
        }
    }

    func numbers(_ key: String, count: Int, in range: ClosedRange<Double>) -> [Double]? {
        value(key, "\(count) numbers from \(range.lowerBound) to \(range.upperBound)") { json in
            let numbers = (json.arrayValue ?? []).compactMap(\.doubleValue).filter(range.contains)
            return numbers.count == count && json.arrayValue?.count == count ? numbers : nil
        }
    }

    func integers(_ key: String, in range: ClosedRange<Int>) -> [Int]? {
        value(key, "a list of integers from \(range.lowerBound) to \(range.upperBound)") { json in
            let list = json.arrayValue ?? []
            let integers = list.compactMap(\.integerValue).filter(range.contains)
            return integers.count == list.count && !list.isEmpty ? integers : nil
        }
    }

    func choice<Value>(_ key: String, _ table: KeyValuePairs<String, Value>) -> Value? {
        value(key, "one of " + table.map(\.key).joined(separator: ", ")) { json in
            table.first { $0.key == json.stringValue }?.value
        }
    }

    /// The settings under a key, or nil.
    func section(_ key: String) -> RecipeReader? {
        value(key, "a section of settings", \.objectValue).map { RecipeReader($0, place + key + ".", report) }
    }

    /// The settings under a key; none where it is absent.
    func sectionOrEmpty(_ key: String) -> RecipeReader {
        section(key) ?? RecipeReader(JSONObject(), place + key + ".", report)
    }

    /// A list of sections.
    func sections(_ key: String) -> [RecipeReader]? {
        value(key, "a list of sections") { json -> [JSONObject]? in
            let list = json.arrayValue ?? [json]
            let objects = list.compactMap(\.objectValue)
            return objects.count == list.count && !list.isEmpty ? objects : nil
        }?.enumerated().map { RecipeReader($1, "\(place)\(key).\($0).", report) }
    }
}
