import MartletJSON
package import MartletPlatform

/// The records of a labelled file, whatever its format.
package struct LabelledFile: Sendable {
    /// The format of a labelled file.
    package enum Format: String, Sendable, CaseIterable { case csv, tsv, jsonl, json, conll, squad }

    package let path: String
    package let format: Format
    /// The names of a table's columns; nil where its first row has them.
    package let columns: [String]?

    /// - Parameter format: nil goes by the name's ending.
    /// - Throws: ``DataError`` for a file whose format cannot be told.
    package init(_ path: String, _ format: Format? = nil, columns: [String]? = nil) throws(DataError) {
        guard let format = format ?? LabelledFile.format(of: path) else {
            let known = Format.allCases.map(\.rawValue).joined(separator: ", ")
            throw DataError("\(path): no format goes by this name; say which in \"format\": \(known)")
        }
        (self.path, self.format, self.columns) = (path, format, columns)
    }

    private static func format(of path: String) -> Format? {
        let ending = path.split(separator: ".").last.map(String.init) ?? ""
        return ending == "ndjson" ? .jsonl : ending == "bio" ? .conll : Format(rawValue: ending)
    }

    /// All records, in order; what is wrong with the file's form goes to `offences`.
    ///
    /// - Throws: ``FileError``.
    package func records(_ offences: inout DataOffences) throws(FileError) -> [LabelledRecord] {
        var bytes = try fileBytes(path, limit: .max)[...]
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes = bytes.dropFirst(3) }
        switch format {
        case .csv:
            return DelimitedText(path, separator: UInt8(ascii: ","), isQuoted: true, columns).records(bytes, &offences)
        case .tsv: return DelimitedText(path, separator: 9, isQuoted: false, columns).records(bytes, &offences)
        case .jsonl: return jsonLines(bytes, &offences)
        case .json, .squad: return document(Array(bytes), &offences)
        case .conll: return ConllText(path).records(bytes, &offences)
        }
    }

    private func jsonLines(_ bytes: ArraySlice<UInt8>, _ offences: inout DataOffences) -> [LabelledRecord] {
        var records: [LabelledRecord] = []
        for (index, line) in bytes.split(separator: 10, omittingEmptySubsequences: false).enumerated() {
            if line.allSatisfy({ $0 == 32 || $0 == 9 || $0 == 13 }) { continue }
            do {
                let value = try JSON(parsing: Array(line))
                if let fields = value.objectValue {
                    records.append(LabelledRecord(file: path, line: index + 1, fields: fields))
                } else {
                    offences.add("\(path):\(index + 1): \(value.kind) where an object is wanted")
                }
            } catch {
                offences.add("\(path):\(index + 1): \(error)")
            }
        }
        return records
    }

    /// A list of objects, or SQuAD's nesting of articles, paragraphs and questions.
    private func document(_ bytes: [UInt8], _ offences: inout DataOffences) -> [LabelledRecord] {
        let json: JSON
        do { json = try JSON(parsing: bytes) } catch {
            offences.add("\(path): \(error)")
            return []
        }
        if let articles = json["data"]?.arrayValue, articles.contains(where: { $0["paragraphs"] != nil }) {
            return SquadDocument.records(articles, path)
        }
        guard let list = json.arrayValue ?? json["data"]?.arrayValue else {
            offences.add("\(path): \(json.kind) where a list of objects is wanted")
            return []
        }
        return list.enumerated().compactMap { index, value in
            if let fields = value.objectValue { return LabelledRecord(file: path, line: index + 1, fields: fields) }
            offences.add("\(path):\(index + 1): \(value.kind) where an object is wanted")
            return nil
        }
    }
}

/// SQuAD 1.1 and 2.0 (arXiv:1606.05250, arXiv:1806.03822): questions with the paragraph that answers them, one record
/// each.
enum SquadDocument {
    static func records(_ articles: [JSON], _ path: String) -> [LabelledRecord] {
        var records: [LabelledRecord] = []
        for paragraph in articles.flatMap({ $0["paragraphs"]?.arrayValue ?? [] }) {
            for question in paragraph["qas"]?.arrayValue ?? [] {
                var fields = JSONObject()
                fields["id"] = question["id"]
                fields["question"] = question["question"]
                fields["context"] = paragraph["context"]
                let impossible = question["is_impossible"]?.boolValue == true
                fields["answers"] = impossible ? [] : question["answers"] ?? []
                records.append(LabelledRecord(file: path, line: records.count + 1, fields: fields))
            }
        }
        return records
    }
}
