package import MartletJSON

/// A row of a labelled file: its fields by name, and where it stands.
package struct LabelledRecord: Sendable {
    package let file: String
    /// The line of the file on which it begins, from 1; in a file that is one JSON document, the number of the record.
    package let line: Int
    package let fields: JSONObject

    package init(file: String, line: Int, fields: JSONObject) {
        (self.file, self.line, self.fields) = (file, line, fields)
    }

    /// The text of a field; numbers and truth values are spelled out.
    package func text(_ key: String) -> String? {
        switch fields[key] {
        case .string(let text): text
        case .integer(let number): "\(number)"
        case .number(let number): "\(number)"
        case .bool(let value): "\(value)"
        default: nil
        }
    }

    /// The texts of a field that holds a list.
    package func texts(_ key: String) -> [String]? {
        guard let list = fields[key]?.arrayValue else { return nil }
        let texts = list.compactMap { $0.stringValue ?? $0.integerValue.map { "\($0)" } }
        return texts.count == list.count ? texts : nil
    }

    /// The number of a field, also where a text spells it.
    package func number(_ key: String) -> Double? {
        fields[key]?.doubleValue ?? fields[key]?.stringValue.flatMap { Double($0) }
    }
}

/// The offences of labelled data, collected before training begins: the first twenty are shown, all are counted.
package struct DataOffences: Sendable {
    package private(set) var shown: [String] = []
    package private(set) var count = 0
    private static let mostShown = 20

    package init() {}

    package mutating func add(_ record: LabelledRecord, _ offence: String, line: Int? = nil) {
        add("\(record.file):\(line ?? record.line): \(offence)")
    }

    package mutating func add(_ offence: String) {
        count += 1
        if shown.count < DataOffences.mostShown { shown.append(offence) }
    }

    /// - Throws: ``DataError`` with what was found, if anything was.
    package func check() throws(DataError) {
        guard count > 0 else { return }
        let more = count > shown.count ? "; and \(count - shown.count) more" : ""
        throw DataError("\(count) offences in the labelled data: " + shown.joined(separator: "; ") + more)
    }
}

extension LabelledRecord {
    /// An offence's words for a field that is not there, with the one that was probably meant.
    package func missing(_ key: String, _ expected: String) -> String {
        guard fields[key] != nil else {
            let near = NearestWord.of(key, among: fields.keys).map { "; did you mean \($0.quoted)?" }
            return "there is no field \(key.quoted)"
                + (near ?? ", only \(fields.keys.map(\.quoted).joined(separator: ", "))")
        }
        return "\(key.quoted) should be \(expected)"
    }
}
