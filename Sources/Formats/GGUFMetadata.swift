package import MartletJSON

/// The key-value pairs of a GGUF file, in its order, found by the bytes of the key.
package struct GGUFMetadata: Sendable, ExpressibleByDictionaryLiteral {
    package private(set) var entries: [(key: String, value: GGUFValue)] = []
    /// The file, for messages; empty when built in memory.
    package internal(set) var path = ""
    private var positions: [ExactKey: Int] = [:]

    package init() {}

    /// - Precondition: no key twice.
    package init(dictionaryLiteral elements: (String, GGUFValue)...) {
        for (key, value) in elements {
            precondition(self[key] == nil, "GGUFMetadata: key \(key) twice in a literal")
            self[key] = value
        }
    }

    /// The value under `key`; setting appends or replaces, setting nil removes (in linear time).
    package subscript(key: String) -> GGUFValue? {
        get { positions[ExactKey(key)].map { entries[$0].value } }
        set {
            switch (positions[ExactKey(key)], newValue) {
            case (let position?, let value?): entries[position].value = value
            case (let position?, nil):
                entries.remove(at: position)
                positions = Dictionary(uniqueKeysWithValues: entries.enumerated().map { (ExactKey($1.key), $0) })
            case (nil, let value?):
                positions[ExactKey(key)] = entries.count
                entries.append((key, value))
            case (nil, nil): break
            }
        }
    }

    /// The text under `key`, or nil when the key is absent.
    ///
    /// - Throws: ``FormatError`` when the value is of another kind. So do the accessors below.
    package func string(_ key: String) throws(FormatError) -> String? {
        try value(key, "a UTF-8 string", \.stringValue)
    }
    package func bool(_ key: String) throws(FormatError) -> Bool? { try value(key, "a bool", \.boolValue) }
    package func integer(_ key: String) throws(FormatError) -> Int? { try value(key, "an integer", \.integerValue) }
    package func number(_ key: String) throws(FormatError) -> Double? { try value(key, "a number", \.doubleValue) }
    package func strings(_ key: String) throws(FormatError) -> [String]? {
        try value(key, "an array of UTF-8 strings") { $0.arrayValue?.strings }
    }
    package func byteStrings(_ key: String) throws(FormatError) -> [[UInt8]]? {
        try value(key, "an array of strings") { $0.arrayValue?.byteStrings }
    }
    /// Strings end to end, and where each ends.
    package func joinedByteStrings(_ key: String) throws(FormatError) -> (bytes: [UInt8], ends: [Int])? {
        try value(key, "an array of strings") { $0.arrayValue?.joinedByteStrings }
    }
    package func integers(_ key: String) throws(FormatError) -> [Int]? {
        try value(key, "an array of integers") { $0.arrayValue?.integers }
    }
    package func floats(_ key: String) throws(FormatError) -> [Float]? {
        try value(key, "an array of float32") { $0.arrayValue?.floats }
    }
    package func bools(_ key: String) throws(FormatError) -> [Bool]? {
        try value(key, "an array of bools") { $0.arrayValue?.bools }
    }

    private func value<Value>(_ key: String, _ expected: String, _ read: (GGUFValue) -> Value?) throws(FormatError)
        -> Value?
    {
        guard let value = self[key] else { return nil }
        if let read = read(value) { return read }
        throw FormatError(
            path: path, problem: "unusable metadata",
            offences: ["\(key.quoted) should be \(expected), it is \(value.words)"])
    }

    /// The values whose keys begin with `prefix`, which is cut off, as JSON: what a ``ConfigReader`` takes.
    ///
    /// A float32 becomes the Double of the same value; strings that are not UTF-8 become null, as do numbers that no
    /// JSON can hold.
    package func json(prefix: String = "") -> JSONObject {
        var object = JSONObject()
        for (key, value) in entries where key.utf8.starts(with: prefix.utf8) {
            object[String(decoding: key.utf8.dropFirst(prefix.utf8.count), as: UTF8.self)] = value.json
        }
        return object
    }
}

extension GGUFValue {
    /// The value as JSON.
    package var json: JSON {
        if let integer = integerValue { return .integer(integer) }
        if let number = doubleValue { return number.isFinite ? .number(number) : .null }
        switch self {
        case .bool(let value): return .bool(value)
        case .string(let value): return .string(value)
        case .array(let array): return array.json
        default: return .null
        }
    }
}

extension GGUFArray {
    fileprivate var json: JSON {
        if let integers { return .array(integers.map(JSON.integer)) }
        if let doubles { return .array(doubles.map { $0.isFinite ? .number($0) : .null }) }
        if let bools { return .array(bools.map(JSON.bool)) }
        if let byteStrings {
            return .array(byteStrings.map { String(validating: $0, as: UTF8.self).map(JSON.string) ?? .null })
        }
        return .null
    }
}
