import MartletPlatform

extension JSON {
    /// Parses one value that fills `bytes`.
    ///
    /// - Throws: ``JSONError``.
    public init(parsing bytes: borrowing Span<UInt8>, as dialect: Dialect = .standard) throws(JSONError) {
        self = try unsafe bytes.withUnsafeBufferPointer { text throws(JSONError) in
            var reader = unsafe JSONReader(text, as: dialect)
            return try reader.tree()
        }
    }

    /// Parses one value that fills `bytes`.
    public init(parsing bytes: [UInt8], as dialect: Dialect = .standard) throws(JSONError) {
        try self.init(parsing: bytes.span, as: dialect)
    }

    /// Parses one value that fills `text`.
    public init(parsing text: String, as dialect: Dialect = .standard) throws(JSONError) {
        try self.init(parsing: text.utf8Span.span, as: dialect)
    }

    /// Parses the file at `path`.
    ///
    /// - Throws: ``JSONError`` that names the file, also when it cannot be read.
    public init(contentsOf path: String, as dialect: Dialect = .standard) throws(JSONError) {
        let bytes = try JSON.readFile(path)
        do {
            try self.init(parsing: bytes, as: dialect)
        } catch {
            var error = error
            error.path = path
            throw error
        }
    }

    /// The bytes of a file, or a ``JSONError`` with the system's reason.
    private static func readFile(_ path: String) throws(JSONError) -> [UInt8] {
        do throws(FileError) { return try fileBytes(path, limit: 1 << 28) } catch {
            throw JSONError(unreadable: path, reason: error.reason)
        }
    }
}

extension JSONReader {
    /// A finished value whose container is still open, with its key and the key's offset.
    private struct Pending {
        var key: String
        var value: JSON
        var offset: Int
    }

    /// The value that the rest of the events make, to the end of the text.
    ///
    /// Finished values wait in one list until their container closes; so nothing recurses, and each array is made once
    /// at its size.
    fileprivate mutating func tree() throws(JSONError) -> JSON {
        var pending: [Pending] = []
        var starts: [Int] = []
        var keys: [(key: String, offset: Int)] = []
        var (key, offset) = ("", 0)
        while true {
            let value: JSON
            switch try next() {
            case .key(let name):
                (key, offset) = (name, eventOffset)
                continue
            case .beginObject, .beginArray:
                starts.append(pending.count)
                keys.append((key, offset))
                continue
            case .endObject:
                let start = starts.removeLast()
                value = try .object(object(pending[start...]))
                pending.removeLast(pending.count - start)
                (key, offset) = keys.removeLast()
            case .endArray:
                let start = starts.removeLast()
                value = .array(pending[start...].map(\.value))
                pending.removeLast(pending.count - start)
                (key, offset) = keys.removeLast()
            case .string(let string): value = .string(string)
            case .integer(let integer): value = .integer(integer)
            case .number(let number): value = .number(number)
            case .bool(let bool): value = .bool(bool)
            case .null: value = .null
            case .end: return pending[0].value
            }
            pending.append(Pending(key: key, value: value, offset: offset))
        }
    }

    private func object(_ pending: ArraySlice<Pending>) throws(JSONError) -> JSONObject {
        if dialect == .python { return JSONObject(lastOf: pending.map { ($0.key, $0.value) }) }
        var duplicate = 0
        guard let object = JSONObject(members: pending.map { ($0.key, $0.value) }, duplicate: &duplicate) else {
            let repeated = pending[pending.startIndex + duplicate]
            throw error(.duplicateKey(repeated.key), at: repeated.offset)
        }
        return object
    }
}
