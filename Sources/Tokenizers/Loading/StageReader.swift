import MartletJSON

/// A reader of the members of one JSON object of a `tokenizer.json`, with errors that name the place.
struct StageReader {
    let object: JSONObject
    /// The path of the object in the file, as `pre_tokenizer.pretokenizers[1]`.
    let path: String

    /// Objects within objects (sequences of sequences) go at most this deep.
    static let maximumDepth = 32

    init(_ json: JSON, path: String) throws(TokenizerError) {
        guard case .object(let object) = json else {
            throw StageReader.malformed(path, "is \(json.kind), not an object")
        }
        (self.object, self.path) = (object, path)
    }

    static func malformed(_ path: String, _ what: String) -> TokenizerError {
        .malformed(source: "tokenizer.json", offences: ["\(path) \(what)"])
    }

    func malformed(_ what: String) -> TokenizerError { StageReader.malformed(path, what) }

    func unsupported(_ feature: String) -> TokenizerError {
        .unsupported(
            source: "tokenizer.json", feature: "\(feature) in \(path)",
            remedy: "use a tokenizer of the kinds that Hugging Face tokenizers 0.23 defines")
    }

    var type: String? { object["type"]?.stringValue }

    private func missing(_ key: String, _ kind: String) -> TokenizerError {
        guard let value = object[key] else { return malformed("lacks \(key)") }
        return StageReader.malformed("\(path).\(key)", "is \(value.kind), not \(kind)")
    }

    func string(_ key: String) throws(TokenizerError) -> String {
        guard let value = object[key]?.stringValue else { throw missing(key, "a string") }
        return value
    }

    func bytes(_ key: String) throws(TokenizerError) -> [UInt8] { Array(try string(key).utf8) }

    /// The string, or nil when it is absent or null.
    func optionalString(_ key: String) throws(TokenizerError) -> String? {
        guard let value = object[key], !value.isNull else { return nil }
        return try string(key)
    }

    func bool(_ key: String) throws(TokenizerError) -> Bool {
        guard let value = object[key]?.boolValue else { throw missing(key, "a truth value") }
        return value
    }

    func bool(_ key: String, default value: Bool) throws(TokenizerError) -> Bool {
        guard let found = object[key], !found.isNull else { return value }
        return try bool(key)
    }

    func optionalBool(_ key: String) throws(TokenizerError) -> Bool? {
        guard let found = object[key], !found.isNull else { return nil }
        return try bool(key)
    }

    /// A whole number from 0 to `limit`.
    func count(_ key: String, limit: Int = Int(Int32.max)) throws(TokenizerError) -> Int {
        guard let value = object[key]?.integerValue else { throw missing(key, "an integer") }
        guard (0...limit).contains(value) else {
            throw StageReader.malformed("\(path).\(key)", "is \(value), not from 0 to \(limit)")
        }
        return value
    }

    func id(_ key: String) throws(TokenizerError) -> Int32 {
        Int32(try count(key, limit: Vocabulary.maximumCount - 1))
    }

    func number(_ key: String) throws(TokenizerError) -> Double {
        guard let value = object[key]?.doubleValue else { throw missing(key, "a number") }
        return value
    }

    func array(_ key: String) throws(TokenizerError) -> [JSON] {
        guard let value = object[key]?.arrayValue else { throw missing(key, "an array") }
        return value
    }

    /// A string of exactly one scalar.
    func scalar(_ key: String) throws(TokenizerError) -> UInt32 {
        let scalars = try string(key).unicodeScalars
        guard let first = scalars.first, scalars.count == 1 else {
            throw StageReader.malformed("\(path).\(key)", "is not one character")
        }
        return first.value
    }

    /// The pattern under a key, `{"String": …}` or `{"Regex": …}`.
    func pattern(_ key: String) throws(TokenizerError) -> FilePattern {
        guard let value = object[key] else { throw malformed("lacks \(key)") }
        let reader = try StageReader(value, path: "\(path).\(key)")
        if let literal = try reader.optionalString("String") { return FilePattern(literal: Array(literal.utf8)) }
        return try FilePattern(regex: reader.string("Regex"))
    }

    /// The parts of a sequence under `key`.
    func parts<Part>(
        _ key: String, _ depth: Int, _ read: (JSON, String, Int) throws(TokenizerError) -> Part
    ) throws(TokenizerError) -> [Part] {
        guard depth < StageReader.maximumDepth else {
            throw malformed("lies in more than \(StageReader.maximumDepth) sequences")
        }
        var result: [Part] = []
        for (index, part) in try array(key).enumerated() {
            result.append(try read(part, "\(path).\(key)[\(index)]", depth + 1))
        }
        return result
    }
}
