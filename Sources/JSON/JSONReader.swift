/// Reads JSON as a stream of events from memory that somebody else keeps alive, without building values.
///
/// The grammar, the depth and every string are checked; that keys are unique is left to whoever collects them.
@safe package struct JSONReader {
    /// A piece of the text: a bracket, a key or a scalar.
    package enum Event: Sendable {
        case beginObject, endObject, beginArray, endArray
        case key(String), string(String)
        case integer(Int), number(Double), bool(Bool), null
        /// The value is complete and nothing but blanks follows it.
        case end
    }

    /// The piece that the grammar allows next.
    private enum Expected { case value, firstElement, firstKey, separator }

    let text: UnsafeBufferPointer<UInt8>
    let count: Int
    /// The next byte to read.
    package internal(set) var offset = 0
    /// The offset at which the latest event began.
    package private(set) var eventOffset = 0
    private var expected = Expected.value
    /// The open containers, outermost first: true for an object.
    private var containers: [Bool] = []
    let dialect: JSON.Dialect

    /// - Safety: `text` must stay alive while the reader is used.
    @unsafe package init(_ text: UnsafeBufferPointer<UInt8>, as dialect: JSON.Dialect = .standard) {
        unsafe self.text = unsafe text
        self.dialect = dialect
        count = text.count
        if dialect == .python, follows("\u{FEFF}") { offset = 3 }
    }

    /// The number of arrays and objects that are open.
    package var depth: Int { containers.count }

    /// The next event.
    ///
    /// - Throws: ``JSONError`` at the first byte that is not JSON.
    package mutating func next() throws(JSONError) -> Event {
        skipBlanks()
        eventOffset = offset
        switch expected {
        case .value: return try value()
        case .firstElement: return peek() == UInt8(ascii: "]") ? close() : try value()
        case .firstKey: return peek() == UInt8(ascii: "}") ? close() : try key()
        case .separator: return try afterValue()
        }
    }

    /// Passes over everything until no more than `depth` containers are open.
    package mutating func skip(toDepth depth: Int) throws(JSONError) {
        while self.depth > depth { _ = try next() }
    }

    private mutating func afterValue() throws(JSONError) -> Event {
        guard let isObject = containers.last else {
            guard offset == count else { throw error(.textAfterValue) }
            return .end
        }
        switch peek() {
        case UInt8(ascii: "]") where !isObject: return close()
        case UInt8(ascii: "}") where isObject: return close()
        case UInt8(ascii: ","):
            offset += 1
            skipBlanks()
            eventOffset = offset
            return isObject ? try key() : try value()
        default: throw unexpected(isObject ? "',' or '}'" : "',' or ']'")
        }
    }

    private mutating func key() throws(JSONError) -> Event {
        guard peek() == UInt8(ascii: "\"") else { throw unexpected("a key in double quotes") }
        let key = try string()
        skipBlanks()
        guard peek() == UInt8(ascii: ":") else { throw unexpected("':'") }
        offset += 1
        expected = .value
        return .key(key)
    }

    private mutating func value() throws(JSONError) -> Event {
        guard let byte = peek() else { throw unexpected("a value") }
        if byte == UInt8(ascii: "{") || byte == UInt8(ascii: "[") {
            return try open(isObject: byte == UInt8(ascii: "{"))
        }
        expected = .separator
        switch byte {
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "N") where dialect == .python: return try word("NaN", .number(.nan))
        case UInt8(ascii: "I") where dialect == .python: return try word("Infinity", .number(.infinity))
        default: throw notAValue()
        }
    }

    private mutating func open(isObject: Bool) throws(JSONError) -> Event {
        guard containers.count < JSON.maximumDepth else { throw error(.tooDeep(limit: JSON.maximumDepth)) }
        offset += 1
        containers.append(isObject)
        expected = isObject ? .firstKey : .firstElement
        return isObject ? .beginObject : .beginArray
    }

    private mutating func close() -> Event {
        offset += 1
        expected = .separator
        return containers.removeLast() ? .endObject : .endArray
    }

    mutating func word(_ word: StaticString, _ event: Event) throws(JSONError) -> Event {
        guard follows(word) else { throw notAValue() }
        offset += word.utf8CodeUnitCount
        return event
    }

    private func notAValue() -> JSONError {
        let bad: [StaticString] = ["NaN", "Infinity"]
        for word in bad where follows(word) { return error(.notFinite(word.description)) }
        if offset == 0, follows("\u{FEFF}") { return error(.byteOrderMark) }
        return unexpected("a value")
    }
}

extension JSONReader {
    /// The byte at `offset`, or nil at the end.
    func peek() -> UInt8? { offset < count ? unsafe text[offset] : nil }

    func follows(_ word: StaticString) -> Bool {
        guard count - offset >= word.utf8CodeUnitCount else { return false }
        return unsafe UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
            .elementsEqual(text[offset..<offset + word.utf8CodeUnitCount])
    }

    mutating func skipBlanks() {
        while offset < count {
            switch unsafe text[offset] {
            case 0x20, 0x0A, 0x0D, 0x09: offset += 1
            default: return
            }
        }
    }

    func error(_ kind: JSONError.Kind, at place: Int? = nil) -> JSONError {
        unsafe JSONError(kind, offset: place ?? offset, in: text)
    }

    func unexpected(_ expected: String) -> JSONError {
        guard let byte = peek() else { return error(.unexpectedEnd(expected: expected)) }
        return error(.unexpectedByte(byte, expected: expected))
    }
}
