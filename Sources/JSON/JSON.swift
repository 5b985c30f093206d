// MartletJSON: JSON text to values and back, byte for byte.
//
// Knows nothing of models, vocabularies or files' meanings. It exists because Foundation compares keys under canonical
// equivalence and keeps one of two duplicates silently, while vocabularies and tensor names are bytes.

/// A JSON value (RFC 8259).
///
/// Policies, where the standard leaves a choice:
/// - Strings are compared by their UTF-8 bytes; keys that differ only in normalization stay apart; a duplicate key is
///   refused.
/// - A number written without fraction and exponent that fits `Int` is an ``integer(_:)``; every other number is a
///   ``number(_:)``, rounded to the nearest Double. One that would round to infinity (1e400) is refused, and so are the
///   words `NaN` and `Infinity`, which are no JSON.
/// - An escape of half a surrogate pair is refused, as Rust's serde does: no UTF-8 text can hold it.
/// - A byte order mark is refused; nesting deeper than ``maximumDepth`` is refused.
///
/// ``Dialect/python`` reads what Python's `json` module reads and writes: `NaN` and `Infinity` are numbers, of equal
/// keys the last one counts, and a byte order mark is passed over.
public enum JSON: Sendable {
    /// The literal `null`.
    case null
    /// A truth value.
    case bool(Bool)
    /// A number without fraction and exponent that fits `Int`.
    case integer(Int)
    /// A finite number of any other kind.
    case number(Double)
    /// A text.
    case string(String)
    /// A list of values.
    case array([JSON])
    /// Members with unique keys, in order.
    case object(JSONObject)

    /// The deepest nesting of arrays and objects.
    public static let maximumDepth = 512

    /// The dialect: which texts are accepted.
    public enum Dialect: Sendable {
        /// RFC 8259 with the policies above.
        case standard
        /// JSON as Python's `json` module accepts it: the files beside a published model.
        case python
    }
}

extension JSON {
    /// The truth value, or nil for any other kind.
    public var boolValue: Bool? { if case .bool(let value) = self { value } else { nil } }

    /// The integer, or nil for any other kind, fractions that happen to be whole (`2.0`) included.
    public var integerValue: Int? { if case .integer(let value) = self { value } else { nil } }

    /// The number, whole or not, or nil for any other kind.
    public var doubleValue: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    /// The text, or nil for any other kind.
    public var stringValue: String? { if case .string(let value) = self { value } else { nil } }

    /// The elements, or nil for any other kind.
    public var arrayValue: [JSON]? { if case .array(let value) = self { value } else { nil } }

    /// The object, or nil for any other kind.
    public var objectValue: JSONObject? { if case .object(let value) = self { value } else { nil } }

    /// True where this is `null`.
    public var isNull: Bool { if case .null = self { true } else { false } }

    /// The value under `key` when this is an object that has it.
    public subscript(key: String) -> JSON? { objectValue?[key] }

    /// The element at `index` when this is an array that has it.
    public subscript(index: Int) -> JSON? {
        guard case .array(let elements) = self, elements.indices.contains(index) else { return nil }
        return elements[index]
    }

    /// The kind of value in words, for messages: "an integer", "a string".
    public var kind: String {
        switch self {
        case .null: "null"
        case .bool: "a truth value"
        case .integer: "an integer"
        case .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

/// Equal when written alike: strings by bytes, objects in order; `1` and `1.0` differ.
extension JSON: Equatable {
    /// Equality as written: strings by bytes, objects in order; `1` and `1.0` differ.
    public static func == (a: JSON, b: JSON) -> Bool {
        switch (a, b) {
        case (.null, .null): true
        case (.bool(let a), .bool(let b)): a == b
        case (.integer(let a), .integer(let b)): a == b
        case (.number(let a), .number(let b)): a == b
        case (.string(let a), .string(let b)): a.hasSameBytes(as: b)
        case (.array(let a), .array(let b)): a == b
        case (.object(let a), .object(let b)): a == b
        default: false
        }
    }
}

extension JSON: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByStringLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    /// The null of JSON.
    public init(nilLiteral: ()) { self = .null }
    /// A boolean of JSON.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// An integer of JSON.
    public init(integerLiteral value: Int) { self = .integer(value) }
    /// A number of JSON.
    public init(floatLiteral value: Double) { self = .number(value) }
    /// A string of JSON.
    public init(stringLiteral value: String) { self = .string(value) }
    /// An array of JSON.
    public init(arrayLiteral elements: JSON...) { self = .array(elements) }

    /// - Precondition: no key twice.
    public init(dictionaryLiteral elements: (String, JSON)...) {
        var object = JSONObject()
        for (key, value) in elements {
            precondition(object[key] == nil, "JSON: key \(key) twice in a literal")
            object[key] = value
        }
        self = .object(object)
    }
}
