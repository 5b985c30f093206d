import MartletJSON

/// Tables as text: comma-separated values with quotes (RFC 4180), whose fields may hold line breaks, or tab-separated
/// ones without.
struct DelimitedText {
    private let path: String
    private let separator: UInt8
    private let isQuoted: Bool
    private let columns: [String]?

    private static let quote = UInt8(ascii: "\"")
    private static let newline: UInt8 = 10
    private static let carriageReturn: UInt8 = 13

    /// - Parameter columns: their names; nil where the first row has them.
    init(_ path: String, separator: UInt8, isQuoted: Bool, _ columns: [String]?) {
        (self.path, self.separator, self.isQuoted, self.columns) = (path, separator, isQuoted, columns)
    }

    func records(_ bytes: ArraySlice<UInt8>, _ offences: inout DataOffences) -> [LabelledRecord] {
        var (rest, line) = (bytes, 1)
        var names = columns
        var records: [LabelledRecord] = []
        while !rest.isEmpty {
            let first = line
            guard let row = self.row(&rest, &line, &offences), row != [[]] else { continue }
            let values = row.map { String(validating: $0, as: UTF8.self) }
            if values.contains(nil) {
                offences.add("\(path):\(first): not UTF-8")
                continue
            }
            guard let known = names else {
                names = values.map { $0 ?? "" }
                continue
            }
            guard values.count == known.count else {
                offences.add("\(path):\(first): \(values.count) columns where \(known.count) are wanted")
                continue
            }
            var fields = JSONObject()
            for (name, value) in zip(known, values) { fields[name] = .string(value ?? "") }
            records.append(LabelledRecord(file: path, line: first, fields: fields))
        }
        return records
    }

    /// The next row; nil where it is not one.
    private func row(
        _ rest: inout ArraySlice<UInt8>, _ line: inout Int, _ offences: inout DataOffences
    ) -> [[UInt8]]? {
        var row: [[UInt8]] = []
        while true {
            let isQuote = isQuoted && rest.first == DelimitedText.quote
            guard let field = isQuote ? quoted(&rest, &line, &offences) : plain(&rest, &line, &offences) else {
                return nil
            }
            row.append(field)
            let next = rest.popFirst()
            if next == separator { continue }
            if next == DelimitedText.carriageReturn, rest.first == DelimitedText.newline { rest.removeFirst() }
            line += 1
            return row
        }
    }

    private func plain(
        _ rest: inout ArraySlice<UInt8>, _ line: inout Int, _ offences: inout DataOffences
    ) -> [UInt8]? {
        let end = rest.firstIndex { byte in
            byte == separator || byte == DelimitedText.newline || byte == DelimitedText.carriageReturn
        }
        let field = Array(rest[..<(end ?? rest.endIndex)])
        rest = rest[(end ?? rest.endIndex)...]
        if isQuoted && field.contains(DelimitedText.quote) {
            offences.add("\(path):\(line): a quotation mark inside a field that does not begin with one")
            skipLine(&rest)
            line += 1
            return nil
        }
        return field
    }

    /// The field between quotation marks, two of which stand for one.
    private func quoted(
        _ rest: inout ArraySlice<UInt8>, _ line: inout Int, _ offences: inout DataOffences
    ) -> [UInt8]? {
        let first = line
        rest.removeFirst()
        var field: [UInt8] = []
        while let end = rest.firstIndex(of: DelimitedText.quote) {
            field += rest[..<end]
            line += rest[..<end].reduce(0) { $0 + ($1 == DelimitedText.newline ? 1 : 0) }
            rest = rest[(end + 1)...]
            guard rest.first == DelimitedText.quote else {
                let ends: [UInt8?] = [separator, DelimitedText.newline, DelimitedText.carriageReturn, nil]
                if ends.contains(rest.first) { return field }
                offences.add("\(path):\(line): text behind a closing quotation mark")
                skipLine(&rest)
                line += 1
                return nil
            }
            field.append(DelimitedText.quote)
            rest.removeFirst()
        }
        offences.add("\(path):\(first): a quotation mark that nothing closes")
        rest = []
        return nil
    }

    private func skipLine(_ rest: inout ArraySlice<UInt8>) {
        rest = rest.firstIndex(of: DelimitedText.newline).map { rest[($0 + 1)...] } ?? []
    }
}

/// Sentences of tagged words, a word and its tags a line, an empty line between sentences (CoNLL-2003): the first
/// column is the word, the last its tag.
struct ConllText {
    private let path: String

    init(_ path: String) { self.path = path }

    func records(_ bytes: ArraySlice<UInt8>, _ offences: inout DataOffences) -> [LabelledRecord] {
        var records: [LabelledRecord] = []
        var (words, tags): ([JSON], [JSON]) = ([], [])
        var first = 1
        func end() {
            var fields = JSONObject()
            (fields["tokens"], fields["tags"]) = (.array(words), .array(tags))
            if !words.isEmpty { records.append(LabelledRecord(file: path, line: first, fields: fields)) }
            (words, tags) = ([], [])
        }
        let lines = bytes.split(separator: 10, omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            let line = line.last == 13 ? line.dropLast() : line
            let columns =
                line.contains(9) ? line.split(separator: 9) : line.split { $0 == 32 }
            let isMark = columns.first.map { $0.elementsEqual("-DOCSTART-".utf8) } ?? false
            guard !columns.isEmpty, !isMark else {
                end()
                continue
            }
            if words.isEmpty { first = index + 1 }
            guard columns.count >= 2, let word = String(validating: columns[0], as: UTF8.self),
                let tag = String(validating: columns[columns.count - 1], as: UTF8.self)
            else {
                offences.add("\(path):\(index + 1): a word and its tag are wanted, with a tab or spaces between them")
                continue
            }
            words.append(.string(word))
            tags.append(.string(tag))
        }
        end()
        return records
    }
}
