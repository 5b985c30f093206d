internal import MartletJSON

extension ConfigReader {
    /// An integer that must be there.
    package func integer(_ keys: String..., in range: ClosedRange<Int> = sizes) -> Int {
        readInteger(keys, range) ?? required(keys, range.lowerBound)
    }

    /// An integer, or `absent` when the key is absent.
    package func integer(_ keys: String..., default absent: Int, in range: ClosedRange<Int> = sizes) -> Int {
        readInteger(keys, range) ?? absent
    }

    /// An integer, or nil when the key is absent or false: configurations spell "none" either way.
    package func optionalInteger(_ keys: String..., in range: ClosedRange<Int> = sizes) -> Int? {
        if isFalse(keys) { return nil }
        return readInteger(keys, range)
    }

    /// A number, whole or not, that must be there.
    package func number(_ keys: String..., in range: ClosedRange<Double> = numbers) -> Double {
        readNumber(keys, range) ?? required(keys, min(max(1, range.lowerBound), range.upperBound))
    }

    /// A number, or `absent` when the key is absent.
    package func number(_ keys: String..., default absent: Double, in range: ClosedRange<Double> = numbers) -> Double {
        readNumber(keys, range) ?? absent
    }

    /// A number, or nil when the key is absent.
    package func optionalNumber(_ keys: String..., in range: ClosedRange<Double> = numbers) -> Double? {
        readNumber(keys, range)
    }

    /// A truth value that must be there.
    package func bool(_ keys: String...) -> Bool { readBool(keys) ?? required(keys, false) }

    /// A truth value, or `absent` when the key is absent.
    package func bool(_ keys: String..., default absent: Bool) -> Bool { readBool(keys) ?? absent }

    /// A truth value, or nil when the key is absent.
    package func optionalBool(_ keys: String...) -> Bool? { readBool(keys) }

    /// A text that must be there.
    package func string(_ keys: String...) -> String { readString(keys) ?? required(keys, "") }

    /// A text, or `absent` when the key is absent.
    package func string(_ keys: String..., default absent: String) -> String { readString(keys) ?? absent }

    /// A text, or nil when the key is absent.
    package func optionalString(_ keys: String...) -> String? { readString(keys) }

    /// The value in `table` for a text that must be there and in it.
    ///
    /// - Precondition: `table` is not empty.
    package func choice<Value>(_ keys: String..., of table: KeyValuePairs<String, Value>) -> Value {
        readChoice(keys, table) ?? required(keys, table[0].value)
    }

    /// The value in `table` for a text that must be in it, or `absent` when the key is absent.
    package func choice<Value>(_ keys: String..., of table: KeyValuePairs<String, Value>, default absent: Value)
        -> Value
    {
        readChoice(keys, table) ?? absent
    }
}

extension ConfigReader {
    /// Integers, as a list or a single one, or nil when the key is absent.
    package func optionalIntegers(_ keys: String..., in range: ClosedRange<Int> = sizes) -> [Int]? {
        value(keys, "integers from \(range.lowerBound) to \(range.upperBound)") { json in
            let list = json.arrayValue ?? [json]
            let integers = list.compactMap(\.wholeNumber).filter(range.contains)
            return integers.count == list.count ? integers : nil
        }
    }

    /// A list of numbers, or nil when the key is absent.
    package func optionalNumbers(_ keys: String..., in range: ClosedRange<Double> = numbers) -> [Double]? {
        value(keys, "a list of numbers from \(range.lowerBound) to \(range.upperBound)") { json in
            json.arrayValue.flatMap { list in
                let numbers = list.compactMap(\.writtenNumber).filter(range.contains)
                return numbers.count == list.count ? numbers : nil
            }
        }
    }

    /// A list of texts, or nil when the key is absent.
    package func optionalStrings(_ keys: String...) -> [String]? {
        value(keys, "a list of strings") { json in
            json.arrayValue.flatMap { list in
                let strings = list.compactMap(\.stringValue)
                return strings.count == list.count ? strings : nil
            }
        }
    }

    /// The value in `table` for each text of a list, or nil when the key is absent.
    package func optionalChoices<Value>(_ keys: String..., of table: KeyValuePairs<String, Value>) -> [Value]? {
        value(keys, "a list of \(words(table))") { json in
            json.arrayValue.flatMap { list in
                let values = list.compactMap { look(up: $0, in: table) }
                return values.count == list.count ? values : nil
            }
        }
    }
}

extension ConfigReader {
    private func readInteger(_ keys: [String], _ range: ClosedRange<Int>) -> Int? {
        value(keys, "an integer from \(range.lowerBound) to \(range.upperBound)") { json in
            json.wholeNumber.flatMap { range.contains($0) ? $0 : nil }
        }
    }

    private func readNumber(_ keys: [String], _ range: ClosedRange<Double>) -> Double? {
        value(
            keys,
            range == ConfigReader.numbers ? "a number" : "a number from \(range.lowerBound) to \(range.upperBound)"
        ) {
            $0.writtenNumber.flatMap { range.contains($0) ? $0 : nil }
        }
    }

    private func readBool(_ keys: [String]) -> Bool? { value(keys, "true or false", \.boolValue) }

    private func readString(_ keys: [String]) -> String? { value(keys, "a string", \.stringValue) }

    private func readChoice<Value>(_ keys: [String], _ table: KeyValuePairs<String, Value>) -> Value? {
        value(keys, words(table)) { look(up: $0, in: table) }
    }

    private func words<Value>(_ table: KeyValuePairs<String, Value>) -> String {
        table.count == 1 ? table[0].key.quoted : "one of " + table.map { $0.key.quoted }.joined(separator: ", ")
    }

    private func look<Value>(up json: JSON, in table: KeyValuePairs<String, Value>) -> Value? {
        guard let text = json.stringValue else { return nil }
        return table.first { $0.key.hasSameBytes(as: text) }?.value
    }

    /// The placeholder for a required value: remembers that it is missing, unless it is there and was already found
    /// wrong.
    private func required<Value>(_ keys: [String], _ placeholder: Value) -> Value {
        if !hasAny(keys) { missing(keys) }
        return placeholder
    }
}

extension JSON {
    /// An integer, also one that is written as 64.0.
    fileprivate var wholeNumber: Int? { integerValue ?? doubleValue.flatMap { Int(exactly: $0) } }

    /// A number, also one that is written as "1e-6".
    fileprivate var writtenNumber: Double? { doubleValue ?? stringValue.flatMap { Double($0) } }
}
