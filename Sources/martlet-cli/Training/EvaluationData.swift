import MartletJSON
import MartletModels
import MartletTraining

/// The lines that an evaluation goes over: JSON objects, tab-separated values named by the task, or SQuAD's own file.
struct EvaluationData {
    let records: [JSONObject]
    private let path: String

    /// - Parameters:
    ///   - columns: names of a TSV's columns.
    ///   - predictions: a file with one prediction a line, which counts in place of any other.
    ///   - fields: where a file calls the fields of a task otherwise, under the task's name the file's.
    init(
        _ path: String, columns: [String], predictions: String?,
        fields: KeyValuePairs<String, String> = [:]
    ) throws {
        self.path = path
        var records = try EvaluationData.records(path, columns, isPredicted: predictions != nil)
        if let predictions {
            let lines = EvaluationData.lines(try Input.bytes(predictions), keepsEmpty: true)
            guard lines.count == records.count else {
                throw ModelError("\(predictions) has \(lines.count) lines, \(path) \(records.count)")
            }
            for index in records.indices {
                records[index]["prediction"] = .string(String(decoding: lines[index], as: UTF8.self))
            }
        }
        guard !records.isEmpty else { throw ModelError("\(path): there is nothing to evaluate") }
        for (name, field) in fields where field != name {
            for index in records.indices { records[index][name] = records[index][field] }
        }
        self.records = records
    }

    /// The records of a file, by its name.
    private static func records(_ path: String, _ columns: [String], isPredicted: Bool) throws -> [JSONObject] {
        if path.hasSuffix(".csv") || path.hasSuffix(".conll") {
            var offences = DataOffences()
            let records = try LabelledFile(path).records(&offences).map(\.fields)
            try offences.check()
            return records
        }
        let bytes = try Input.bytes(path)
        if path.hasSuffix(".json"), let json = try? JSON(parsing: bytes), let articles = json["data"]?.arrayValue {
            return squad(articles)
        }
        let isJSON = path.hasSuffix(".jsonl") || path.hasSuffix(".json")
        return try lines(bytes).enumerated().map { index, line in
            let place = "\(path), line \(index + 1)"
            guard isJSON else { return try record(line, columns, isPredicted: isPredicted, place) }
            guard let object = try? JSON(parsing: line).objectValue else {
                throw ModelError("\(place): not a JSON object")
            }
            return object
        }
    }

    /// A line of tab-separated values, in the order of the task's columns; of a prediction alone, the last one.
    private static func record(
        _ line: [UInt8], _ columns: [String], isPredicted: Bool, _ place: String
    ) throws -> JSONObject {
        let values = line.split(separator: 9, omittingEmptySubsequences: false)
        guard values.count == columns.count || (isPredicted && values.count == 1) else {
            throw ModelError(
                "\(place): \(values.count) columns where \(columns.joined(separator: ", ")) are wanted")
        }
        let names = values.count == 1 ? columns.suffix(1) : columns[...]
        var object = JSONObject()
        for (name, value) in zip(names, values) { object[name] = .string(String(decoding: value, as: UTF8.self)) }
        return object
    }

    private static func lines(_ bytes: [UInt8], keepsEmpty: Bool = false) -> [[UInt8]] {
        var lines = bytes.split(separator: 10, omittingEmptySubsequences: !keepsEmpty).map { line in
            line.last == 13 ? Array(line.dropLast()) : Array(line)
        }
        if keepsEmpty, lines.last == [] { lines.removeLast() }
        return lines
    }

    private static func squad(_ articles: [JSON]) -> [JSONObject] {
        let paragraphs = articles.flatMap { $0["paragraphs"]?.arrayValue ?? [] }
        return paragraphs.flatMap { paragraph in
            (paragraph["qas"]?.arrayValue ?? []).map { question in
                var record = JSONObject()
                record["question"] = question["question"]
                record["context"] = paragraph["context"]
                record["answers"] = .array((question["answers"]?.arrayValue ?? []).compactMap { $0["text"] })
                return record
            }
        }
    }

    /// True where every record brings its prediction.
    var hasPredictions: Bool { records.allSatisfy { $0["prediction"] != nil } }

    /// The text under one of `keys` in each record; numbers are spelled out.
    func texts(_ keys: String...) throws -> [String] {
        try records.enumerated().map { index, record in
            for key in keys {
                switch record[key] {
                case .string(let text): return text
                case .integer(let number): return "\(number)"
                case .number(let number): return "\(number)"
                case .bool(let value): return "\(value)"
                default: continue
                }
            }
            throw ModelError("\(path), record \(index + 1): there is no \(keys.joined(separator: " or "))")
        }
    }

    /// The lists of texts under one of `keys` in each record: one text or several.
    func lists(_ keys: String...) throws -> [[String]] {
        try records.enumerated().map { index, record in
            for key in keys {
                if let text = record[key]?.stringValue { return [text] }
                let list = (record[key]?.arrayValue ?? []).compactMap { $0.stringValue ?? $0["text"]?.stringValue }
                if !list.isEmpty { return list }
            }
            throw ModelError("\(path), record \(index + 1): there is no \(keys.joined(separator: " or "))")
        }
    }

    /// The right answers of each question, which may be none.
    func answers() throws -> [[String]] {
        try records.enumerated().map { index, record in
            guard let list = record["answers"]?.arrayValue else {
                throw ModelError("\(path), record \(index + 1): there is no list of answers")
            }
            return list.compactMap { $0.stringValue ?? $0["text"]?.stringValue }
        }
    }

    /// A list of texts.
    func words(_ key: String) throws -> [[String]] {
        try records.enumerated().map { index, record in
            guard let list = record[key]?.arrayValue?.compactMap(\.stringValue) else {
                throw ModelError("\(path), record \(index + 1): there is no list of texts \(key)")
            }
            return list
        }
    }

    func numbers(_ keys: String...) throws -> [Double] {
        try records.enumerated().map { index, record in
            for key in keys {
                if let number = record[key]?.doubleValue { return number }
                if let number = record[key]?.stringValue.flatMap({ Double($0) }) { return number }
            }
            throw ModelError("\(path), record \(index + 1): there is no number \(keys.joined(separator: " or "))")
        }
    }
}
