internal import MartletTensors

/// An array of one kind of metadata value: a view of the file until somebody asks for the elements.
///
/// A vocabulary of 250,000 strings costs nothing to open, and a file cannot claim more memory than it has bytes.
@safe package struct GGUFArray: Sendable {
    /// The kind of the elements; never an array.
    package let kind: GGUFKind
    package let count: Int
    private let storage: Storage
    private let range: Range<Int>

    /// Elements that stand at `range` of `storage` as the format writes them, their lengths checked.
    init(kind: GGUFKind, count: Int, storage: Storage, range: Range<Int>) {
        (self.kind, self.count, self.storage, self.range) = (kind, count, storage, range)
    }

    package init(_ values: [String]) {
        var writer = GGUFBytes()
        for value in values { writer.append(value) }
        self.init(.string, values.count, writer.bytes)
    }

    package init(_ values: [Int32]) { self.init(.int32, values, \.littleEndian) }
    package init(_ values: [UInt32]) { self.init(.uint32, values, \.littleEndian) }
    package init(_ values: [UInt8]) { self.init(.uint8, values.count, values) }
    package init(_ values: [Bool]) { self.init(.bool, values.count, values.map { $0 ? 1 : 0 }) }
    package init(_ values: [Float]) { self.init(.float32, values.map(\.bitPattern), \.littleEndian) }

    private init<Value: FixedWidthInteger>(_ kind: GGUFKind, _ values: [Value], _ little: (Value) -> Value) {
        var writer = GGUFBytes()
        for value in values { writer.append(value) }
        self.init(kind, values.count, writer.bytes)
    }

    private init(_ kind: GGUFKind, _ count: Int, _ bytes: [UInt8]) {
        let storage = Storage(bytes: bytes.count)
        unsafe bytes.withUnsafeBytes {
            unsafe UnsafeMutableRawBufferPointer(start: storage.mutablePointer, count: $0.count).copyMemory(from: $0)
        }
        self.init(kind: kind, count: count, storage: storage, range: 0..<bytes.count)
    }

    /// The elements as the file writes them.
    var bytes: [UInt8] { cursor { cursor in unsafe cursor.take(bytes: range.count).map { unsafe Array($0) } ?? [] } }

    /// The strings, or nil when the elements are none or one of them is not UTF-8.
    package var strings: [String]? {
        guard kind == .string else { return nil }
        return cursor { cursor in
            var strings: [String] = []
            strings.reserveCapacity(count)
            for _ in 0..<count {
                guard let bytes = unsafe cursor.takeString(),
                    let string = unsafe String(validating: bytes, as: UTF8.self)
                else { return nil }
                strings.append(string)
            }
            return strings
        }
    }

    /// The strings as bytes, or nil when the elements are none.
    package var byteStrings: [[UInt8]]? {
        guard kind == .string else { return nil }
        return cursor { cursor in
            (0..<count).map { _ in unsafe cursor.takeString().map { unsafe Array($0) } ?? [] }
        }
    }

    /// The strings end to end, and where each ends, or nil when the elements are none.
    package var joinedByteStrings: (bytes: [UInt8], ends: [Int])? {
        guard kind == .string else { return nil }
        return cursor { cursor in
            var (bytes, ends): ([UInt8], [Int]) = ([], [])
            bytes.reserveCapacity(range.count - 8 * count)
            ends.reserveCapacity(count)
            for _ in 0..<count {
                if let string = unsafe cursor.takeString() { unsafe bytes.append(contentsOf: string) }
                ends.append(bytes.count)
            }
            return (bytes, ends)
        }
    }

    /// The elements as integers, of whatever width, or nil for another kind or a value past `Int`.
    package var integers: [Int]? {
        switch kind {
        case .uint8: map(UInt8.self) { Int($0) }
        case .int8: map(Int8.self) { Int($0) }
        case .uint16: map(UInt16.self) { Int($0) }
        case .int16: map(Int16.self) { Int($0) }
        case .uint32: map(UInt32.self) { Int($0) }
        case .int32: map(Int32.self) { Int($0) }
        case .uint64: map(UInt64.self) { Int(exactly: $0) }
        case .int64: map(Int64.self) { Int($0) }
        default: nil
        }
    }

    /// The elements as numbers, whole or not, or nil for another kind.
    package var doubles: [Double]? {
        switch kind {
        case .float32: map(UInt32.self) { Double(Float(bitPattern: $0)) }
        case .float64: map(UInt64.self) { Double(bitPattern: $0) }
        default: integers.map { $0.map(Double.init) }
        }
    }

    /// The elements as f32, or nil when they are of another kind.
    package var floats: [Float]? { kind == .float32 ? map(UInt32.self) { Float(bitPattern: $0) } : nil }

    /// The elements as truth values, or nil when they are of another kind or one is neither 0 nor 1.
    package var bools: [Bool]? { kind == .bool ? map(UInt8.self) { $0 > 1 ? nil : $0 == 1 } : nil }

    private func map<Stored: FixedWidthInteger, Value>(_: Stored.Type, _ convert: (Stored) -> Value?) -> [Value]? {
        cursor { cursor in
            var values: [Value] = []
            values.reserveCapacity(count)
            for _ in 0..<count {
                guard let value = cursor.take(Stored.self).flatMap(convert) else { return nil }
                values.append(value)
            }
            return values
        }
    }

    private func cursor<Result>(_ body: (inout ByteCursor) -> Result) -> Result {
        var cursor = unsafe ByteCursor(
            UnsafeRawBufferPointer(start: storage.pointer + range.lowerBound, count: range.count))
        defer { withExtendedLifetime(storage) {} }
        return body(&cursor)
    }
}
