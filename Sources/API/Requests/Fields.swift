import MartletJSON
import Synchronization

/// The fields of a JSON object from outside, each read by type and range; the first offence is thrown with the field's
/// name.
///
/// A field that is null counts as absent, as clients write it.
struct Fields {
    let object: JSONObject
    /// The prefix of a field's name in a message: `messages[2].`.
    let prefix: String
    /// Takes note of the names that are asked for; nil where nobody wants to know.
    private let reads: FieldReads?

    init(_ object: JSONObject, prefix: String = "", noting reads: FieldReads? = nil) {
        (self.object, self.prefix, self.reads) = (object, prefix, reads)
        reads?.add(object.keys.map { prefix + $0 })
    }

    /// A byte order mark before the body is passed over (RFC 8259, section 8.1).
    ///
    /// - Throws: ``APIError`` for a body that is no JSON object.
    init(body: [UInt8], noting reads: FieldReads? = nil) throws(APIError) {
        guard !body.isEmpty else { throw .invalid("The body is empty, but a JSON object is expected.", nil) }
        let text = body.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(body.dropFirst(3)) : body
        do {
            guard let object = try JSON(parsing: text).objectValue else {
                throw APIError.invalid("The body is JSON, but not an object.", nil)
            }
            self.init(object, noting: reads)
        } catch let error as APIError {
            throw error
        } catch {
            throw .invalid("The body is \((error as? JSONError)?.reason ?? "not JSON").", nil)
        }
    }

    /// The fields of `value`, which stands at `path`: `messages[2]`.
    ///
    /// - Throws: ``APIError`` for a value that is no object.
    init(_ value: JSON, at path: String) throws(APIError) {
        guard let object = value.objectValue else {
            throw .invalid("\(path) is \(value.kind), but an object is expected.", path, code: "invalid_type")
        }
        self.init(object, prefix: path + ".")
    }

    /// The value of a field; nil for null and for none.
    subscript(name: String) -> JSON? {
        reads?.note(path(name))
        guard let value = object[name], !value.isNull else { return nil }
        return value
    }

    /// A field's whole name, as errors give it.
    func path(_ name: String) -> String { prefix + name }

    func wrong(_ name: String, _ value: JSON, _ expected: String) -> APIError {
        .invalid("\(path(name)) is \(value.kind), but \(expected) is expected.", path(name), code: "invalid_type")
    }

    func string(_ name: String) throws(APIError) -> String? {
        guard let value = self[name] else { return nil }
        guard let text = value.stringValue else { throw wrong(name, value, "a string") }
        return text
    }

    func requiredString(_ name: String) throws(APIError) -> String {
        guard let text = try string(name) else { throw missing(name) }
        return text
    }

    func missing(_ name: String) -> APIError {
        .invalid("\(path(name)) is missing.", path(name), code: "missing_required_parameter")
    }

    func bool(_ name: String) throws(APIError) -> Bool? {
        guard let value = self[name] else { return nil }
        guard let truth = value.boolValue else { throw wrong(name, value, "true or false") }
        return truth
    }

    /// A whole number; one written with a fraction of zero (`16.0`) counts.
    func integer(_ name: String, _ range: ClosedRange<Int>) throws(APIError) -> Int? {
        guard let value = self[name] else { return nil }
        guard let number = value.integerValue ?? value.doubleValue.flatMap({ Int(exactly: $0) }) else {
            guard value.doubleValue == nil else {
                throw outside(
                    name, value, "a whole number", JSON.integer(range.lowerBound), JSON.integer(range.upperBound))
            }
            throw wrong(name, value, "a whole number")
        }
        guard range.contains(number) else {
            throw outside(name, value, "a whole number", JSON.integer(range.lowerBound), JSON.integer(range.upperBound))
        }
        return number
    }

    func number(_ name: String, _ range: ClosedRange<Double>) throws(APIError) -> Double? {
        guard let value = self[name] else { return nil }
        guard let number = value.doubleValue else { throw wrong(name, value, "a number") }
        guard range.contains(number) else {
            throw outside(name, value, "a number", Fields.bound(range.lowerBound), Fields.bound(range.upperBound))
        }
        return number
    }

    /// A bound as people write it: 1, not 1.0.
    private static func bound(_ value: Double) -> JSON { Int(exactly: value).map { .integer($0) } ?? .number(value) }

    /// The error about a number out of its range; all three as they stand in JSON.
    private func outside(_ name: String, _ value: JSON, _ kind: String, _ least: JSON, _ most: JSON) -> APIError {
        .invalid(
            "\(path(name)) is \(value.text().shortened), but \(kind) from \(least.text()) to \(most.text()) is expected.",
            path(name), code: "invalid_value")
    }

    /// - Parameter most: How many elements there may be.
    func array(_ name: String, atMost most: Int) throws(APIError) -> [JSON]? {
        guard let value = self[name] else { return nil }
        guard let elements = value.arrayValue else { throw wrong(name, value, "an array") }
        guard elements.count <= most else {
            throw .invalid(
                "\(path(name)) has \(elements.count) elements, but at most \(most) are taken.", path(name),
                code: "array_above_max_length")
        }
        return elements
    }

    /// The fields of an object.
    ///
    /// - Parameter isNoted: Whether the fields of the object that nobody asks for are told of as well.
    func object(_ name: String, isNoted: Bool = false) throws(APIError) -> Fields? {
        guard let value = self[name] else { return nil }
        guard let object = value.objectValue else { throw wrong(name, value, "an object") }
        return Fields(object, prefix: path(name) + ".", noting: isNoted ? reads : nil)
    }

    /// The texts of a field, one or a list of them.
    func strings(_ name: String, atMost most: Int) throws(APIError) -> [String]? {
        guard let value = self[name] else { return nil }
        if let text = value.stringValue { return [text] }
        guard value.arrayValue != nil else { throw wrong(name, value, "a string or an array of strings") }
        let elements = try array(name, atMost: most) ?? []
        return try elements.enumerated().map { index, element throws(APIError) in
            guard let text = element.stringValue else { throw wrong("\(name)[\(index)]", element, "a string") }
            return text
        }
    }

    /// The word of a field, one of a few.
    func choice<Choice: RawRepresentable & CaseIterable>(_ name: String, _ type: Choice.Type) throws(APIError)
        -> Choice?
    where Choice.RawValue == String {
        guard let text = try string(name) else { return nil }
        guard let choice = Choice(rawValue: text) else {
            let known = Choice.allCases.map { "'\($0.rawValue)'" }.joined(separator: ", ")
            throw .invalid(
                "\(path(name)) is \(text.quoted), but one of \(known) is expected.", path(name), code: "invalid_value")
        }
        return choice
    }
}

/// The fields of a request, and those of them that were read: the others have had no effect.
final class FieldReads: Sendable {
    private let state = Mutex((names: [String](), read: Set<String>()))

    func add(_ names: [String]) { state.withLock { $0.names += names } }

    func note(_ name: String) { _ = state.withLock { $0.read.insert(name) } }

    /// The names that nobody has asked for, in the request's order.
    var unread: [String] { state.withLock { state in state.names.filter { !state.read.contains($0) } } }
}
